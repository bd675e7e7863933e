"""The trial of a broker, at mosquittos with limits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Literal

import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt import broker_trial, fleet_link
from edge_daemon.mqtt.broker_limits import BrokerLimits
from edge_daemon.mqtt.broker_trial import BrokerTrial, TrialResult
from edge_daemon.mqtt.client import Connection
from edge_daemon.mqtt.topics import device_topics
from tests.harness.mosquitto import Mosquitto, free_port
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import Device, label_changed, wait_until
from tests.harness.refusing_broker import RefusingProxy
from tests.harness.unreliable_proxy import Proxy
from tests.mqtt.test_fleet_link import FleetDevice

BASE = "edge_daemon/tray-1"
FLEET = "edge_daemon/fleet/sorters"
DISCOVERY = "homeassistant/device/edge_daemon_tray-1/config"

Version = Literal["5", "3.1.1"]
both_versions = pytest.mark.parametrize("version", ["5", "3.1.1"])


def trial(
    broker: Mosquitto, version: Version = "5", discovery: str | None = None, group: str | None = None
) -> TrialResult:
    options = MqttOptions(host=broker.host, port=broker.port, version=version)
    return BrokerTrial(options, "tray-1", device_topics(None, "tray-1", ["frame"]), discovery, group).run()


@both_versions
def test_a_broker_without_limits_has_no_rejections(broker: Mosquitto, version: Version) -> None:
    assert trial(broker, version, DISCOVERY) == TrialResult()


@both_versions
def test_the_highest_qos_is_found(version: Version) -> None:
    with Mosquitto(settings="max_qos 0") as broker:
        result = trial(broker, version)
    assert result.limits.max_qos == 0
    assert result.rejections == []


@both_versions
def test_a_broker_without_retained_messages_is_found(version: Version) -> None:
    with Mosquitto(settings="retain_available false") as broker:
        result = trial(broker, version)
    assert result.limits == BrokerLimits(retain=False)
    assert result.rejections == []


def test_an_announced_packet_limit_is_read() -> None:
    with Mosquitto(settings="max_packet_size 4000") as broker:
        result = trial(broker)
    assert result.limits.max_packet == 4000
    assert result.rejections == []


def test_a_long_message_that_ends_the_connection_is_found() -> None:
    with Mosquitto(settings="max_packet_size 4000") as broker:
        [rejections] = trial(broker, "3.1.1").rejections
    assert f"at {BASE}/response/doctor ended the connection" in rejections


@both_versions
def test_a_long_message_that_is_dropped_is_found(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_trial, "_ECHO_S", 0.3)
    with Mosquitto(settings="message_size_limit 4000") as broker:
        [rejections] = trial(broker, version).rejections
    assert f"at {BASE}/response/doctor: " in rejections


@both_versions
def test_topics_that_an_access_list_denies_are_found(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_trial, "_ECHO_S", 0.3)
    with Mosquitto(acl="topic readwrite other/#\n") as broker:
        rejections = trial(broker, version).rejections
    assert any(f"at {BASE}/info" in clause for clause in rejections)


def test_a_single_topic_that_is_denied_is_found() -> None:
    acl = f"topic readwrite {BASE}/#\ntopic deny {BASE}/event\n"
    with Mosquitto(acl=acl) as broker:
        assert trial(broker).rejections == [f"publishing at {BASE}/event: Not authorized"]


def test_a_refusal_for_now_is_an_answer(broker: Mosquitto) -> None:
    with RefusingProxy(broker.port) as proxy:
        proxy.refuse_publications(0x83, ending=f"{BASE}/event")
        options = MqttOptions(host=broker.host, port=proxy.port)
        result = BrokerTrial(options, "tray-1", device_topics(None, "tray-1", ["frame"])).run()
    assert result.rejections == [f"publishing at {BASE}/event: Implementation specific error"]


def test_the_discovery_topic_is_tried_if_enabled() -> None:
    with Mosquitto(acl=f"topic readwrite {BASE}/#\n") as broker:
        assert trial(broker).rejections == []
        assert trial(broker, discovery=DISCOVERY).rejections == [f"publishing at {DISCOVERY}: Not authorized"]


@both_versions
def test_a_fleet_that_an_access_list_denies_is_found(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_trial, "_ECHO_S", 0.3)
    own = f"topic readwrite {BASE}/#\n"
    with Mosquitto(acl=f"{own}topic deny edge_daemon/fleet/#\n") as broker:
        assert trial(broker, version).rejections == []
        [rejection] = trial(broker, version, group="sorters").rejections
    assert f"at {FLEET}/tray-1/ask: " in rejection
    with Mosquitto(acl=f"{own}topic readwrite {FLEET}/tray-1/#\n") as broker:
        assert trial(broker, version, group="sorters").rejections == []


def test_refused_subscriptions_to_the_fleet_are_found(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe = Connection.subscribe

    def refuse_fleet(self: Connection, topic_filter: str, qos: int) -> int | None:
        mid = subscribe(self, topic_filter, qos)
        if topic_filter.startswith("edge_daemon/fleet/") and "+" in topic_filter:
            self.rejections.append(f"subscribing to {topic_filter}: Not authorized")
        return mid

    monkeypatch.setattr(Connection, "subscribe", refuse_fleet)
    assert trial(broker, group="sorters").rejections == [
        "subscribing to edge_daemon/fleet/+/tray-1/+: Not authorized",
        f"subscribing to {FLEET}/+/+: Not authorized",
    ]


def test_a_running_fleet_is_not_affected_and_its_records_delay_nothing(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_link, "_MAX_RESEND_DELAY_S", 0.0)
    with FleetDevice(broker, "tray-1") as device, FleetDevice(broker, "tray-2") as peer:
        with Listener(broker.port, f"{FLEET}/#") as listener:
            device.publish(*range(1, 40), size=1000)
            peer.publish(*range(1, 40), size=1000)
            wait_until(lambda: len({message.topic for message in listener.messages}) == 8)
            listener.clear()
            assert trial(broker, group="sorters") == TrialResult(availability="online")
            listener.publish(f"{FLEET}/end", b"")
            listener.wait_for(f"{FLEET}/end")
            topics = {message.topic for message in listener.messages}
        assert topics == {f"{FLEET}/tray-1/ask", f"{FLEET}/end"}


def test_a_running_device_and_its_subscribers_are_not_affected(
    broker: Mosquitto, options: MqttOptions
) -> None:
    with Listener(broker.port) as listener, Device(options) as device:
        device.sink.handle(label_changed("cat"))
        listener.wait_for(f"{BASE}/label", b"cat")
        listener.wait_for(f"{BASE}/availability", b"online")
        info = listener.wait_for(f"{BASE}/info").payload
        listener.wait_for(f"{BASE}/event")
        listener.clear()
        result = trial(broker)
        listener.wait_for(f"{BASE}/response/doctor")
        listener.wait_for(f"{BASE}/info")
        assert result.availability == "online"
        assert device.sink.connected
        assert {message.topic for message in listener.messages} == {f"{BASE}/info", f"{BASE}/response/doctor"}
        assert set(listener.texts(f"{BASE}/info")) == {info.decode()}


def test_no_broker_is_an_error() -> None:
    options = MqttOptions(host="127.0.0.1", port=free_port())
    with pytest.raises(BrokerError, match="Connection refused"):
        BrokerTrial(options, "tray-1", device_topics(None, "tray-1", ["frame"])).run()


class RoundRobin(Proxy):
    """Passes each connection on to the next of several brokers, as a load balancer does."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = cycle(ports)
        super().__init__(ports[0])

    def target_port(self) -> int:
        """Return the next broker's port."""
        return next(self._ports)


def test_nodes_that_keep_retained_messages_separately_are_found(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_trial, "_ECHO_S", 0.5)
    with Mosquitto() as other, RoundRobin([broker.port, other.port]) as balancer:
        options = MqttOptions(host="127.0.0.1", port=balancer.port)
        with Listener(broker.port) as here, Listener(other.port) as there:
            result = BrokerTrial(options, "tray-1", device_topics(None, "tray-1", ["frame"])).run()
        topics = {message.topic for message in here.messages + there.messages}
    assert result.rejections == []
    assert (result.without_retained, result.without_wildcard) == (2, 2)
    assert result.retained_gaps == [
        "did not send a retained message to 2 of 3 new connections, as a cluster does whose nodes keep them"
        " separately"
    ]
    # The other node may hold the device's values, so none is replaced.
    assert topics == {f"{BASE}/response/doctor"}


def test_missing_wildcards_are_described() -> None:
    assert TrialResult(without_wildcard=3).retained_gaps == [
        "does not send retained messages to subscriptions with a wildcard"
    ]
    assert TrialResult().retained_gaps == []


def assert_nothing_is_left(broker: Mosquitto) -> None:
    with Listener(broker.port, f"{BASE}/response/#") as listener:
        listener.publish(f"{BASE}/response/end", b"x")
        listener.wait_for(f"{BASE}/response/end")
        assert listener.texts(f"{BASE}/response/doctor") == []


def test_the_retained_test_message_is_removed(broker: Mosquitto) -> None:
    trial(broker)
    assert_nothing_is_left(broker)


@both_versions
def test_a_refused_second_connection_is_named_and_nothing_is_left(
    broker: Mosquitto, version: Version
) -> None:
    with Proxy(broker.port) as network:
        network.forbid(b"edge_daemon-tray-1-doctor-subscriber")
        options = MqttOptions(host="127.0.0.1", port=network.port, version=version)
        result = BrokerTrial(options, "tray-1", device_topics(None, "tray-1", ["frame"])).run()
    [rejection] = result.rejections
    assert rejection.startswith(f"another connection (the MQTT broker at 127.0.0.1:{network.port} hung up")
    assert result.retained_gaps == []
    assert_nothing_is_left(broker)


def test_a_refused_subscription_is_no_missing_message(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe = Connection.subscribe

    def refuse_wildcards(self: Connection, topic_filter: str, qos: int) -> int | None:
        if topic_filter.endswith("/#"):
            self.rejections.append(f"subscribing to {topic_filter}: Not authorized")
            return None
        return subscribe(self, topic_filter, qos)

    monkeypatch.setattr(Connection, "subscribe", refuse_wildcards)
    monkeypatch.setattr(broker_trial, "_ECHO_S", 0.2)
    assert trial(broker) == TrialResult()
