"""The MQTT contract at three nodes of RabbitMQ: devices at one node, subscribers at another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from paho.mqtt.client import MQTTv5
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_daemon.config.mqtt import DiscoveryOptions, MqttOptions
from edge_daemon.domain.commands import ListExamples
from edge_daemon.domain.events import CommandReply, ExamplesChanged
from edge_daemon.mqtt import retained_check
from edge_daemon.mqtt.broker_trial import BrokerTrial
from edge_daemon.mqtt.topics import device_topics
from tests.harness.load_balancer import LoadBalancer
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import Device, label_changed, wait_until
from tests.harness.rabbitmq_cluster import RabbitMqCluster
from tests.harness.unreliable_proxy import Proxy
from tests.mqtt.test_fleet_link import FleetDevice, numbers

BASE = "edge_daemon/tray-1"
SLOW_S = 60.0


@pytest.fixture
def device(cluster: RabbitMqCluster) -> Iterator[Device]:
    """A device at the first node that receives requests: its birth follows its subscriptions."""
    options = MqttOptions(host="127.0.0.1", port=cluster.nodes[0].port, max_reconnect_s=1)
    with Listener(cluster.nodes[1].port, f"{BASE}/availability") as listener, Device(options) as running:
        listener.wait_for(f"{BASE}/availability", b"online", SLOW_S)
        yield running


def test_events_arrive_once_and_in_order_at_another_node(cluster: RabbitMqCluster, device: Device) -> None:
    with Listener(cluster.nodes[2].port, f"{BASE}/event") as listener:
        for seq in range(200):
            device.sink.handle(label_changed("cat", seq=seq))
        wait_until(lambda: len(listener.messages) >= 200, SLOW_S)
        assert [heard.json()["seq"] for heard in listener.messages] == list(range(200))


def test_the_will_is_published_at_another_node(cluster: RabbitMqCluster) -> None:
    with (
        Listener(cluster.nodes[1].port, f"{BASE}/availability") as listener,
        Proxy(cluster.nodes[0].port) as network,
        Device(MqttOptions(host="127.0.0.1", port=network.port, max_reconnect_s=1)) as device,
    ):
        device.wait_connected(timeout_s=SLOW_S)
        listener.wait_for(f"{BASE}/availability", b"online", SLOW_S)
        network.cut()
        wait_until(lambda: listener.texts(f"{BASE}/availability")[-2:] == ["offline", "online"], SLOW_S)


def test_a_request_from_another_node_gets_its_response(cluster: RabbitMqCluster, device: Device) -> None:
    with Listener(cluster.nodes[1].port, f"{BASE}/response/+") as listener:
        listener.publish(f"{BASE}/request/examples", b'{"transaction": 7}')
        wait_until(lambda: device.commands != [], SLOW_S)
        assert isinstance(device.commands[0], ListExamples)
        device.sink.handle(CommandReply(device.commands[0], data={"counts": {}}))
        assert listener.wait_for(f"{BASE}/response/examples", timeout_s=SLOW_S).json()["transaction"] == 7


def test_the_response_to_an_mqtt_5_request_is_at_its_response_topic(
    cluster: RabbitMqCluster, device: Device
) -> None:
    if cluster.version.startswith("3."):
        pytest.skip("RabbitMQ 3 supports MQTT 3.1.1 only")
    address = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    address.ResponseTopic, address.CorrelationData = "reply/me", b"\0\1"
    with Listener(cluster.nodes[1].port, "reply/#", version=MQTTv5) as listener:
        listener.client.publish(f"{BASE}/request/undo", b"{}", 1, properties=address)
        wait_until(lambda: device.commands != [], SLOW_S)
        device.sink.handle(CommandReply(device.commands[0]))
        answer = listener.wait_for("reply/me", timeout_s=SLOW_S)
    assert answer.properties["CorrelationData"] == b"\0\1"


@pytest.mark.parametrize("topic_filter", [f"{BASE}/label", "edge_daemon/+/label"])
def test_a_new_subscriber_at_another_node_receives_the_state(
    cluster: RabbitMqCluster,
    topic_filter: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(retained_check, "RESEND_S", 2.0)
    with Device(MqttOptions(host="127.0.0.1", port=cluster.nodes[0].port)) as device:
        device.sink.handle(label_changed("cat"))
        wait_until(lambda: "does not send retained messages" in caplog.text, SLOW_S)
        with Listener(cluster.nodes[1].port, topic_filter) as listener:
            listener.wait_for(f"{BASE}/label", b"cat", SLOW_S)


def test_home_assistant_at_another_node_receives_the_discovery(cluster: RabbitMqCluster) -> None:
    options = MqttOptions(
        host="127.0.0.1", port=cluster.nodes[0].port, discovery=DiscoveryOptions(enabled=True)
    )
    with Device(options) as device, Listener(cluster.nodes[1].port, "homeassistant/#") as listener:
        device.sink.handle(ExamplesChanged({"cat": 1}))
        topic = "homeassistant/device/edge_daemon_tray-1/config"
        listener.wait_for(topic, timeout_s=SLOW_S)
        listener.clear()
        listener.publish("homeassistant/status", b"online")
        listener.wait_for(topic, timeout_s=SLOW_S)


def test_the_doctor_finds_what_the_cluster_does_not_keep(balancer: LoadBalancer) -> None:
    options = MqttOptions(host="127.0.0.1", port=balancer.port)
    result = BrokerTrial(options, "tray-2", device_topics(None, "tray-2", ["frame"])).run()
    assert result.rejections == []
    assert result.without_retained
    assert result.without_wildcard == 3


def test_a_new_device_at_another_node_receives_the_records_of_its_peers(cluster: RabbitMqCluster) -> None:
    peers = []
    with ExitStack() as parts:
        for name, node, first in (("north", 0, 1), ("east", 1, 11), ("south", 2, 21)):
            peer = parts.enter_context(FleetDevice(cluster.nodes[node], name))  # type: ignore[arg-type]
            peer.publish(*range(first, first + 3))
            peers.append(peer)
        wait_until(lambda: all(peer.sink.connected for peer in peers), SLOW_S)
        late = parts.enter_context(FleetDevice(cluster.nodes[1], "late"))  # type: ignore[arg-type]
        late.publish(number=0)
        received: set[int] = set()

        def complete() -> bool:
            for peer in peers:  # they answered each other; the pause after that ends
                peer.now_s += 0.1
            while (message := late.receive_queue.pop()) is not None:
                received.update(numbers([message]))
            return received == {1, 2, 3, 11, 12, 13, 21, 22, 23}

        wait_until(complete, SLOW_S)


def test_no_event_is_lost_while_a_node_is_killed_and_brought_back(
    cluster: RabbitMqCluster, balancer: LoadBalancer, tmp_path: Path
) -> None:
    options = MqttOptions(host="127.0.0.1", port=balancer.port, max_reconnect_s=2)
    killed = cluster.nodes[0]
    with ExitStack() as parts:
        listener = parts.enter_context(Listener(cluster.nodes[1].port, "edge_daemon/+/event"))
        devices = [
            parts.enter_context(Device(options, f"load-{each}", queue_path=tmp_path / f"{each}.sqlite"))
            for each in range(6)
        ]
        for device in devices:
            device.wait_connected(timeout_s=SLOW_S)
        stopping = threading.Event()
        sent: list[int] = []

        def publish() -> None:
            while not stopping.wait(0.05):
                for device in devices:
                    device.sink.handle(label_changed("cat", seq=len(sent)))
                sent.append(len(sent))

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            wait_until(lambda: len(sent) > 20, SLOW_S)
            killed.kill()
            wait_until(lambda: len(sent) > 100, SLOW_S)
            killed.start()
            killed.wait_started()
        finally:
            stopping.set()
            thread.join()
        logging.info("%d events of each device", len(sent))

        def complete() -> bool:
            heard = {(each.topic, each.json()["seq"]) for each in list(listener.messages)}
            return len(heard) == len(sent) * len(devices)

        wait_until(complete, 2 * SLOW_S)
