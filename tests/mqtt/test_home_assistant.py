from __future__ import annotations

import json
import re
from random import Random
from typing import Any

import msgspec
import pytest
from jinja2.sandbox import SandboxedEnvironment

from edge_daemon.config.mqtt import DiscoveryOptions, MqttOptions
from edge_daemon.domain import events
from edge_daemon.domain.commands import AddExample
from edge_daemon.mqtt.home_assistant import Discovery, DiscoveryPublisher, described
from edge_daemon.mqtt.message import Incoming, Message
from edge_daemon.mqtt.requests import REQUESTS, Refusal, read_request
from edge_daemon.mqtt.topics import device_topics
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import Device, info, wait_until

CONFIG = "homeassistant/device/edge_daemon_tray-1/config"
REQUIRED = {
    "sensor": {"state_topic"},
    "event": {"state_topic", "event_types"},
    "image": {"image_topic"},
    "button": {"command_topic"},
    "number": {"command_topic"},
    "select": {"command_topic", "options"},
    "text": {"command_topic"},
}
"""What Home Assistant's documentation says each platform must have, besides the unique id."""


def discovery(*regions: str) -> Discovery:
    names = regions or ("frame",)
    return Discovery(device_topics("b", "tray-1", names), info(regions=names), "homeassistant")


def config_of(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.payload)
    return found


@pytest.mark.parametrize("regions", [("frame",), ("left", 'the "right"')])
def test_the_announcement_keeps_to_home_assistant_s_rules(regions: tuple[str, ...]) -> None:
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


def test_buttons_and_the_number_ask_what_the_device_understands() -> None:
    components = config_of(discovery().announcement(["cat", 'a "b" {{ c }}'], {}))["components"].values()
    asked = []
    for part in components:
        if "command_topic" in part:
            verb = part["command_topic"].removeprefix("b/request/")
            value = part["options"][1] if "options" in part else "0.75"
            template = part.get("command_template", "").replace("{{ value }}", value)
            asked.append(read_request(verb, (template or part["payload_press"]).encode(), ["frame"], 0.0))
    assert len(asked) == 7
    assert not any(isinstance(answer, Refusal) for answer in asked)
    assert {answer.origin.name for answer in asked if not isinstance(answer, Refusal)} <= set(REQUESTS)


def rendered(template: str, payload: str) -> str:
    """A value as Home Assistant renders it: `value` is the text, `value_json` what it holds."""
    try:
        value_json = json.loads(payload)
    except ValueError:
        value_json = None
    return SandboxedEnvironment().from_string(template).render(value=payload, value_json=value_json)


CHANGE = {"event_type": "label_changed", "region": 'the "right"', "confidence": 0.987}
EXAM = {"accuracy": 0.5}


@pytest.mark.parametrize(
    ("name", "payload", "shown"),
    [
        ('Label the "right"', "cat", "cat"),
        ('Label the "right"', "", "None"),
        ('Confidence the "right"', json.dumps(CHANGE), "98.7"),
        ("Confidence left", json.dumps(CHANGE), ""),
        ("Confidence left", '{"event_type": "button", "name": "red"}', ""),
        ("Examples", '{"total": 4, "counts": {}, "exam": null}', "4"),
        ("Exam accuracy", json.dumps({"exam": EXAM}), "50.0"),
        ("Exam accuracy", json.dumps({"exam": None}), "None"),
        ("Exam accuracy", json.dumps({"exam": {"accuracy": None}}), "None"),
        ("Model", '{"model": "mobilenet"}', "mobilenet"),
        ("Latency", '{"event_type": "label_changed", "latency_ms": 41.6}', "42.0"),
        ("Latency", '{"event_type": "button", "name": "red"}', ""),
        ("Trigger", '{"trigger": "motion", "unknown": "auto"}', "motion"),
        ("Least similarity of a known label", '{"trigger": "motion", "unknown": 0.75}', "0.75"),
        ("Least similarity of a known label", '{"trigger": "motion", "unknown": "auto"}', "None"),
    ],
)
def test_a_sensor_shows_its_part_of_a_payload(name: str, payload: str, shown: str) -> None:
    components = config_of(discovery("left", 'the "right"').announcement([], {}))["components"].values()
    [template] = [part["value_template"] for part in components if part.get("name") == name]
    assert rendered(template, payload) == shown


def test_what_the_device_s_own_buttons_teach_can_be_taught_before_the_first_example() -> None:
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


def test_what_is_gone_is_named_with_its_platform_alone() -> None:
    first = discovery().announcement(["cat", "dog"], {})
    known = described(first.payload)
    assert known is not None
    second = config_of(discovery().announcement(["dog"], known))["components"]
    gone = [part for part in second.values() if part == {"platform": "button"}]
    assert len(gone) == 1
    assert described(json.dumps({"origin": {"name": "edge_daemon"}, "components": second}).encode()) == {
        key: part["platform"] for key, part in second.items() if len(part) > 1
    }


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"origin": {"name": "other"}, "components": {}}', b"\xff", b"[" * 9000]
)
def test_another_s_text_is_no_announcement_of_ours(text: bytes) -> None:
    assert described(text) is None


def test_with_many_labels_the_announcement_stays_small_and_any_label_can_be_taught() -> None:
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


class TestAnnouncer:
    """When it speaks."""

    @staticmethod
    def announcer(enabled: bool = True) -> DiscoveryPublisher:
        return DiscoveryPublisher(discovery(), enabled, Random(1))

    def test_it_waits_until_the_labels_are_known(self) -> None:
        announcer = self.announcer()
        assert announcer.due(None, 0.0) is None
        assert announcer.due([], 0.0) is not None
        assert announcer.due([], 0.0) is None

    def test_it_speaks_again_when_the_labels_change(self) -> None:
        announcer = self.announcer()
        announcer.due(["cat"], 0.0)
        changed = announcer.due(["dog"], 1.0)
        assert changed is not None
        assert b"Teach dog" in changed.payload
        assert b"Teach cat" not in changed.payload

    def test_after_a_birth_it_waits_at_random(self) -> None:
        announcer = self.announcer()
        announcer.due([], 0.0)
        announcer.take(Incoming("homeassistant/status", b"online", False), 100.0)
        assert announcer.due([], 100.0) is None
        assert announcer.due([], 110.0) is not None
        assert announcer.due([], 120.0) is None

    def test_a_button_of_an_earlier_life_is_removed(self) -> None:
        announcer = self.announcer()
        announcer.due([], 0.0)
        earlier = discovery().announcement(["cat"], {})
        announcer.take(Incoming(CONFIG, earlier.payload, True), 1.0)
        message = announcer.due([], 1.0)
        assert message is not None
        assert {"platform": "button"} in config_of(message)["components"].values()

    def test_labels_that_come_and_go_for_years_leave_the_message_bounded(self) -> None:
        announcer = self.announcer()
        message = None
        for number in range(1000):
            message = announcer.due([f"label-{number}"], float(number))
        assert message is not None
        assert len(message.payload) < 30_000
        assert list(config_of(message)["components"].values()).count({"platform": "button"}) > 100

    def test_home_assistant_is_asked_for_no_qos_that_the_broker_refuses(self) -> None:
        for max_qos, asked in ((2, 1), (0, 0)):
            message = self.announcer().due([], 0.0, max_qos)
            assert message is not None
            assert config_of(message)["qos"] == asked

    def test_turned_off_it_takes_back_only_what_was_announced(self) -> None:
        announcer = self.announcer(enabled=False)
        assert announcer.due(["cat"], 0.0) is None
        announcer.take(Incoming("homeassistant/status", b"online", False), 1.0)
        earlier = discovery().announcement(["cat"], {})
        announcer.take(Incoming(CONFIG, earlier.payload, True), 1.0)
        assert announcer.due(["cat"], 20.0) == Message(CONFIG, b"", 1, retain=True)
        assert announcer.due(["cat"], 21.0) is None


def test_home_assistant_is_told_and_told_again_and_taken_back(
    broker: Mosquitto, options: MqttOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_daemon.mqtt.home_assistant._LONGEST_DELAY_S", 0.05)
    enabled = msgspec.structs.replace(options, discovery=DiscoveryOptions(enabled=True))
    with Listener(broker.port) as listener:
        with Device(enabled) as device:
            device.sink.handle(events.ExamplesChanged({"cat": 1}))
            listener.wait_for(CONFIG)
            told = len(listener.texts(CONFIG))
            listener.publish("homeassistant/status", b"online")
            wait_until(lambda: len(listener.texts(CONFIG)) > told)
            assert '"Teach cat"' in listener.texts(CONFIG)[-1]
        with Device(options):
            listener.wait_for(CONFIG, b"")
    with Listener(broker.port, CONFIG) as late:
        late.publish(CONFIG, b"end")
        late.wait_for(CONFIG, b"end")
        assert late.texts(CONFIG) == ["end"]
