"""Requests over a real broker: each becomes a command and gets one response."""

from __future__ import annotations

import json

import pytest
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain import events
from edge_daemon.domain.commands import AddExample, LabelSample, Origin, Undo
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import BY_BUTTON, Device, classified, wait_until

BASE = "edge_daemon/tray-1"


def test_a_request_becomes_a_command(broker: Mosquitto, options: MqttOptions) -> None:
    with Listener(broker.port) as listener, Device(options) as device:
        device.wait_connected()
        listener.wait_for(f"{BASE}/availability", b"online")
        listener.publish(f"{BASE}/request/undo", b'{"transaction": "t"}')
        listener.publish(f"{BASE}/request/add", b'{"label": "cat"}')
        wait_until(lambda: len(device.commands) == 2)
    undo, add = device.commands
    assert undo == Undo(Origin("mqtt", "undo", "t"))
    assert isinstance(add, AddExample)
    assert add.label == "cat"


@pytest.mark.parametrize("verb", ["add", "label"])
@pytest.mark.parametrize("payload", [b"caf\xc3\xa9\n", b'"caf\\u00e9"', b'{"label": "caf\\u00e9"}'])
def test_a_label_may_be_sent_as_plain_text(
    broker: Mosquitto, options: MqttOptions, verb: str, payload: bytes
) -> None:
    with Listener(broker.port) as listener, Device(options) as device:
        listener.wait_for(f"{BASE}/availability", b"online")
        listener.publish(f"{BASE}/request/{verb}", payload)
        wait_until(lambda: device.commands != [])
    [command] = device.commands
    assert isinstance(command, AddExample | LabelSample)
    assert command.label == "café"


def test_a_request_with_the_retain_flag_is_ignored_and_so_is_its_deletion(
    broker: Mosquitto, options: MqttOptions, caplog: pytest.LogCaptureFixture
) -> None:
    with Listener(broker.port) as listener, Device(options) as device:
        listener.wait_for(f"{BASE}/availability", b"online")
        listener.publish(f"{BASE}/request/add", b"cat", retain=True)
        listener.publish(f"{BASE}/request/add", b"cat", retain=True)
        listener.publish(f"{BASE}/request/clear", b"", retain=True)
        listener.publish(f"{BASE}/request/undo", b"{}")
        wait_until(lambda: device.commands != [])
        assert device.commands == [Undo(Origin("mqtt", "undo"))], "an empty clear removes every example"
    assert caplog.text.count("a retained request at") == 1
    assert f"mosquitto_pub -r -n -t {BASE}/request/add" in caplog.text


def test_a_request_that_was_retained_before_is_ignored(broker: Mosquitto, options: MqttOptions) -> None:
    with Listener(broker.port) as listener:
        listener.publish(f"{BASE}/request/clear", b"{}", retain=True)
        with Device(options) as device:
            listener.wait_for(f"{BASE}/availability", b"online")
            listener.publish(f"{BASE}/request/undo", b"{}")
            wait_until(lambda: device.commands != [])
            assert device.commands == [Undo(Origin("mqtt", "undo"))]


@pytest.mark.parametrize(
    "payload",
    [
        b"{cat",
        b'{"label": "cat"}'.ljust(20_000),
        *(
            json.dumps({"label": label}).encode()
            for label in ("a/b", "a+", "#", "a\0b", "x" * 10_000, "unknown", "")
        ),
    ],
    ids=["no-json", "oversize", "slash", "plus", "hash", "nul", "long", "reserved", "empty"],
)
def test_a_bad_request_gets_an_error_and_changes_nothing(
    broker: Mosquitto, options: MqttOptions, payload: bytes
) -> None:
    with Listener(broker.port) as listener, Device(options) as device:
        listener.wait_for(f"{BASE}/availability", b"online")
        listener.publish(f"{BASE}/request/add", payload)
        answer = listener.wait_for(f"{BASE}/response/add").json()
    assert answer["status"] == "error"
    assert answer["error"]
    assert device.commands == []


def test_the_error_for_an_unknown_verb_names_the_known_ones(broker: Mosquitto, options: MqttOptions) -> None:
    with Listener(broker.port) as listener, Device(options):
        listener.wait_for(f"{BASE}/availability", b"online")
        listener.publish(f"{BASE}/request/fly", b"{}")
        assert "it offers add, " in listener.wait_for(f"{BASE}/response/fly").json()["error"]


def test_a_busy_device_answers_with_an_error(broker: Mosquitto, options: MqttOptions) -> None:
    with Listener(broker.port) as listener, Device(options) as device:
        device.busy = True
        listener.wait_for(f"{BASE}/availability", b"online")
        listener.publish(f"{BASE}/request/undo", b'{"transaction": 3}')
        answer = listener.wait_for(f"{BASE}/response/undo").json()
    assert answer == {
        "status": "error",
        "error": "the device is busy; send the request again",
        "transaction": 3,
    }


def test_the_reply_to_a_button_is_not_published(broker: Mosquitto, options: MqttOptions) -> None:
    with Listener(broker.port) as listener, Device(options) as device:
        device.wait_connected()
        device.sink.handle(events.CommandReply(BY_BUTTON))
        device.sink.handle(events.Button("end", "press"))
        listener.wait_for(f"{BASE}/event")
        assert not [message for message in listener.messages if "response" in message.topic]


def test_the_response_to_an_mqtt_5_request_is_at_its_response_topic(
    broker: Mosquitto, options: MqttOptions
) -> None:
    address = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    address.ResponseTopic, address.CorrelationData = "reply/me", b"\0\1"
    with Listener(broker.port, version=MQTTProtocolVersion.MQTTv5) as listener, Device(options) as device:
        listener.wait_for(f"{BASE}/availability", b"online")
        listener.client.publish(f"{BASE}/request/undo", b'{"transaction": 5}', 1, properties=address)
        wait_until(lambda: device.commands != [])
        device.sink.handle(events.CommandReply(device.commands[0]))
        answer = listener.wait_for("reply/me")
        device.sink.handle(classified())
        result = listener.wait_for(f"{BASE}/result")
    assert answer.json() == {"status": "ok", "data": {}, "transaction": 5}
    assert answer.properties["CorrelationData"] == b"\0\1"
    assert result.properties["MessageExpiryInterval"] == 5


def test_two_mqtt_5_clients_that_count_alike_each_get_their_responses(
    broker: Mosquitto, options: MqttOptions
) -> None:
    addresses = {name: Properties(PacketTypes.PUBLISH) for name in ("plc", "flow")}  # type: ignore[no-untyped-call]
    with Listener(broker.port, version=MQTTProtocolVersion.MQTTv5) as listener, Device(options) as device:
        listener.wait_for(f"{BASE}/availability", b"online")
        for name, address in addresses.items():
            address.ResponseTopic, address.CorrelationData = f"reply/{name}", b"1"
            listener.client.publish(f"{BASE}/request/add", b"cat", 1, properties=address)
        wait_until(lambda: len(device.commands) == 2)
        for command in device.commands:
            device.sink.handle(events.CommandReply(command))
        for name in addresses:
            assert listener.wait_for(f"reply/{name}").json()["status"] == "ok"
        for _ in range(30):
            listener.client.publish(f"{BASE}/request/examples", b"{}", 1, properties=addresses["plc"])
        wait_until(lambda: "too many requests" in "".join(listener.texts("reply/plc")))
        assert listener.texts(f"{BASE}/response/examples") == []


def test_a_huge_message_is_not_processed(broker: Mosquitto, options: MqttOptions) -> None:
    with Listener(broker.port) as listener, Device(options) as device:
        listener.wait_for(f"{BASE}/availability", b"online")
        listener.publish(f"{BASE}/request/add", b"x" * 1_000_000)
        listener.publish(f"{BASE}/request/undo", b"{}")
        wait_until(lambda: device.commands != [])
        assert listener.texts(f"{BASE}/response/add") == []
