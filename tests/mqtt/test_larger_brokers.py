"""Bridges and shared subscriptions of docs/brokers.md at real mosquittos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import MQTTv5
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.commands import ListExamples
from edge_daemon.domain.events import CommandReply
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import Device, label_changed, wait_until

BRIDGE = (Path(__file__).resolve().parents[2] / "config" / "mosquitto-bridge.conf").read_text()
BASE = "edge_daemon/tray-1"


@pytest.fixture
def centre() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@pytest.fixture
def site(centre: Mosquitto) -> Iterator[Mosquitto]:
    bridge = BRIDGE.replace("central.example.com:1883", f"{centre.host}:{centre.port}")
    assert bridge != BRIDGE
    with Mosquitto(settings=bridge) as running:
        yield running


def test_a_bridge_passes_labels_up_and_requests_down(centre: Mosquitto, site: Mosquitto) -> None:
    options = MqttOptions(host=site.host, port=site.port)
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.CorrelationData = b"\x07"
    with Device(options) as device, Listener(centre.port, version=MQTTv5) as listener:
        device.sink.handle(label_changed("cat"))
        listener.wait_for(f"{BASE}/label", b"cat")
        listener.wait_for(f"{BASE}/availability", b"online")
        listener.client.publish(f"{BASE}/request/examples", b"{}", 1, properties=properties)
        wait_until(lambda: device.commands != [])
        assert isinstance(device.commands[0], ListExamples)
        device.sink.handle(CommandReply(device.commands[0], data={"counts": {}}))
        answer = listener.wait_for(f"{BASE}/response/examples")
        assert answer.properties["CorrelationData"] == b"\x07"


def test_a_restarted_central_broker_receives_the_retained_messages_again(
    centre: Mosquitto, site: Mosquitto
) -> None:
    with Device(MqttOptions(host=site.host, port=site.port)) as device:
        device.sink.handle(label_changed("cat"))
        with Listener(centre.port) as listener:
            listener.wait_for(f"{BASE}/label", b"cat")
        centre.kill()
        device.sink.handle(label_changed("dog"))
        centre.start()
        with Listener(centre.port) as listener:
            listener.wait_for(f"{BASE}/label", b"dog", timeout_s=30)
            listener.wait_for(f"{BASE}/availability", b"online", timeout_s=30)


def test_the_central_broker_detects_a_cut_line_to_a_site(centre: Mosquitto, site: Mosquitto) -> None:
    state = "$SYS/broker/connection/site-1/state"
    with Listener(centre.port, topic_filter=state) as listener:
        listener.wait_for(state, b"1")
        site.kill()
        listener.wait_for(state, b"0")


def test_a_shared_subscription_delivers_each_event_once(broker: Mosquitto, options: MqttOptions) -> None:
    shared = "$share/counters/edge_daemon/+/event"
    with (
        Device(options) as device,
        Listener(broker.port, shared) as one,
        Listener(broker.port, shared) as two,
    ):
        for seq in range(20):
            device.sink.handle(label_changed("dog", seq=seq))
        wait_until(lambda: len(one.messages) + len(two.messages) == 20)
    assert sorted(heard.json()["seq"] for heard in one.messages + two.messages) == list(range(20))
    assert one.messages
    assert two.messages
