"""The flow of docs/node-red.md: nodes of Node-RED's core, and topics of the device."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from edge_daemon.mqtt.requests import REQUESTS

FLOW: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "docs/recipes/node-red-flow.json").read_text()
)
CORE = {
    "tab", "comment", "mqtt-broker", "mqtt in", "mqtt out", "inject", "function", "change", "template",
    "http in", "http response",
}  # fmt: skip


def test_it_needs_no_node_outside_the_core() -> None:
    assert {node["type"] for node in FLOW} <= CORE


def test_every_wire_leads_to_a_node() -> None:
    ids = [node["id"] for node in FLOW]
    assert len(ids) == len(set(ids))
    ends = {end for node in FLOW for output in node.get("wires", []) for end in output}
    assert ends <= set(ids)


def test_its_requests_exist_and_each_taught_label_has_a_bin() -> None:
    text = json.dumps(FLOW)
    assert set(re.findall(r"/request/(\w+)", text)) == {"add", "undo"} <= set(REQUESTS)
    (bins,) = (node["func"] for node in FLOW if node["id"] == "choose-bin")
    taught = re.findall(
        r'{"label": "(\w+)"', " ".join(prop["v"] for node in FLOW for prop in node.get("props", []))
    )
    assert taught
    assert all(f'["{label}", ' in bins for label in taught)
