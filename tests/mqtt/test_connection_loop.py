"""A device at brokers with limits. Every broker here is a real mosquitto."""

from __future__ import annotations

import json
import logging
import re
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from edge_daemon.config.mqtt import DiscoveryOptions, MqttOptions
from edge_daemon.domain import events
from edge_daemon.domain.commands import ListExamples, Origin
from edge_daemon.mqtt.broker_limits import BrokerLimitEstimator
from edge_daemon.mqtt.client import ConnectOptions
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.negotiation import connect
from edge_daemon.mqtt.outbox import Outbox
from edge_daemon.mqtt.persistent_queue import PersistentQueue
from edge_daemon.mqtt.retained_check import RetainedCheck
from edge_daemon.mqtt.sender import Sender
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.wakeup import Wakeup
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import NOON, Device, classified, label_changed, wait_until
from tests.harness.refusing_broker import RefusingProxy
from tests.harness.unreliable_proxy import Proxy

BASE = "edge_daemon/tray-1"
CONFIG = "homeassistant/device/edge_daemon_tray-1/config"
MANY = {f"label-{number}": 1 for number in range(200)}

Version = Literal["auto", "5", "3.1.1"]
both_versions = pytest.mark.parametrize("version", ["auto", "3.1.1"])


def at(port: int, version: Version = "auto", **settings: Any) -> MqttOptions:
    return MqttOptions(host="127.0.0.1", port=port, max_reconnect_s=0.3, version=version, **settings)


def warnings(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)


@both_versions
@pytest.mark.parametrize(
    "settings", ["max_qos 0", "retain_available false", "max_qos 0\nretain_available false"]
)
def test_events_and_labels_are_accepted_by_a_limited_broker(
    version: Version, settings: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Mosquitto(settings=settings) as broker,
        Listener(broker.port) as listener,
        Device(at(broker.port, version)) as device,
    ):
        device.wait_connected()
        for number in range(5):
            device.sink.handle(label_changed(f"label-{number}", seq=number))
        listener.wait_for(f"{BASE}/label", b"label-4")
        wait_until(lambda: len(listener.texts(f"{BASE}/event")) == 5)
        assert device.sink.connected
    text = warnings(caplog)
    assert "lost the MQTT broker" not in text
    assert text.count("takes QoS 0 at most") == ("max_qos" in settings)
    assert text.count("keeps no retained messages") == ("retain" in settings)


@both_versions
def test_the_will_is_published_by_a_broker_without_retained_messages(version: Version) -> None:
    with (
        Mosquitto(settings="retain_available false") as broker,
        Listener(broker.port) as listener,
        Proxy(broker.port) as proxy,
        Device(at(proxy.port, version)) as device,
    ):
        device.wait_connected()
        listener.wait_for(f"{BASE}/availability", b"online")
        proxy.cut()
        listener.wait_for(f"{BASE}/availability", b"offline")


@both_versions
def test_events_with_qos_0_wait_on_disk_for_the_broker(version: Version, tmp_path: Path) -> None:
    path, late = tmp_path / "events.sqlite", Mosquitto()
    options = at(late.port, version, qos=0)
    with Device(options, queue_path=path) as device:
        wait_until(lambda: device.sink.fault != "")
        for number in range(3):
            device.sink.handle(label_changed(f"label-{number}", seq=number))
    with late, Listener(late.port) as listener, Device(options, queue_path=path) as device:
        wait_until(lambda: len(listener.texts(f"{BASE}/event")) == 3)
        device.sink.handle(label_changed("now"))
        for _ in range(200):
            device.sink.handle(classified())
        wait_until(lambda: len(listener.texts(f"{BASE}/event")) == 4)
        received = [message for message in listener.messages if message.topic.startswith(BASE)]
    assert {message.qos for message in received} == {0}


def test_no_event_with_qos_0_is_lost_after_the_end_of_the_connection_was_read(broker: Mosquitto) -> None:
    outbox = Outbox(100, PersistentQueue(None, 100))
    sender = Sender(
        outbox, None, BrokerLimitEstimator(0), RetainedCheck(f"{BASE}/info"), SystemClock(), f"{BASE}/fence"
    )
    connection = connect(at(broker.port, qos=0), ConnectOptions("edge_daemon-tray-1"), {}, lambda: False)
    sender.connected(connection, [])
    broker.stop()
    with closing(Wakeup()) as wakeup:
        while not connection.broken:
            connection.poll(wakeup, 0.1)
    for number in range(3):
        outbox.put(Message(f"{BASE}/event", str(number).encode(), 0, retain=False))
    sender.send(connection)
    assert outbox.has_events
    outbox.disconnected()
    outbox.connected()
    left = iter(lambda: outbox.next(20, 0.0), None)
    assert [queued.message.payload for queued in left] == [b"0", b"1", b"2"]


def test_a_label_that_the_broker_could_not_take_never_replaces_a_newer_one(broker: Mosquitto) -> None:
    with (
        RefusingProxy(broker.port) as proxy,
        Listener(broker.port) as listener,
        Device(at(proxy.port, "5")) as device,
    ):
        device.wait_connected()
        wait_until(lambda: listener.texts(f"{BASE}/label") == [""])
        proxy.refuse_publications(0x97, "/label")
        device.sink.handle(label_changed("old"))
        wait_until(lambda: proxy.refused >= 1)
        proxy.refuse_publications(None)
        device.sink.handle(label_changed("new"))
        device.sink.handle(events.Button("after the pause", "press"))
        wait_until(lambda: "after the pause" in "".join(listener.texts(f"{BASE}/event")))
        assert listener.texts(f"{BASE}/label") == ["", "new"]


def test_the_loss_of_events_that_the_broker_could_not_take_is_logged_when_it_takes_them(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        RefusingProxy(broker.port) as proxy,
        Listener(broker.port) as listener,
        Device(at(proxy.port, "5", max_queued=10)) as device,
    ):
        device.wait_connected()
        proxy.refuse_publications(0x97, "/event")
        for number in range(25):
            device.sink.handle(events.Button(str(number), "press"))
        wait_until(lambda: proxy.refused >= 3)
        proxy.refuse_publications(None)
        wait_until(lambda: "dropped " in warnings(caplog))
        [dropped] = re.findall("dropped ([0-9]+) MQTT events", warnings(caplog))
        wait_until(lambda: len(listener.texts(f"{BASE}/event")) == 25 - int(dropped))


@both_versions
def test_events_stored_with_another_qos_pass(version: Version, tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    before = PersistentQueue(path, 100)
    before.store([Message(f"{BASE}/event", str(number).encode(), 2, retain=False) for number in range(30)])
    before.close()
    with Mosquitto(settings="max_qos 0") as broker, Listener(broker.port) as listener:
        with Device(at(broker.port, version, qos=0), queue_path=path):
            listener.wait_for(f"{BASE}/event", b"29")
        assert listener.texts(f"{BASE}/event") == [str(number) for number in range(30)]
    after = PersistentQueue(path, 100)
    assert len(after) == 0
    after.close()


@pytest.mark.parametrize(
    ("version", "settings"),
    [("auto", "max_packet_size 600"), ("3.1.1", "max_packet_size 600"), ("auto", "message_size_limit 600")],
)
def test_messages_that_are_too_long_stop_nothing(
    version: Version, settings: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = at(0, version, discovery=DiscoveryOptions(enabled=True))
    with Mosquitto(settings=settings) as broker, Listener(broker.port) as listener:
        with Device(msgspec.structs.replace(options, port=broker.port)) as device:
            device.sink.handle(events.ExamplesChanged(MANY))
            device.sink.handle(events.Button("x" * 1000, "press"))
            for number in range(3):
                device.sink.handle(label_changed(f"label-{number}", seq=number))
            device.wait_connected()
            wait_until(lambda: len(listener.texts(f"{BASE}/event")) == 3)
            listener.wait_for(f"{BASE}/label", b"label-2")
            _assert_it_stays_connected(device, listener)
        counts = json.loads(listener.wait_for(f"{BASE}/examples").payload)
        assert listener.texts(CONFIG) == []
    assert counts["total"] == 200
    assert 0 < len(counts["counts"]) < 200
    assert warnings(caplog).count("lost the MQTT broker") <= (10 if version == "3.1.1" else 0)


def _assert_it_stays_connected(device: Device, listener: Listener) -> None:
    """Results pass and no connection is lost: `online` comes once for each connection."""
    wait_until(lambda: _passes(device, listener))
    connections = len(listener.texts(f"{BASE}/availability"))
    device.sink.handle(label_changed("end"))
    listener.wait_for(f"{BASE}/label", b"end")
    assert len(listener.texts(f"{BASE}/availability")) == connections


def _passes(device: Device, listener: Listener) -> bool:
    time.sleep(0.05)
    device.sink.handle(classified())
    return len(listener.texts(f"{BASE}/result")) > 5


def test_a_too_long_response_becomes_an_error() -> None:
    with (
        Mosquitto(settings="max_packet_size 600") as broker,
        Listener(broker.port) as listener,
        Device(at(broker.port)) as device,
    ):
        request = ListExamples(Origin("mqtt", "examples", 7))
        device.sink.handle(events.CommandReply(request, data={"counts": MANY}))
        answer = listener.wait_for(f"{BASE}/response/examples").json()
    assert answer["status"] == "error"
    assert "longer than the broker takes" in answer["error"]
    assert answer["transaction"] == 7


def test_a_subscription_that_the_broker_refuses_for_now_is_sent_again(broker: Mosquitto) -> None:
    with RefusingProxy(broker.port) as proxy, Listener(broker.port) as listener:
        proxy.refuse_subscriptions(0x83)  # as RabbitMQ without a majority
        with Device(at(proxy.port)) as device:
            wait_until(lambda: proxy.refused > 0)
            proxy.refuse_subscriptions(None)

            def is_executed() -> bool:
                listener.publish(f"{BASE}/request/undo", b"{}")
                return bool(device.commands)

            wait_until(is_executed)


def test_a_subscription_at_which_the_broker_hangs_up_is_omitted(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    with Listener(broker.port) as listener, Proxy(broker.port) as proxy:
        proxy.forbid(b"homeassistant/status")
        with Device(at(proxy.port, "3.1.1", discovery=DiscoveryOptions(enabled=True))) as device:
            device.sink.handle(label_changed("cat"))
            listener.wait_for(f"{BASE}/label", b"cat", timeout_s=40)
            listener.wait_for(f"{BASE}/availability", b"online")
    assert "hangs up at a subscription at homeassistant/status" in warnings(caplog)


def test_a_topic_at_which_the_broker_hangs_up_is_omitted(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    with Listener(broker.port) as listener, Proxy(broker.port) as proxy:
        proxy.forbid(f"{BASE}/info".encode() + b"\x00")  # with the packet id: not the subscription
        with Device(at(proxy.port, "3.1.1")) as device:
            device.sink.handle(label_changed("cat"))
            listener.wait_for(f"{BASE}/label", b"cat", timeout_s=40)
            listener.wait_for(f"{BASE}/event", timeout_s=40)
    assert f"at {BASE}/info" in warnings(caplog)


def test_two_devices_with_one_id_suspect_no_message(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    options = at(broker.port, "3.1.1")
    with Device(options) as one, Device(options) as other:
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            for device in (one, other):
                device.sink.handle(events.Classified("frame", classified().prediction, 1, NOON, 1.0))
            time.sleep(0.02)
    assert "hangs up at" not in warnings(caplog)
    assert "QoS 0" not in warnings(caplog)


def test_a_broker_that_restarts_repeatedly_is_not_limited(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    with Device(at(broker.port, "3.1.1")) as device:
        for number in range(4):
            device.wait_connected()
            device.sink.handle(label_changed(f"label-{number}"))
            broker.kill()
            device.wait_connected(False)
            broker.start()
        device.wait_connected()
    assert "hangs up at" not in warnings(caplog)
    assert "QoS 0" not in warnings(caplog)
