from __future__ import annotations

from random import Random

import msgspec
import pytest

from edge_daemon.config.mqtt import DiscoveryOptions, MqttOptions
from edge_daemon.domain import events
from edge_daemon.mqtt.discovery_publisher import DiscoveryPublisher, described_platforms
from edge_daemon.mqtt.message import Incoming, Message
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import Device, wait_until
from tests.mqtt.test_home_assistant import config_of, discovery

CONFIG = "homeassistant/device/edge_daemon_tray-1/config"


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"origin": {"name": "other"}, "components": {}}', b"\xff", b"[" * 9000]
)
def test_another_payload_is_no_discovery_message_of_ours(text: bytes) -> None:
    assert described_platforms(text) is None


def due(publisher: DiscoveryPublisher, labels: list[str], now_s: float, max_qos: int = 2) -> Message | None:
    publisher.set_labels(tuple(labels))
    return publisher.pop_due(now_s, max_qos)


class TestDiscoveryPublisher:
    """Times of the discovery messages."""

    @staticmethod
    def publisher(enabled: bool = True) -> DiscoveryPublisher:
        return DiscoveryPublisher(discovery(), enabled, Random(1))

    def test_it_waits_until_the_labels_are_known(self) -> None:
        publisher = self.publisher()
        assert publisher.pop_due(0.0) is None
        assert due(publisher, [], 0.0) is not None
        assert due(publisher, [], 0.0) is None

    def test_it_is_published_again_when_the_labels_change(self) -> None:
        publisher = self.publisher()
        due(publisher, ["cat"], 0.0)
        changed = due(publisher, ["dog"], 1.0)
        assert changed is not None
        assert b"Teach dog" in changed.payload
        assert b"Teach cat" not in changed.payload

    def test_after_a_birth_it_waits_at_random(self) -> None:
        publisher = self.publisher()
        due(publisher, [], 0.0)
        publisher.handle(Incoming("homeassistant/status", b"online", False), 100.0)
        assert due(publisher, [], 100.0) is None
        assert due(publisher, [], 110.0) is not None
        assert due(publisher, [], 120.0) is None

    def test_a_button_of_an_earlier_run_is_removed(self) -> None:
        publisher = self.publisher()
        due(publisher, [], 0.0)
        earlier = discovery().announcement(["cat"], {})
        publisher.handle(Incoming(CONFIG, earlier.payload, True), 1.0)
        message = due(publisher, [], 1.0)
        assert message is not None
        assert {"platform": "button"} in config_of(message)["components"].values()

    def test_changing_labels_leave_the_message_bounded(self) -> None:
        publisher = self.publisher()
        message = None
        for number in range(1000):
            message = due(publisher, [f"label-{number}"], float(number))
        assert message is not None
        assert len(message.payload) < 30_000
        assert list(config_of(message)["components"].values()).count({"platform": "button"}) > 100

    def test_the_qos_is_limited_by_the_broker(self) -> None:
        for max_qos, expected_qos in ((2, 1), (0, 0)):
            message = due(self.publisher(), [], 0.0, max_qos)
            assert message is not None
            assert config_of(message)["qos"] == expected_qos

    def test_disabled_discovery_removes_only_an_earlier_message(self) -> None:
        publisher = self.publisher(enabled=False)
        assert due(publisher, ["cat"], 0.0) is None
        publisher.handle(Incoming("homeassistant/status", b"online", False), 1.0)
        earlier = discovery().announcement(["cat"], {})
        publisher.handle(Incoming(CONFIG, earlier.payload, True), 1.0)
        assert due(publisher, ["cat"], 20.0) == Message(CONFIG, b"", 1, retain=True)
        assert due(publisher, ["cat"], 21.0) is None


def test_discovery_is_published_repeated_and_removed(
    broker: Mosquitto, options: MqttOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_daemon.mqtt.discovery_publisher._MAX_DELAY_S", 0.05)
    enabled = msgspec.structs.replace(options, discovery=DiscoveryOptions(enabled=True))
    with Listener(broker.port) as listener:
        with Device(enabled) as device:
            device.sink.handle(events.ExamplesChanged({"cat": 1}))
            listener.wait_for(CONFIG)
            published = len(listener.texts(CONFIG))
            listener.publish("homeassistant/status", b"online")
            wait_until(lambda: len(listener.texts(CONFIG)) > published)
            assert '"Teach cat"' in listener.texts(CONFIG)[-1]
        with Device(options):
            listener.wait_for(CONFIG, b"")
    with Listener(broker.port, CONFIG) as late:
        late.publish(CONFIG, b"end")
        late.wait_for(CONFIG, b"end")
        assert late.texts(CONFIG) == ["end"]
