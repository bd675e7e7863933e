from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.mqtt import fleet_link
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import Device, label_changed, wait_until
from tests.mqtt.test_fleet_link import FleetDevice

ACL = Path(__file__).resolve().parents[2] / "config" / "mosquitto-acl.conf"
USERS = dict.fromkeys(["tray-1", "tray-2", "teacher", "subscriber", "homeassistant"], "secret")
BASE = "edge_daemon/tray-1"
FLEET = "edge_daemon/fleet/sorters"


@pytest.fixture
def acl_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mosquitto]:
    monkeypatch.setenv("EDGE_DAEMON_MQTT_PASSWORD", "secret")
    with Mosquitto(users=USERS, acl=ACL.read_text()) as broker:
        yield broker


def as_user(broker: Mosquitto, name: str) -> Listener:
    def configure(client: Client) -> None:
        client.username_pw_set(name, "secret")

    return Listener(broker.port, configure=configure)


def options(broker: Mosquitto, name: str) -> MqttOptions:
    return MqttOptions(host=broker.host, port=broker.port, username=name)


def test_a_subscriber_sees_labels_and_can_t_teach(acl_broker: Mosquitto) -> None:
    with Device(options(acl_broker, "tray-1")) as device, as_user(acl_broker, "subscriber") as subscriber:
        device.sink.handle(label_changed("cat"))
        subscriber.wait_for(f"{BASE}/label", b"cat")
        subscriber.publish(f"{BASE}/request/add", b'{"label": "dog"}')
        subscriber.publish(f"{BASE}/label", b"dog")
        device.sink.handle(label_changed("bird"))
        subscriber.wait_for(f"{BASE}/label", b"bird")
        assert device.commands == []
        assert "dog" not in subscriber.texts(f"{BASE}/label")


def test_a_client_with_write_access_sends_requests_and_receives_responses(acl_broker: Mosquitto) -> None:
    with Device(options(acl_broker, "tray-1")) as device, as_user(acl_broker, "teacher") as requester:
        requester.wait_for(f"{BASE}/availability", b"online")
        requester.publish(f"{BASE}/request/undo", b"{}")
        requester.publish(f"{BASE}/request/add", b"{no json")
        assert requester.wait_for(f"{BASE}/response/add").json()["status"] == "error"
        wait_until(lambda: device.commands != [])


def test_a_device_can_t_publish_for_another_and_logs_it(
    acl_broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    with as_user(acl_broker, "teacher") as requester:
        with Device(options(acl_broker, "tray-2"), device_id="tray-1") as impostor:
            impostor.wait_connected()
            impostor.sink.handle(label_changed("false"))
            wait_until(lambda: f"refused publishing at {BASE}/label: Not authorized" in caplog.text)
            impostor.sink.handle(label_changed("false again"))
        with Device(options(acl_broker, "tray-2"), device_id="tray-2") as device:
            device.sink.handle(label_changed("true"))
            requester.wait_for("edge_daemon/tray-2/label", b"true")
        assert not [message for message in requester.messages if message.topic.startswith(BASE)]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == len(set(warnings))


@pytest.fixture
def quick_answers(hidden_retained: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_link, "_MAX_RESEND_DELAY_S", 0.0)


@contextmanager
def asking_fleet(broker: Mosquitto, has_asked: Callable[[str], bool]) -> Iterator[FleetDevice]:
    """Run two devices; yield the second one after it has asked its peer for all records."""
    with FleetDevice(broker, "tray-1", username="tray-1") as first:
        first.publish(1, 2)
        wait_until(lambda: has_asked("tray-1"))
        with FleetDevice(broker, "tray-2", username="tray-2") as second:
            second.publish(11)
            wait_until(lambda: has_asked("tray-2"))
            yield second


def topics_of(listener: Listener, name: str) -> list[str]:
    """Return the last levels of a device's fleet topics, in order of arrival."""
    base = f"{FLEET}/{name}/"
    topics = [message.topic for message in list(listener.messages)]
    return [topic.removeprefix(base) for topic in topics if topic.startswith(base)]


def test_a_device_of_the_access_list_may_ask_its_fleet_for_records(
    acl_broker: Mosquitto, quick_answers: None
) -> None:
    with as_user(acl_broker, "teacher") as requester:
        with asking_fleet(acl_broker, lambda name: "ask" in topics_of(requester, name)):
            wait_until(lambda: topics_of(requester, "tray-1").count("0") == 2)
        assert topics_of(requester, "tray-1") == ["roll", "0", "ask", "roll", "0"]


def test_a_refused_request_for_records_is_logged_and_the_fleet_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, quick_answers: None
) -> None:
    monkeypatch.setenv("EDGE_DAEMON_MQTT_PASSWORD", "secret")
    acl = ACL.read_text().replace("pattern readwrite edge_daemon/fleet/+/%u/#\n", "")
    acl += "".join(f"pattern write edge_daemon/fleet/+/%u/{name}\n" for name in ("roll", "0"))
    with Mosquitto(users=USERS, acl=acl) as broker, as_user(broker, "teacher") as requester:

        def was_refused(name: str) -> bool:
            return f"refused publishing at {FLEET}/{name}/ask: Not authorized" in caplog.text

        with asking_fleet(broker, was_refused) as second:
            second.publish(11, 12)
            wait_until(lambda: topics_of(requester, "tray-2").count("0") == 2)
        assert topics_of(requester, "tray-1") == ["roll", "0"]
