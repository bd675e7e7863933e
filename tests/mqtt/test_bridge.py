from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain import events
from edge_daemon.domain.commands import Origin, TakeSnapshot
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.credentials import read_credentials
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import NOON, Device, classified, label_changed, wait_until

BASE = "edge_daemon/tray-1"


def test_every_topic_is_published_with_its_qos(broker: Mosquitto, options: MqttOptions) -> None:
    with Listener(broker.port) as listener, Device(options) as device:
        device.wait_connected()
        snapshot = TakeSnapshot(Origin("mqtt", "snapshot", 1))
        device.sink.handle(label_changed("cat"))
        device.sink.handle(classified())
        device.sink.handle(events.ExamplesChanged({"cat": 1}))
        device.sink.handle(events.Snapshot(b"\xff\xd8\xff", snapshot))
        device.sink.handle(events.CommandReply(snapshot))
        received = {
            name: listener.wait_for(f"{BASE}/{name}")
            for name in ("availability", "label", "result", "event", "examples", "info", "snapshot")
        }
        answer = listener.wait_for(f"{BASE}/response/snapshot")
    assert {name: message.qos for name, message in received.items()} == {
        "availability": 1,
        "label": 1,
        "result": 0,
        "event": 1,
        "examples": 1,
        "info": 1,
        "snapshot": 0,
    }
    assert received["availability"].payload == b"online"
    assert received["snapshot"].payload == b"\xff\xd8\xff"
    assert received["event"].json()["event_type"] == "label_changed"
    assert answer.json() == {"status": "ok", "data": {}, "transaction": 1}


def test_the_first_connection_waits_for_the_first_label_and_loses_nothing(
    broker: Mosquitto, options: MqttOptions
) -> None:
    with Listener(broker.port) as listener, Device(options, connect_delay_s=60) as device:
        device.sink.handle(label_changed("cat"))
        with pytest.raises(AssertionError):
            device.wait_connected(timeout_s=0.5)
        device.sink.handle(classified())
        assert listener.wait_for(f"{BASE}/label", b"cat")


def test_a_device_without_a_label_connects_after_the_delay(options: MqttOptions) -> None:
    with Device(options, connect_delay_s=0.05) as device:
        device.wait_connected()


def test_a_device_that_waits_for_its_first_label_stops_at_once(
    options: MqttOptions, caplog: pytest.LogCaptureFixture
) -> None:
    with Device(options, connect_delay_s=60) as device:
        pass
    assert not device.sink.connected
    assert "did not end in time" not in caplog.text


def test_credentials_are_logged_without_the_password(options: MqttOptions) -> None:
    named = msgspec.structs.replace(options, username="tray")
    credentials = read_credentials(named, {"EDGE_DAEMON_MQTT_PASSWORD": "s3cret"})
    assert credentials.password == "s3cret"
    assert "s3cret" not in repr(credentials)


def test_a_late_subscriber_receives_only_retained_messages(broker: Mosquitto, options: MqttOptions) -> None:
    with Device(options) as device:
        with Listener(broker.port) as first:
            device.sink.handle(label_changed("cat"))
            device.sink.handle(events.ExamplesChanged({"cat": 1}))
            first.wait_for(f"{BASE}/examples")
            first.wait_for(f"{BASE}/label", b"cat")
        states = [f"{BASE}/{name}" for name in ("availability", "examples", "info", "label")]
        with Listener(broker.port) as late:
            assert all(late.wait_for(state).retained for state in states)
            assert {message.topic for message in late.messages} == set(states)


def test_a_label_of_an_earlier_run_is_cleared_before_the_birth(
    broker: Mosquitto, options: MqttOptions
) -> None:
    with Listener(broker.port) as listener:
        listener.publish(f"{BASE}/label", b"stale", retain=True)
        listener.clear()
        with Device(options):
            listener.wait_for(f"{BASE}/availability", b"online")
        topics = [message.topic for message in listener.messages]
        assert listener.texts(f"{BASE}/label") == [""]
        assert topics.index(f"{BASE}/label") < topics.index(f"{BASE}/availability")


def test_a_lost_camera_removes_the_retained_label(broker: Mosquitto, options: MqttOptions) -> None:
    with Device(options) as device:
        with Listener(broker.port) as first:
            device.sink.handle(label_changed("cat"))
            first.wait_for(f"{BASE}/label", b"cat")
            first.clear()  # an empty label comes at the start as well
            device.sink.handle(events.CameraLost("unplugged"))
            first.wait_for(f"{BASE}/label", b"")
        with Listener(broker.port) as late:
            late.wait_for(f"{BASE}/info")
            late.wait_for(f"{BASE}/availability")
            assert late.texts(f"{BASE}/label") == []


def test_stop_sends_queued_messages_and_then_offline(broker: Mosquitto, options: MqttOptions) -> None:
    with Listener(broker.port) as listener:
        with Device(options) as device:
            device.wait_connected()
            for number in range(100):
                device.sink.handle(events.Button(str(number), "press"))
        listener.wait_for(f"{BASE}/availability", b"offline")
        pressed = [json.loads(text)["name"] for text in listener.texts(f"{BASE}/event")]
    assert pressed == [str(number) for number in range(100)]
    assert listener.texts(f"{BASE}/availability")[-1] == "offline"


def test_stop_before_start_is_harmless(options: MqttOptions) -> None:
    Device(options).sink.stop()


def test_results_are_rate_limited_in_each_region(broker: Mosquitto, options: MqttOptions) -> None:
    slow = msgspec.structs.replace(options, result_per_s=0.01)
    with Listener(broker.port) as listener, Device(slow, regions=["left", "right"]) as device:
        device.wait_connected()
        for seq in range(20):
            device.sink.handle(classified(seq=seq, region="left"))
            device.sink.handle(classified(seq=seq, region="right"))
        device.sink.handle(label_changed("end", region="left"))
        listener.wait_for(f"{BASE}/left/label", b"end")
        listener.wait_for(f"{BASE}/right/result")
        assert len(listener.texts(f"{BASE}/left/result")) == 1
        assert len(listener.texts(f"{BASE}/right/result")) == 1


def test_results_are_sent_for_every_frame_by_default(broker: Mosquitto, options: MqttOptions) -> None:
    with Listener(broker.port) as listener, Device(options) as device:
        device.wait_connected()
        for seq in range(50):
            device.sink.handle(events.Classified("frame", classified().prediction, seq, NOON, 1.0))
        wait_until(lambda: len(listener.texts(f"{BASE}/result")) == 50)


def test_unusable_files_are_an_error_at_once(options: MqttOptions) -> None:
    bad = msgspec.structs.replace(options, username="tray", password_file="/nowhere/secret")
    with pytest.raises(BrokerError, match="/nowhere/secret"):
        Device(bad)


def test_a_password_without_a_user_name_is_rejected(
    options: MqttOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_DAEMON_MQTT_PASSWORD", "x")
    with pytest.raises(BrokerError, match=r"set mqtt\.username"):
        Device(options)


def test_a_crash_of_the_thread_is_reported(options: MqttOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("edge_daemon.mqtt.outbox.Outbox.connected", broken)
    device = Device(options)
    device.sink.start()
    wait_until(lambda: device.crashes != [])
    device.sink.stop()
    assert "a bug" in str(device.crashes[0])


@pytest.mark.parametrize(("spoken", "settings"), [("5", {}), ("3.1.1", {"version": "3.1.1"})])
def test_both_versions_of_mqtt_work(
    broker: Mosquitto,
    options: MqttOptions,
    caplog: pytest.LogCaptureFixture,
    spoken: str,
    settings: dict[str, str],
) -> None:
    caplog.set_level("INFO", logger="edge_daemon")
    spoken_options = msgspec.structs.replace(options, **settings)
    with Listener(broker.port) as listener, Device(spoken_options) as device:
        listener.wait_for(f"{BASE}/availability", b"online")
        listener.publish(f"{BASE}/request/undo", b"{}")
        wait_until(lambda: device.commands != [])
        device.sink.stop()
        listener.wait_for(f"{BASE}/availability", b"offline")
    assert f"with MQTT {spoken}" in caplog.text
    assert listener.texts(f"{BASE}/availability") == ["online", "offline"]


def test_a_message_above_the_packet_limit_does_not_end_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Mosquitto(settings="max_packet_size 2000") as narrow, Listener(narrow.port) as listener:
        with Device(MqttOptions(host=narrow.host, port=narrow.port)) as device:
            device.wait_connected()
            device.sink.handle(events.Button("x" * 3000, "press"))
            device.sink.handle(label_changed("cat"))
            listener.wait_for(f"{BASE}/label", b"cat")
        listener.wait_for(f"{BASE}/availability", b"offline")
        assert listener.texts(f"{BASE}/availability") == ["online", "offline"]
    assert f"takes no message of 3149 bytes at {BASE}/event" in caplog.text


def test_a_broker_that_takes_few_at_a_time_gets_few(caplog: pytest.LogCaptureFixture) -> None:
    with Mosquitto(settings="max_inflight_messages 2") as narrow, Listener(narrow.port) as listener:
        with Device(MqttOptions(host=narrow.host, port=narrow.port)) as device:
            device.wait_connected()
            for number in range(100):
                device.sink.handle(events.Button(str(number), "press"))
            wait_until(lambda: len(listener.texts(f"{BASE}/event")) == 100)
        listener.wait_for(f"{BASE}/availability", b"offline")
        assert listener.texts(f"{BASE}/availability") == ["online", "offline"]
    assert "lost" not in caplog.text


def test_a_wall_clock_corrected_by_years_has_no_effect(broker: Mosquitto, options: MqttOptions) -> None:
    slow = msgspec.structs.replace(options, result_per_s=0.01)
    with Listener(broker.port) as listener, Device(slow) as device:
        device.clock.now = datetime(1970, 1, 1, tzinfo=UTC)
        device.wait_connected()
        device.sink.handle(classified())
        device.sink.handle(events.Button("red", "press"))
        device.clock.now = NOON
        device.sink.handle(classified())
        device.sink.handle(events.Button("red", "release"))
        wait_until(lambda: len(listener.texts(f"{BASE}/event")) == 2)
        device.sink.stop()
        listener.wait_for(f"{BASE}/availability", b"offline")
    published = [json.loads(text)["at"] for text in listener.texts(f"{BASE}/event")]
    assert published == ["1970-01-01T00:00:00.000Z", "2026-05-01T12:00:00.123Z"]
    assert len(listener.texts(f"{BASE}/result")) == 1
    assert listener.texts(f"{BASE}/availability") == ["online", "offline"]


def test_the_label_of_a_region_that_the_device_no_longer_has_is_cleared(
    broker: Mosquitto, options: MqttOptions
) -> None:
    former = json.dumps({"instance": "earlier", "regions": ["frame", "a/b", "#", "gone"]}).encode()
    with Listener(broker.port) as listener:
        listener.publish(f"{BASE}/info", former, retain=True)
        for region in ("gone", "a/b"):
            listener.publish(f"{BASE}/{region}/label", b"cat", retain=True)
        with Device(options):
            listener.wait_for(f"{BASE}/gone/label", b"")
    with Listener(broker.port) as late:
        assert late.wait_for(f"{BASE}/a/b/label", b"cat")


@pytest.mark.parametrize("payload", [b"", b"{", b'{"regions": [3]}', b'{"regions": "gone"}', b"\xff"])
def test_another_retained_info_changes_nothing(
    broker: Mosquitto, options: MqttOptions, payload: bytes
) -> None:
    with Listener(broker.port) as listener:
        listener.publish(f"{BASE}/info", payload, retain=True)
        with Device(options):
            listener.wait_for(f"{BASE}/availability", b"online")
