"""Brokers that do not send retained messages to new subscribers: the state is sent again."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.mqtt import fleet_link, retained_check
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.retained_check import RetainedCheck
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import Device, label_changed, wait_until
from tests.mqtt.test_fleet_link import FleetDevice, numbers

BASE = "edge_daemon/tray-1"
OWN = Incoming("b/info", b"x", retained=False)
"""The device's own publication, as a subscription receives it at once."""


def granted() -> RetainedCheck:
    """Return a check whose subscription was granted at 1.0 s."""
    check = RetainedCheck("b/info")
    check.connected(True, 0.0)
    check.handle(OWN)
    assert check.pop_subscription() == "b/info/#"
    check.subscribed(7)
    check.acknowledged(7, True, 1.0)
    return check


def test_a_message_that_is_not_delivered_in_time_is_missing_once() -> None:
    check = granted()
    assert not check.pop_missing(5.9)
    assert check.pop_missing(6.0)
    assert not check.pop_missing(100.0)


def test_the_state_is_due_every_minute_from_then_on() -> None:
    check = granted()
    assert not check.pop_resend(1000.0)
    check.pop_missing(10.0)
    assert [now_s for now_s in range(10, 200, 10) if check.pop_resend(now_s)] == [70, 130, 190]


@pytest.mark.parametrize("early", [False, True])
def test_a_delivered_message_ends_the_check(early: bool) -> None:
    check = RetainedCheck("b/info")
    check.connected(True, 0.0)
    check.pop_subscription()
    check.subscribed(7)
    if early:  # before the subscription is acknowledged
        check.handle(Incoming("b/info", b"x", retained=True))
    check.acknowledged(7, True, 1.0)
    if not early:
        check.handle(Incoming("b/info", b"x", retained=True))
    assert not check.pop_missing(100.0)


@pytest.mark.parametrize("incoming", [OWN, Incoming("b/label", b"x", True)])
def test_other_messages_do_not_end_it(incoming: Incoming) -> None:
    check = granted()
    check.handle(incoming)
    assert check.pop_missing(6.0)


def test_a_refused_subscription_shows_nothing() -> None:
    check = RetainedCheck("b/info")
    check.connected(True, 0.0)
    check.handle(OWN)
    check.pop_subscription()
    check.subscribed(7)
    check.acknowledged(7, False, 1.0)
    assert not check.pop_missing(100.0)


def test_a_topic_that_the_device_can_t_read_shows_nothing() -> None:
    check = granted()
    check.connected(True, 20.0)
    check.pop_subscription()
    check.subscribed(8)
    check.acknowledged(8, True, 21.0)
    assert not check.pop_missing(100.0)
    assert not check.pop_resend(1000.0)


def test_each_connection_is_checked() -> None:
    check = granted()
    check.pop_missing(10.0)
    check.connected(True, 20.0)
    assert not check.pop_resend(1000.0)
    assert check.pop_subscription() == "b/info/#"


def test_a_broker_without_retained_messages_needs_no_check() -> None:
    check = RetainedCheck("b/info")
    check.connected(False, 0.0)
    assert check.pop_subscription() is None
    assert check.pop_missing(0.1)


def test_the_state_is_sent_again_to_late_subscribers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retained_check, "RESEND_S", 0.5)
    with Mosquitto(settings="retain_available false") as broker:
        options = MqttOptions(host=broker.host, port=broker.port)
        with Device(options) as device:
            device.sink.handle(label_changed("cat"))
            device.wait_connected()
            with Listener(broker.port, "edge_daemon/+/label") as late:
                wait_until(lambda: late.texts(f"{BASE}/label")[:2] == ["cat", "cat"])
    assert "does not send retained messages" not in caplog.text  # the limit itself was logged


def test_a_missing_message_is_logged_once_and_the_state_sent_again(
    hidden_retained: None,
    broker: Mosquitto,
    options: MqttOptions,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(retained_check, "RESEND_S", 0.5)
    with Listener(broker.port, f"{BASE}/label") as listener, Device(options) as device:
        device.sink.handle(label_changed("cat"))
        wait_until(lambda: listener.texts(f"{BASE}/label").count("cat") >= 4)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert sum("does not send retained messages" in text for text in warnings) == 1


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize(
    "denied",
    [
        f"topic read #\ntopic write {BASE}/#\ntopic deny {BASE}/info\n",
        "topic read #\n"
        + "".join(f"topic write {BASE}/{part}\n" for part in ("availability", "label", "event")),
        "".join(f"topic write {BASE}/#\ntopic read {BASE}/{part}\n" for part in ("request/#", "label")),
    ],
    ids=["info_denied", "info_not_written", "info_not_read"],
)
def test_an_access_list_that_hides_the_message_is_no_missing_message(
    denied: str,
    version: Literal["5", "3.1.1"],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(retained_check, "_DELIVERY_S", 0.2)
    monkeypatch.setattr(retained_check, "RESEND_S", 0.2)
    with (
        Mosquitto(acl=denied) as broker,
        Listener(broker.port, f"{BASE}/label") as listener,
        Device(MqttOptions(host=broker.host, port=broker.port, version=version)) as device,
    ):
        device.sink.handle(label_changed("cat"))
        listener.wait_for(f"{BASE}/label", b"cat")
        for number in range(10):  # for longer than the check and a repetition take
            time.sleep(0.1)
            device.sink.handle(label_changed("dog", seq=number))
        wait_until(lambda: listener.texts(f"{BASE}/label").count("dog") == 10)
        assert listener.texts(f"{BASE}/label").count("cat") == 1
    assert "does not send retained messages" not in caplog.text


ODD = "haus/k\u00fcche (1) [x] 'q' \"d\" \\ %u ~ \U0001f408"


@pytest.mark.parametrize("base", [BASE, ODD])
def test_a_broker_that_keeps_messages_receives_each_value_once(
    base: str,
    broker: Mosquitto,
    options: MqttOptions,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(retained_check, "RESEND_S", 0.1)
    monkeypatch.setattr(retained_check, "_DELIVERY_S", 0.5)
    found = msgspec.structs.replace(options, base_topic=base)
    with Listener(broker.port, f"{base}/#") as listener, Device(found) as device:
        device.sink.handle(label_changed("cat"))
        listener.wait_for(f"{base}/label", b"cat")
        for number in range(8):
            time.sleep(0.1)
            device.sink.handle(label_changed("dog", seq=number))
        wait_until(lambda: listener.texts(f"{base}/label").count("dog") == 8)
        assert len(listener.texts(f"{base}/info")) == 1
    assert "does not send retained messages" not in caplog.text


def test_a_refused_subscription_is_logged_and_no_missing_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At a real broker that refuses subscriptions, which an access list of mosquitto does not."""
    (plugin,) = Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")
    allowed = [f"{BASE}/{each}" for each in ("info", "request/+", "label")]
    rules = [{"acltype": "subscribeLiteral", "topic": topic, "allow": True} for topic in allowed]
    defaults = dict.fromkeys(["publishClientSend", "publishClientReceive", "unsubscribe"], True)
    access = {
        "defaultACLAccess": defaults | {"subscribe": False},
        "roles": [{"rolename": "device", "acls": rules}],
        "groups": [{"groupname": "all", "roles": [{"rolename": "device"}]}],
        "anonymousGroup": "all",
    }
    path = tmp_path / "access.json"
    path.write_text(json.dumps(access))
    monkeypatch.setattr(retained_check, "_DELIVERY_S", 0.1)
    monkeypatch.setattr(retained_check, "RESEND_S", 0.1)
    settings = f"plugin {plugin}\nplugin_opt_config_file {path}"
    with (
        Mosquitto(settings=settings) as broker,
        Listener(broker.port, f"{BASE}/label") as listener,
        Device(MqttOptions(host=broker.host, port=broker.port)) as device,
    ):
        wait_until(lambda: f"refused subscribing to {BASE}/info/#: Not authorized" in caplog.text)
        device.sink.handle(label_changed("cat"))
        for number in range(5):
            time.sleep(0.1)
            device.sink.handle(label_changed("dog", seq=number))
        wait_until(lambda: listener.texts(f"{BASE}/label").count("dog") == 5)
        assert listener.texts(f"{BASE}/label").count("cat") == 1
    assert "does not send retained messages" not in caplog.text


def test_a_new_device_asks_its_peers_for_their_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_link, "_MAX_RESEND_DELAY_S", 0.0)
    with (
        Mosquitto(settings="retain_available false") as broker,
        FleetDevice(broker, "north") as north,
        FleetDevice(broker, "south") as south,
    ):
        north.publish(1, 2)
        south.publish(11)
        wait_until(lambda: north.sink.connected and south.sink.connected)
        numbers(south.messages(1))
        with FleetDevice(broker, "late") as late:
            late.publish(number=0)
            received: set[int] = set()

            def complete() -> bool:
                for each in (north, south):  # they answered each other; the pause after that ends
                    each.now_s += 1.0
                while (message := late.receive_queue.pop()) is not None:
                    received.update(numbers([message]))
                return received == {1, 2, 11}

            wait_until(complete)


def test_messages_above_the_queue_limit_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_link, "_MAX_RESEND_DELAY_S", 0.0)
    with (
        Mosquitto(settings="retain_available false") as broker,
        FleetDevice(broker, "north") as north,
        Listener(broker.port, "edge_daemon/fleet/sorters/late/ask") as asked,
    ):
        north.publish(*range(1, 40), size=1280)
        wait_until(lambda: north.sink.connected)
        with FleetDevice(broker, "late", receive_queue=ReceiveQueue(max_queued=1)) as late:
            late.publish(number=0)
            asked.wait_for("edge_daemon/fleet/sorters/late/ask")
            received: set[int] = set()

            def complete() -> bool:
                north.now_s += 1.0
                while (message := late.receive_queue.pop()) is not None:
                    received.update(numbers([message]))
                return received == set(range(1, 40))

            wait_until(complete)
