"""Faults of brokers and networks. Every broker here is a real mosquitto."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from edge_daemon.config.mqtt import MqttOptions, TlsOptions
from edge_daemon.domain import events
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.persistent_queue import PersistentQueue
from tests.harness.certificates import make_certificates
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import Device, classified, label_changed, wait_until
from tests.harness.refusing_broker import RefusingProxy

BASE = "edge_daemon/tray-1"
TOO_LONG_S = 20.0


def at(broker: Mosquitto, **settings: object) -> MqttOptions:
    return MqttOptions(host=broker.host, port=broker.port, max_reconnect_s=0.2, **settings)  # type: ignore[arg-type]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_the_will_is_published_when_the_process_is_killed(broker: Mosquitto) -> None:
    program = (
        "import time\n"
        "from tests.harness.mqtt_harness import Device\n"
        "from edge_daemon.config.mqtt import MqttOptions\n"
        f"with Device(MqttOptions(port={broker.port})): time.sleep(60)"
    )
    with Listener(broker.port) as listener:
        child = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
        listener.wait_for(f"{BASE}/availability", b"online")
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        listener.wait_for(f"{BASE}/availability", b"offline")
    with Listener(broker.port) as late:
        assert late.wait_for(f"{BASE}/availability").payload == b"offline"


def test_a_broker_that_starts_later_receives_retained_messages_and_events(
    caplog: pytest.LogCaptureFixture,
) -> None:
    late = Mosquitto()
    with Device(at(late)) as device:
        wait_until(lambda: warnings(caplog) != [])
        device.sink.handle(label_changed("cat"))
        device.sink.handle(classified())
        device.sink.handle(label_changed("dog"))
        with late, Listener(late.port) as listener:
            device.wait_connected()
            listener.wait_for(f"{BASE}/label", b"dog")
        assert "cat" not in listener.texts(f"{BASE}/label")
    assert "can't reach the MQTT broker" in warnings(caplog)[0]


def test_retained_messages_are_resent_to_a_restarted_broker(broker: Mosquitto) -> None:
    with Device(at(broker)) as device:
        device.sink.handle(label_changed("cat"))
        device.sink.handle(events.ExamplesChanged({"cat": 1}))
        device.wait_connected()
        broker.kill()
        device.wait_connected(False)
        broker.start()
        device.wait_connected()
        with Listener(broker.port) as listener:
            for name in ("info", "examples"):
                listener.wait_for(f"{BASE}/{name}")
            listener.wait_for(f"{BASE}/label", b"cat")
            listener.wait_for(f"{BASE}/availability", b"online")
            listener.publish(f"{BASE}/request/undo", b"{}")
            wait_until(lambda: device.commands != [])


def test_events_of_an_outage_arrive_in_order_and_no_old_label(broker: Mosquitto) -> None:
    with Device(at(broker)) as device:
        device.wait_connected()
        device.sink.handle(label_changed("before"))
        broker.kill()
        device.wait_connected(False)
        for number in range(30):
            device.sink.handle(label_changed(f"label-{number}", seq=number))
            device.sink.handle(classified(seq=number))
        broker.start()
        with Listener(broker.port) as listener:
            device.wait_connected()
            device.sink.handle(events.Button("end", "press"))
            wait_until(lambda: '"name":"end"' in "".join(listener.texts(f"{BASE}/event")))
            wait_until(lambda: listener.texts(f"{BASE}/label") != [])
        assert set(listener.texts(f"{BASE}/label")) == {"label-29"}
        assert listener.texts(f"{BASE}/result") == []


@pytest.mark.parametrize("qos", [1, 2])
def test_events_that_the_broker_cannot_take_for_now_arrive_later(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture, tmp_path: Path, qos: Literal[1, 2]
) -> None:
    path = tmp_path / "events.sqlite"
    with RefusingProxy(broker.port) as proxy, Listener(broker.port) as listener:
        options = MqttOptions(host="127.0.0.1", port=proxy.port, version="5", qos=qos)
        with Device(options, queue_path=path) as device:
            device.wait_connected()
            proxy.refuse_publications(0x83, "/event")
            for number in range(30):
                device.sink.handle(events.Button(f"b{number:02}", "press"))
            device.sink.handle(label_changed("while refused"))
            device.sink.handle(classified())
            wait_until(lambda: "while refused" in listener.texts(f"{BASE}/label"))
            wait_until(lambda: listener.texts(f"{BASE}/result") != [])
            wait_until(lambda: proxy.refused >= 3)
            wait_until(lambda: len(PersistentQueue(path, 1000)) == 31)  # one is the change of the label
            assert listener.texts(f"{BASE}/event") == []
            proxy.refuse_publications(None)
            wait_until(lambda: len(listener.texts(f"{BASE}/event")) == 31)
        found = [json.loads(text).get("name") for text in listener.texts(f"{BASE}/event")]
        names = [name for name in found if name is not None]
    assert names == [f"b{number:02}" for number in range(30)]
    assert sum("Implementation specific error" in text for text in warnings(caplog)) == 1
    assert len(PersistentQueue(path, 1000)) == 0


@pytest.mark.parametrize("qos", [1, 2])
def test_events_that_the_broker_cannot_take_survive_a_stop(
    broker: Mosquitto, tmp_path: Path, qos: Literal[1, 2]
) -> None:
    path = tmp_path / "events.sqlite"
    with RefusingProxy(broker.port) as proxy, Listener(broker.port) as listener:
        options = MqttOptions(host="127.0.0.1", port=proxy.port, version="5", qos=qos)
        with Device(options, queue_path=path) as device:
            device.wait_connected()
            proxy.refuse_publications(0x97, "/event")
            device.sink.handle(events.Button("first", "press"))
            wait_until(lambda: proxy.refused >= 1)
        proxy.refuse_publications(None)
        with Device(options, queue_path=path):
            wait_until(lambda: len(listener.texts(f"{BASE}/event")) == 1)


def test_a_damaged_event_stops_neither_the_start_nor_the_other_events(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = tmp_path / "events.sqlite"
    topics = [f"{BASE}/event", f"{BASE}/#", "elsewhere/event", f"{BASE}/event"]
    queue = PersistentQueue(path, 10)
    queue.store([Message(topic, b"%d" % number, 1, False) for number, topic in enumerate(topics)])
    queue.close()
    with Listener(broker.port) as listener:
        with Device(at(broker), queue_path=path):
            wait_until(lambda: listener.texts(f"{BASE}/event") == ["0", "3"])
        assert listener.texts("elsewhere/event") == []
    assert sum("is dropped" in text for text in warnings(caplog)) == 2
    assert len(PersistentQueue(path, 10)) == 0


@pytest.mark.parametrize("qos", [1, 2])
def test_an_event_that_may_not_be_published_is_given_up(
    broker: Mosquitto, tmp_path: Path, qos: Literal[1, 2]
) -> None:
    path = tmp_path / "events.sqlite"
    with RefusingProxy(broker.port) as proxy, Listener(broker.port) as listener:
        options = MqttOptions(host="127.0.0.1", port=proxy.port, version="5", qos=qos)
        with Device(options, queue_path=path) as device:
            device.wait_connected()
            proxy.refuse_publications(0x87, "/event")
            device.sink.handle(events.Button("forbidden", "press"))
            wait_until(lambda: proxy.refused >= 1)
            proxy.refuse_publications(None)
            device.sink.handle(events.Button("allowed", "press"))
            wait_until(lambda: listener.texts(f"{BASE}/event") != [])
        assert [json.loads(text)["name"] for text in listener.texts(f"{BASE}/event")] == ["allowed"]


def test_the_queue_of_an_outage_is_bounded_and_the_loss_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    late = Mosquitto()
    with Device(at(late, max_queued=10)) as device:
        for number in range(25):
            device.sink.handle(events.Button(str(number), "press"))
        with late:
            device.wait_connected()
            wait_until(lambda: any("dropped 15 MQTT events while" in text for text in warnings(caplog)))


def test_events_of_an_outage_are_written_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, store = tmp_path / "events.sqlite", PersistentQueue.store
    batches: list[int] = []

    def counted(
        self: PersistentQueue, messages: Sequence[Message], held: Sequence[Message], *, may_move: bool
    ) -> int:
        batches.append(len(messages))
        return store(self, messages, held, may_move=may_move)

    monkeypatch.setattr(PersistentQueue, "store", counted)
    with Device(at(Mosquitto()), queue_path=path) as device:
        for number in range(40):
            device.sink.handle(events.Button(str(number), "press"))
            time.sleep(0.1)
    assert len(batches) <= 5
    assert sum(batches) == len(PersistentQueue(path, 1000)) == 40


def test_events_of_an_outage_outlive_the_process(tmp_path: Path) -> None:
    late, path = Mosquitto(), tmp_path / "events.sqlite"
    program = (
        "import time\n"
        "from pathlib import Path\n"
        "from edge_daemon.domain import events\n"
        "from edge_daemon.config.mqtt import MqttOptions\n"
        "from tests.harness.mqtt_harness import Device\n"
        f"options = MqttOptions(port={late.port}, max_reconnect_s=0.2)\n"
        f"with Device(options, queue_path=Path({str(path)!r})) as device:\n"
        "    for number in range(50): device.sink.handle(events.Button(str(number), 'press'))\n"
        "    time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    wait_until(lambda: path.exists() and len(PersistentQueue(path, 1000)) == 50)
    child.kill()
    child.wait()
    with late, Listener(late.port) as listener:
        with Device(at(late), queue_path=path) as device:
            device.sink.handle(events.Button("50", "press"))
            wait_until(lambda: '"name":"50"' in "".join(listener.texts(f"{BASE}/event")))
        names = [json.loads(text)["name"] for text in listener.texts(f"{BASE}/event")]
        assert names == [str(number) for number in range(51)]
        listener.clear()
        with Device(at(late), queue_path=path) as device:
            device.wait_connected()
        listener.wait_for(f"{BASE}/availability", b"offline")
        assert listener.texts(f"{BASE}/event") == []


def test_events_go_to_disk_during_a_long_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge_daemon.system.backoff.Backoff.next_s", lambda self, held_s=0.0: 60.0)
    monkeypatch.setattr("edge_daemon.mqtt.connection_loop._PERSIST_INTERVAL_S", 0.02)
    path = tmp_path / "events.sqlite"
    with Device(at(Mosquitto()), queue_path=path) as device:
        wait_until(lambda: warnings(caplog) != [])
        device.sink.handle(events.Button("red", "press"))
        wait_until(lambda: len(PersistentQueue(path, 10)) == 1)


def test_a_name_that_does_not_resolve_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with Device(MqttOptions(host="broker.invalid", max_reconnect_s=0.2)):
        wait_until(lambda: warnings(caplog) != [])
        assert "broker.invalid:1883" in warnings(caplog)[0]


def test_a_name_server_that_never_answers_blocks_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    asked, never, path = threading.Event(), threading.Event(), tmp_path / "events.sqlite"

    def resolve(*_: object, **__: object) -> None:
        asked.set()
        never.wait(TOO_LONG_S)
        raise socket.gaierror("temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with Device(MqttOptions(host="broker.invalid"), queue_path=path) as device:
        assert asked.wait(TOO_LONG_S)
        device.sink.handle(events.Button("red", "press"))
    never.set()
    assert warnings(caplog) == []  # the thread ended in time
    assert len(PersistentQueue(path, 10)) == 1


def test_stop_is_quick_when_the_broker_is_gone(broker: Mosquitto) -> None:
    with Device(at(broker)) as device:
        device.wait_connected()
        broker.kill()
        begun = time.monotonic()
    assert time.monotonic() - begun < TOO_LONG_S


def test_a_wrong_password_is_logged_once(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    with Mosquitto(users={"tray": "right"}) as broker:
        options = at(broker, username="tray", password_file=str(secret))
        with Device(options) as device, caplog.at_level(logging.DEBUG, "edge_daemon.mqtt.connection_loop"):
            wait_until(lambda: len(caplog.records) >= 3)
            assert not device.sink.connected
            assert [text for text in warnings(caplog) if "refused the connection" in text] == warnings(caplog)
            assert len(warnings(caplog)) == 1
            secret.write_text("right\n")
            device.wait_connected()


def test_tls_with_a_private_authority(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    with Mosquitto(tls=certificates) as broker:
        tls = TlsOptions(enabled=True, ca_file=str(certificates.ca))
        with (
            Listener(broker.port, configure=lambda client: client.tls_set(str(certificates.ca))) as listener,
            Device(at(broker, tls=tls)) as device,
        ):
            device.sink.handle(label_changed("cat"))
            listener.wait_for(f"{BASE}/label", b"cat")
            listener.publish(f"{BASE}/request/undo", b"{}")
            wait_until(lambda: device.commands != [])


@pytest.mark.parametrize(
    ("address", "days", "words"),
    [("IP:127.0.0.1", 0, "expired"), ("DNS:elsewhere", 1, "IP address mismatch")],
)
def test_a_wrong_certificate_is_logged(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, address: str, days: int, words: str
) -> None:
    certificates = make_certificates(tmp_path, address, days)
    tls = TlsOptions(enabled=True, ca_file=str(certificates.ca))
    with Mosquitto(tls=certificates) as broker, Device(at(broker, tls=tls)) as device:
        wait_until(lambda: warnings(caplog) != [])
        assert "certificate is not accepted" in warnings(caplog)[0]
        assert words in warnings(caplog)[0]
        assert not device.sink.connected


def test_an_unknown_authority_is_rejected_unless_insecure(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    ours, foreign = make_certificates(tmp_path / "a"), make_certificates(tmp_path / "b")
    with Mosquitto(tls=ours) as broker:
        tls = TlsOptions(enabled=True, ca_file=str(foreign.ca))
        with Device(at(broker, tls=tls)) as device:
            wait_until(lambda: warnings(caplog) != [])
            assert not device.sink.connected
        careless = TlsOptions(enabled=True, ca_file=str(foreign.ca), insecure=True)
        with Device(at(broker, tls=careless)) as device:
            device.wait_connected()
