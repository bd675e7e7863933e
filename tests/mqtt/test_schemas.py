from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain import events
from edge_daemon.domain.commands import Undo
from edge_daemon.domain.types import ClassReport, Evaluation, Recommendation
from edge_daemon.mqtt.requests import REQUESTS
from edge_daemon.mqtt.schemas import TOPICS
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import BY_BUTTON, NOON, Device, classified, label_changed, wait_until

ROOT = Path(__file__).resolve().parents[2]
BASE = "edge_daemon/tray-1"
EVALUATION = Evaluation(
    0.5, {"cat": ClassReport("confused", 3, None, "dog")}, ("cat", "dog"), 1, Recommendation("dog", "few")
)


def validator(name: str) -> Draft202012Validator:
    """Return the validator of a shipped schema."""
    schema: dict[str, Any] = json.loads((ROOT / f"edge_daemon/mqtt/schemas/{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_page_and_the_schemas_are_up_to_date() -> None:
    command = [sys.executable, "scripts/dev/write_mqtt_reference.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run scripts/dev/write_mqtt_reference.py"


def references(node: object) -> Iterator[str]:
    """Yield every reference of a document."""
    if isinstance(node, dict):
        yield from ([str(node["$ref"])] if "$ref" in node else [])
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_of_the_asyncapi_document_leads_to_an_object() -> None:
    document = json.loads((ROOT / "docs/asyncapi.json").read_text())
    found = set(references(document))
    assert "#/components/schemas/AddRequest" in found
    for reference in found:
        node = document
        for key in reference.removeprefix("#/").split("/"):
            node = node[key]
        assert isinstance(node, dict), reference


def test_the_asyncapi_document_has_every_topic_with_its_direction_and_retention() -> None:
    document = json.loads((ROOT / "docs/asyncapi.json").read_text())
    operations = {
        document["channels"][operation["channel"]["$ref"].rpartition("/")[2]]["address"]: (
            operation["action"],
            operation["bindings"]["mqtt"]["retain"],
        )
        for operation in document["operations"].values()
    }
    assert operations["{base}/label"] == operations["{base}/{region}/label"] == ("send", True)
    assert operations["{base}/result"] == operations["{base}/{region}/result"] == ("send", False)
    assert {f"{{base}}/request/{verb}" for verb in REQUESTS} == {
        address for address, (action, _) in operations.items() if action == "receive"
    }
    assert len(operations) == len(TOPICS) + 2


def test_a_payload_fits_the_asyncapi_document_as_json_and_as_plain_text() -> None:
    document = json.loads((ROOT / "docs/asyncapi.json").read_text())
    payload = document["components"]["messages"]["request-add"]["payload"]
    schema = Draft202012Validator({**payload, "components": document["components"]})
    for fits in ({"label": "cat"}, "cat"):
        assert schema.is_valid(fits)
    for wrong in ({}, {"label": 3}, 3):
        assert not schema.is_valid(wrong)


def test_delivered_messages_fit_the_schemas(broker: Mosquitto, options: MqttOptions) -> None:
    published: list[events.Event] = [
        label_changed("cat"),
        classified(),
        events.ExampleAdded(5, "cat", "frame", 3, 9, BY_BUTTON),
        events.ExampleUndone(5, "cat", 2, BY_BUTTON),
        events.Cleared(None, 4, BY_BUTTON),
        events.ExamplesEdited("removed", (3, 4), BY_BUTTON),
        events.UncertainSampleKept(2, "frame", "close call", classified().prediction, 9, NOON),
        events.Button("red", "press"),
        events.CameraLost("unplugged"),
        events.CameraRestored(2.5),
        events.PanelLost("no chip"),
        events.PanelRestored(2.5),
        events.PowerLow(("under_voltage", "throttled")),
        events.PowerOk(61.0),
        events.ClockChanged(False),
        events.SettingsChanged("motion", "auto"),
        events.SettingsChanged("mqtt", 0.7),
        events.ExamplesChanged({}),
        events.ExamplesChanged({"cat": 3}, EVALUATION),
    ]
    with Listener(broker.port) as listener, Device(options) as device:
        listener.wait_for(f"{BASE}/availability", b"online")
        for event in published:
            device.sink.handle(event)
        listener.publish(f"{BASE}/request/add", b"{no json")
        listener.publish(f"{BASE}/request/undo", b'{"transaction": [1, {"a": null}]}')
        wait_until(lambda: device.commands != [])
        assert isinstance(device.commands[0], Undo)
        device.sink.handle(events.CommandReply(device.commands[0], data={"label": "cat"}))
        listener.wait_for(f"{BASE}/response/undo")
    names = {
        "result": "result",
        "event": "event",
        "examples": "examples",
        "info": "info",
        "settings": "settings",
    }
    names |= {"response/add": "response", "response/undo": "response"}
    for topic, name in names.items():
        heard = [json.loads(text) for text in listener.texts(f"{BASE}/{topic}")]
        assert heard
        for payload in heard:
            validator(name).validate(payload)
    assert len(listener.texts(f"{BASE}/event")) == 13


@pytest.mark.parametrize(
    ("name", "payload", "fits"),
    [
        ("request-add", {"label": "cat", "transaction": 1}, True),
        ("request-add", {"label": "cat", "region": None}, True),
        ("request-add", {}, False),
        ("request-add", {"label": "cat", "labl": 1}, False),
        ("request-threshold", {"unknown": "auto"}, True),
        ("request-threshold", {"unknown": 2}, False),
        ("event", {"event_type": "button", "at": "2026-05-01T12:00:00.000Z", "name": "a"}, False),
    ],
)
def test_the_schemas_reject_invalid_payloads(name: str, payload: dict[str, object], fits: bool) -> None:
    if fits:
        validator(name).validate(payload)
    else:
        with pytest.raises(ValidationError):
            validator(name).validate(payload)


def test_each_schema_belongs_to_a_topic() -> None:
    shipped = {path.stem for path in (ROOT / "edge_daemon/mqtt/schemas").glob("*.json")}
    assert shipped == {entry.schema for entry in TOPICS if entry.schema}
