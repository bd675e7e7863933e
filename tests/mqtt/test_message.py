from __future__ import annotations

import json
from typing import Any

import pytest

from edge_daemon.mqtt.message import shorten


def short(body: object, limit: int) -> Any:
    payload = shorten(json.dumps(body).encode(), limit)
    assert payload is not None
    assert len(payload) <= limit
    return json.loads(payload)


def test_a_ranking_keeps_its_first_labels() -> None:
    ranking = [{"label": f"label-{number}", "confidence": 0.1} for number in range(10)]
    body = short({"label": "label-0", "ranking": ranking}, 200)
    assert body["label"] == "label-0"
    assert 0 < len(body["ranking"]) < 10
    assert body["ranking"] == ranking[: len(body["ranking"])]


def test_examples_lose_classes_before_counts() -> None:
    counts = {f"label-{number}": number for number in range(20)}
    examples = {
        "counts": counts,
        "total": 190,
        "evaluation": {"accuracy": 0.5, "classes": {label: {} for label in counts}},
    }
    body = short(examples, 500)
    assert body["counts"] == counts
    assert len(body["evaluation"]["classes"]) < 20
    body = short(examples, 200)
    assert body["evaluation"] == {"accuracy": 0.5, "classes": {}}
    assert 0 < len(body["counts"]) < 20
    assert body["total"] == 190


def test_discovery_loses_only_the_buttons_of_labels() -> None:
    buttons = {f"teach_{number}": {"platform": "button"} for number in range(50)}
    body = short({"components": {"label": {"platform": "sensor"}, **buttons}}, 300)
    assert body["components"] == {"label": {"platform": "sensor"}}


def test_a_response_becomes_an_error_with_its_transaction() -> None:
    body = short({"status": "ok", "data": {"a": "x" * 1000}, "transaction": 7}, 200)
    assert body["status"] == "error"
    assert "longer than the broker takes" in body["error"]
    assert body["transaction"] == 7


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff\xd8\xff", b"online", b"[1, 2]", b'{"a": 1}', b'{"evaluation": null, "counts": 3}', b"{"],
)
def test_a_payload_that_can_t_be_shortened_is_none(payload: bytes) -> None:
    assert shorten(payload, 5) is None
