from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import cast

import pytest

from edge_daemon.domain import events
from edge_daemon.domain.commands import AddExample, Origin, TakeSnapshot, Undo
from edge_daemon.domain.events import Event
from edge_daemon.domain.types import (
    ClassReport,
    Evaluation,
    NearestExample,
    Prediction,
    Recommendation,
)
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.requests import RejectedRequest, ReturnAddress
from edge_daemon.mqtt.serializer import EventSerializer
from edge_daemon.mqtt.topics import device_topics
from tests.harness.mqtt_harness import BY_BUTTON, NOON, classified, info, label_changed


def serializer(*regions: str, qos: int = 1) -> EventSerializer:
    names = regions or ("frame",)
    return EventSerializer(device_topics("b", "x", names), info(regions=names), qos)


def messages_for(event: Event, *regions: str) -> list[Message]:
    return serializer(*regions).messages_for(event, NOON)


def body(message: Message) -> dict[str, object]:
    return cast("dict[str, object]", json.loads(message.payload))


def test_a_result_contains_the_whole_prediction_with_qos_0() -> None:
    nearest = (NearestExample(41, "dog", 0.98765), NearestExample(9, "cat", 0.51234))
    prediction = Prediction("dog", {"cat": 0.25, "dog": 0.75}, 0.98765, nearest)
    event = events.Classified("frame", prediction, 7, NOON, 12.34)
    [message] = messages_for(event)
    assert (message.topic, message.qos, message.retain) == ("b/result", 0, False)
    assert body(message) == {
        "region": "frame",
        "label": "dog",
        "confidence": 0.75,
        "similarity": 0.9877,
        "margin": 0.5,
        "ranking": [{"label": "dog", "confidence": 0.75}, {"label": "cat", "confidence": 0.25}],
        "nearest": [
            {"id": 41, "label": "dog", "similarity": 0.9877},
            {"id": 9, "label": "cat", "similarity": 0.5123},
        ],
        "seq": 7,
        "captured_at": "2026-05-01T12:00:00.123Z",
        "latency_ms": 12.3,
        "model": "mobilenet",
    }


def test_a_capture_time_of_another_zone_is_sent_in_utc() -> None:
    local = datetime(2026, 5, 1, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    [message] = messages_for(events.Classified("frame", Prediction("cat", {"cat": 1.0}, 1.0), 1, local, 1.0))
    assert body(message)["captured_at"] == "2026-05-01T12:00:00.000Z"


def test_a_label_change_is_plain_retained_text_and_an_event() -> None:
    label, event = messages_for(label_changed("Käse", region="left"), "left", "right")
    assert label == Message("b/left/label", "Käse".encode(), 1, retain=True)
    assert (event.topic, event.qos, event.retain) == ("b/event", 1, False)
    assert body(event)["event_type"] == "label_changed"
    assert body(event)["region"] == "left"


def test_a_lost_camera_clears_the_label_of_every_region() -> None:
    *labels, event = messages_for(events.CameraLost("unplugged"), "left", "right")
    assert labels == [Message(f"b/{region}/label", b"", 1, retain=True) for region in ("left", "right")]
    assert body(event) == {
        "event_type": "camera_lost",
        "at": "2026-05-01T12:00:00.123Z",
        "reason": "unplugged",
        "event_id": "-1",
    }


BY = {"via": "gpio", "name": "17"}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            events.ExampleAdded(5, "cat", "frame", 3, 9, BY_BUTTON),
            {
                "event_type": "example_added",
                "id": 5,
                "label": "cat",
                "region": "frame",
                "count": 3,
                "seq": 9,
                "by": BY,
            },
        ),
        (
            events.ObjectPassed("frame", "nut", 0.87654, 6, 41, NOON, 150.04),
            {
                "event_type": "object",
                "region": "frame",
                "label": "nut",
                "confidence": 0.8765,
                "frames": 6,
                "seq": 41,
                "captured_at": "2026-05-01T12:00:00.123Z",
                "latency_ms": 150.0,
            },
        ),
        (
            events.ExampleUndone(5, "cat", 2, BY_BUTTON),
            {"event_type": "example_undone", "id": 5, "label": "cat", "count": 2, "by": BY},
        ),
        (
            events.Cleared(None, 4, BY_BUTTON),
            {"event_type": "cleared", "label": None, "removed": 4, "by": BY},
        ),
        (
            events.ExamplesEdited("relabelled", (3, 4), BY_BUTTON, "dog"),
            {
                "event_type": "examples_edited",
                "action": "relabelled",
                "ids": [3, 4],
                "label": "dog",
                "by": BY,
            },
        ),
        (
            events.UncertainSampleKept(
                2, "frame", "close call", Prediction("cat", {"cat": 1.0}, 0.5), 9, NOON
            ),
            {
                "event_type": "uncertain",
                "sample": 2,
                "region": "frame",
                "reason": "close call",
                "label": "cat",
                "ranking": [{"label": "cat", "confidence": 1.0}],
                "seq": 9,
                "captured_at": "2026-05-01T12:00:00.123Z",
            },
        ),
        (events.Button("red", "press"), {"event_type": "button", "name": "red", "gesture": "press"}),
        (events.CameraRestored(2.5), {"event_type": "camera_restored", "outage_s": 2.5}),
        (events.PanelLost("no chip"), {"event_type": "panel_lost", "reason": "no chip"}),
        (events.PanelRestored(2.5), {"event_type": "panel_restored", "outage_s": 2.5}),
    ],
)
def test_each_event_names_its_type(event: Event, expected: dict[str, object]) -> None:
    [message] = messages_for(event)
    assert (message.topic, message.qos, message.retain) == ("b/event", 1, False)
    assert body(message) == {**expected, "at": "2026-05-01T12:00:00.123Z", "event_id": "-1"}


def test_each_event_has_an_id_of_its_own() -> None:
    mqtt = serializer()
    ids = [body(mqtt.messages_for(events.Button("red", "press"), NOON)[0])["event_id"] for _ in range(2)]
    assert ids == ["-1", "-2"]


def test_examples_contain_counts_and_evaluation_and_are_retained() -> None:
    evaluation = Evaluation(
        accuracy=0.9,
        classes={"cat": ClassReport("confused", 3, 0.5, "dog", sessions=2)},
        most_confused=("cat", "dog"),
        near_duplicates=1,
        recommendation=Recommendation("dog", "few examples"),
        sessions=2,
        across_sessions=True,
        note="measured across sessions",
    )
    [message] = messages_for(events.ExamplesChanged({"cat": 3, "dog": 1}, evaluation))
    assert (message.topic, message.qos, message.retain) == ("b/examples", 1, True)
    assert body(message) == {
        "counts": {"cat": 3, "dog": 1},
        "total": 4,
        "labels": 2,
        "evaluation": {
            "accuracy": 0.9,
            "classes": {
                "cat": {
                    "status": "confused",
                    "count": 3,
                    "recall": 0.5,
                    "confused_with": "dog",
                    "sessions": 2,
                }
            },
            "most_confused": ["cat", "dog"],
            "near_duplicates": 1,
            "recommendation": {"label": "dog", "reason": "few examples"},
            "sessions": 2,
            "across_sessions": True,
            "note": "measured across sessions",
        },
    }


def test_a_snapshot_is_the_jpeg_itself() -> None:
    [message] = messages_for(events.Snapshot(b"\xff\xd8", TakeSnapshot(Origin("mqtt", "snapshot"))))
    assert message == Message("b/snapshot", b"\xff\xd8", 0, retain=False, telemetry=True)


def test_the_response_to_a_successful_request_has_its_transaction() -> None:
    [message] = messages_for(events.CommandReply(Undo(Origin("mqtt", "undo", 7)), None, {"label": "cat"}))
    assert (message.topic, message.qos, message.retain) == ("b/response/undo", 1, False)
    assert body(message) == {"status": "ok", "data": {"label": "cat"}, "transaction": 7}


def test_the_response_to_a_failed_request_has_its_error() -> None:
    [message] = messages_for(events.CommandReply(AddExample("cat", 1.0, Origin("mqtt", "add")), "disk full"))
    assert body(message) == {"status": "error", "error": "disk full", "transaction": None}


def test_an_answer_goes_to_its_return_address() -> None:
    origin = Origin("mqtt", "undo", ReturnAddress("reply/me", b"c", 7))
    [message] = messages_for(events.CommandReply(Undo(origin)))
    assert (message.topic, message.correlation) == ("reply/me", b"c")
    assert body(message)["transaction"] == 7


def test_results_and_responses_expire() -> None:
    [result] = messages_for(classified())
    [answer] = messages_for(events.CommandReply(Undo(Origin("mqtt", "undo"))))
    label, event = messages_for(label_changed("cat"))
    assert [message.expiry_s for message in (result, answer, label, event)] == [5, 60, None, None]


def test_a_rejected_request_gets_a_response() -> None:
    message = serializer().rejection(RejectedRequest("add", "no label", "t"))
    assert message.topic == "b/response/add"
    assert body(message) == {"status": "error", "error": "no label", "transaction": "t"}


@pytest.mark.parametrize(
    "event", [events.Ready(), events.ConfirmPending(2.0), events.CommandReply(BY_BUTTON)]
)
def test_internal_events_are_not_sent(event: Event) -> None:
    assert messages_for(event) == []


def test_the_initial_labels_are_empty_and_precede_the_birth() -> None:
    messages = serializer("left", "right").initial_messages()
    assert [(message.topic, message.payload) for message in messages if message.topic != "b/info"] == [
        ("b/left/label", b""),
        ("b/right/label", b""),
        ("b/availability", b"online"),
    ]
    assert all(message.retain for message in messages)


def test_the_package_is_imported_without_paho_and_amqtt() -> None:
    program = (
        "import sys; sys.modules['paho'] = sys.modules['amqtt'] = None\n"
        "import edge_daemon.mqtt.bridge, edge_daemon.mqtt.subscriber, edge_daemon.mqtt.embedded_broker"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_configured_qos_applies_to_all_but_results() -> None:
    exact = serializer(qos=2)
    assert [message.qos for message in exact.messages_for(label_changed("cat"), NOON)] == [2, 2]
    assert [message.qos for message in exact.messages_for(classified(), NOON)] == [0]


def test_a_ranking_holds_the_first_ten_labels() -> None:
    shares = {f"label-{number}": number / 2e6 for number in range(2000)}
    prediction = Prediction("label-1999", shares, 0.9)
    for event in (
        events.Classified("frame", prediction, 7, NOON, 12.34),
        events.UncertainSampleKept(1, "frame", "why", prediction, 7, NOON),
    ):
        [message] = messages_for(event)
        ranking = cast("list[dict[str, object]]", body(message)["ranking"])
        assert [row["label"] for row in ranking] == [f"label-{number}" for number in range(1999, 1989, -1)]
        assert len(message.payload) < 1000


def test_the_examples_of_many_labels_stay_small() -> None:
    counts = {f"label-{number}": 3 for number in range(2000)}
    reports = {label: ClassReport("ok", 3, 1.0, None) for label in counts}
    reports["label-1500"] = ClassReport("needs_examples", 1, None, None)
    [message] = messages_for(events.ExamplesChanged(counts, Evaluation(0.9, reports, None, 0, None)))
    published = body(message)
    assert len(message.payload) < 12_000
    assert (published["total"], published["labels"]) == (6000, 2000)
    assert list(cast("dict[str, int]", published["counts"])) == list(counts)[-200:]
    evaluation = cast("dict[str, dict[str, object]]", published["evaluation"])
    assert len(evaluation["classes"]) == 50
    assert next(iter(evaluation["classes"])) == "label-1500"


def test_low_power_is_an_event_and_part_of_the_info() -> None:
    ours = serializer()

    event, state = ours.messages_for(events.PowerLow(("throttled", "under_voltage")), NOON)

    assert body(event)["event_type"] == "power_low"
    assert body(event)["flags"] == body(state)["power"] == ["under_voltage", "throttled"]
    assert (state.topic, state.retain) == ("b/info", True)
    event, state = ours.messages_for(events.PowerOk(61.25), NOON)
    assert (body(event)["event_type"], body(event)["low_s"], body(state)["power"]) == ("power_ok", 61.25, [])


def test_the_info_shows_the_synchronisation_of_the_clock_and_keeps_other_keys() -> None:
    ours = serializer()
    before = body(ours.initial_messages()[-2])

    ours.messages_for(events.PowerLow(("throttled",)), NOON)
    [state] = ours.messages_for(events.ClockChanged(True), NOON)

    assert body(state) == before | {"clock_synced": True, "power": ["throttled"]}


def test_the_state_of_a_scene_is_in_info_and_its_changes_are_events() -> None:
    both = serializer("left", "right")
    [learned] = both.messages_for(events.SceneLearned("left", 7, automatic=False), NOON)
    assert body(learned)["event_type"] == "scene_learned"
    assert body(learned)["automatic"] is False
    [changed] = both.messages_for(events.SceneChanged("left", 9, automatic=True), NOON)
    assert (body(changed)["event_type"], body(changed)["region"]) == ("scene_changed", "left")
    both.messages_for(events.SceneStatus("left", "learning"), NOON)
    [state] = both.messages_for(events.SceneStatus("right", "known", NOON, automatic=True), NOON)
    assert (state.topic, state.retain) == ("b/info", True)
    assert body(state)["scenes"] == {
        "left": {"state": "learning", "learned_at": None, "automatic": False},
        "right": {"state": "known", "learned_at": "2026-05-01T12:00:00.123Z", "automatic": True},
    }
