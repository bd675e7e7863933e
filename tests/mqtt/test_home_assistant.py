from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from jinja2.sandbox import SandboxedEnvironment

from edge_daemon.domain.commands import AddExample
from edge_daemon.mqtt.discovery_publisher import described_platforms
from edge_daemon.mqtt.home_assistant import Discovery
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.requests import REQUESTS, RejectedRequest, read_request
from edge_daemon.mqtt.topics import device_topics
from tests.harness.mqtt_harness import info

REQUIRED = {
    "sensor": {"state_topic"},
    "event": {"state_topic", "event_types"},
    "image": {"image_topic"},
    "button": {"command_topic"},
    "number": {"command_topic"},
    "select": {"command_topic", "options"},
    "text": {"command_topic"},
}
"""Required keys of each platform by Home Assistant's documentation, besides the unique id."""


def discovery(*regions: str) -> Discovery:
    names = regions or ("frame",)
    return Discovery(device_topics("b", "tray-1", names), info(regions=names), "homeassistant")


def config_of(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.payload)
    return found


@pytest.mark.parametrize("regions", [("frame",), ("left", 'the "right"')])
def test_the_discovery_message_follows_home_assistant_s_rules(regions: tuple[str, ...]) -> None:
    message = discovery(*regions).announcement(["cat", 'a "b"'], {})
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", message.topic)
    assert message.retain
    config = config_of(message)
    assert set(config) == {"device", "origin", "availability_topic", "qos", "components"}
    assert config["device"]["identifiers"]
    assert config["origin"]["name"]
    components = config["components"]
    assert all(REQUIRED[part["platform"]] <= part.keys() for part in components.values())
    ids = [part["unique_id"] for part in components.values()]
    names = [part["name"] for part in components.values()]
    assert len(set(ids)) == len(ids)
    assert len(set(names)) == len(names)


def test_buttons_and_the_number_send_valid_requests() -> None:
    components = config_of(discovery().announcement(["cat", 'a "b" {{ c }}'], {}))["components"].values()
    asked = []
    for part in components:
        if "command_topic" in part:
            verb = part["command_topic"].removeprefix("b/request/")
            value = part["options"][1] if "options" in part else "0.75"
            template = part.get("command_template", "").replace("{{ value }}", value)
            asked.append(read_request(verb, (template or part["payload_press"]).encode(), ["frame"], 0.0))
    assert len(asked) == 7
    assert not any(isinstance(answer, RejectedRequest) for answer in asked)
    assert {answer.origin.name for answer in asked if not isinstance(answer, RejectedRequest)} <= set(
        REQUESTS
    )


def rendered(template: str, payload: str) -> str:
    """Return a value as Home Assistant renders it: `value` is the text, `value_json` its content."""
    try:
        value_json = json.loads(payload)
    except ValueError:
        value_json = None
    return SandboxedEnvironment().from_string(template).render(value=payload, value_json=value_json)


CHANGE = {"event_type": "label_changed", "region": 'the "right"', "confidence": 0.987}
EVALUATION = {"accuracy": 0.5}


@pytest.mark.parametrize(
    ("name", "payload", "shown"),
    [
        ('Label the "right"', "cat", "cat"),
        ('Label the "right"', "", "None"),
        ('Confidence the "right"', json.dumps(CHANGE), "98.7"),
        ("Confidence left", json.dumps(CHANGE), ""),
        ("Confidence left", '{"event_type": "button", "name": "red"}', ""),
        ("Examples", '{"total": 4, "counts": {}, "evaluation": null}', "4"),
        ("Accuracy", json.dumps({"evaluation": EVALUATION}), "50.0"),
        ("Accuracy", json.dumps({"evaluation": None}), "None"),
        ("Accuracy", json.dumps({"evaluation": {"accuracy": None}}), "None"),
        ("Model", '{"model": "mobilenet"}', "mobilenet"),
        ("Latency", '{"event_type": "label_changed", "latency_ms": 41.6}', "42.0"),
        ("Latency", '{"event_type": "button", "name": "red"}', ""),
        ("Trigger", '{"trigger": "motion", "unknown": "auto"}', "motion"),
        ("Minimum similarity of a known label", '{"trigger": "motion", "unknown": 0.75}', "0.75"),
        ("Minimum similarity of a known label", '{"trigger": "motion", "unknown": "auto"}', "None"),
    ],
)
def test_a_sensor_shows_its_part_of_a_payload(name: str, payload: str, shown: str) -> None:
    components = config_of(discovery("left", 'the "right"').announcement([], {}))["components"].values()
    [template] = [part["value_template"] for part in components if part.get("name") == name]
    assert rendered(template, payload) == shown


def test_the_accuracy_says_what_it_holds_for() -> None:
    published = {
        "accuracy": 0.5,
        "note": "measured in one session",
        "sessions": 1,
        "across_sessions": False,
        "recommendation": {"label": "cat", "reason": "few"},
        "classes": {},
    }
    accuracy = config_of(discovery("frame").announcement([], {}))["components"]["accuracy"]
    assert accuracy["json_attributes_topic"] == "b/examples"
    template = accuracy["json_attributes_template"]
    shown = json.loads(rendered(template, json.dumps({"evaluation": published})))
    assert shown == {key: published[key] for key in published if key not in ("accuracy", "classes")}
    assert json.loads(rendered(template, '{"evaluation": null}')) == {}


def test_labels_of_the_device_s_buttons_have_buttons_before_the_first_example() -> None:
    own = msgspec.structs.replace(info(), button_labels=["cat", "dog"])
    announced = Discovery(device_topics("b", "tray-1", ["frame"]), own, "homeassistant")
    components = config_of(announced.announcement(["dog", "eel"], {}))["components"].values()
    names = [part["name"] for part in components if part["name"].startswith("Teach")]
    assert names == ["Teach cat", "Teach dog", "Teach eel"]


def test_a_device_with_one_trigger_offers_no_choice() -> None:
    topics = device_topics("b", "tray-1", ["frame"])
    alone = msgspec.structs.replace(info(), triggers=["continuous"])
    components = config_of(Discovery(topics, alone, "homeassistant").announcement([], {}))["components"]
    assert "trigger" not in components


def test_every_event_type_is_announced() -> None:
    event = config_of(discovery().announcement([], {}))["components"]["event"]
    assert {"label_changed", "example_added", "button", "camera_lost"} <= set(event["event_types"])


def test_a_removed_entity_is_listed_with_its_platform_alone() -> None:
    first = discovery().announcement(["cat", "dog"], {})
    known = described_platforms(first.payload)
    assert known is not None
    second = config_of(discovery().announcement(["dog"], known))["components"]
    gone = [part for part in second.values() if part == {"platform": "button"}]
    assert len(gone) == 1
    assert described_platforms(
        json.dumps({"origin": {"name": "edge_daemon"}, "components": second}).encode()
    ) == {key: part["platform"] for key, part in second.items() if len(part) > 1}


def test_with_many_labels_the_message_stays_small_and_any_label_can_be_taught() -> None:
    labels = [f"label-{number}" for number in range(2000)]
    message = discovery().announcement(labels, {})
    assert len(message.payload) < 30_000
    components = config_of(message)["components"]
    names = [part["name"] for part in components.values()]
    assert [name for name in names if name.startswith("Teach label")] == [
        f"Teach label-{number}" for number in range(50)
    ]
    [field] = [part for part in components.values() if part["platform"] == "text"]
    asked = SandboxedEnvironment().from_string(field["command_template"]).render(value='a "b"')
    command = read_request(field["command_topic"].removeprefix("b/request/"), asked.encode(), ["frame"], 0.0)
    assert isinstance(command, AddExample)
    assert command.label == 'a "b"'


def test_with_few_labels_there_is_no_field_for_any() -> None:
    components = config_of(discovery().announcement([str(number) for number in range(50)], {}))["components"]
    assert "text" not in [part["platform"] for part in components.values()]
