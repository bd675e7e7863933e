from __future__ import annotations

import socket
import threading

import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.embedded_broker import EmbeddedBroker
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.subscriber import Subscriber
from tests.harness.mosquitto import Mosquitto, free_port
from tests.harness.mqtt_harness import Device, label_changed


def test_a_subscriber_receives_from_a_device_at_the_embedded_broker() -> None:
    with EmbeddedBroker() as broker:
        options = MqttOptions(host=broker.host, port=broker.port, version=broker.version)
        with Subscriber(options, "edge_daemon/+/label") as subscriber, Device(options) as device:
            device.wait_connected()
            device.sink.handle(label_changed("cat"))
            assert subscriber.receive(5.0) == Incoming("edge_daemon/tray-1/label", b"", False)
            assert subscriber.receive(5.0) == Incoming("edge_daemon/tray-1/label", b"cat", False)
        with Subscriber(options, "edge_daemon/#") as late:
            heard: list[Incoming] = []
            while not heard or heard[-1].topic != "edge_daemon/tray-1/availability":
                message = late.receive(5.0)
                assert message is not None
                heard.append(message)
        assert heard[-1].payload == b"offline"
        assert all(message.retained for message in heard)


def test_a_port_that_is_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr("edge_daemon.mqtt.embedded_broker.free_port", lambda: next(ports))
        with EmbeddedBroker() as broker:
            assert broker.port != taken.getsockname()[1]
            with Subscriber(MqttOptions(host=broker.host, port=broker.port, version=broker.version), "#"):
                pass


def test_without_amqtt_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_daemon.mqtt.embedded_broker.find_spec", lambda name: None)
    with pytest.raises(BrokerError, match=r"pip install 'edge-daemon\[demo\]'"), EmbeddedBroker():
        pass


def test_a_subscriber_is_stopped_from_another_thread(options: MqttOptions) -> None:
    with Subscriber(options, "#") as subscriber:
        timer = threading.Timer(0.05, subscriber.stop)
        timer.start()
        assert list(subscriber) == []
        timer.join()


def test_a_subscriber_without_a_broker_is_an_error() -> None:
    with (
        pytest.raises(BrokerError, match="can't reach the MQTT broker at 127"),
        Subscriber(MqttOptions(host="127.0.0.1", port=free_port()), "#"),
    ):
        pass


def test_a_subscriber_detects_a_lost_broker(broker: Mosquitto, options: MqttOptions) -> None:
    with Subscriber(options, "#") as subscriber:
        broker.kill()
        with pytest.raises(BrokerError, match="lost the MQTT broker"):
            subscriber.receive(10.0)
