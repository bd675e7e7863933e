"""Events of a broker that keeps the connection and answers nothing: they are written to disk."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain import events
from edge_daemon.mqtt.outbox import Outbox
from edge_daemon.mqtt.persistent_queue import PersistentQueue
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import Device, wait_until
from tests.harness.outbox_sender import OutboxSender, put

BASE = "edge_daemon/tray-1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def sender(path: Path) -> Iterator[OutboxSender]:
    outbox = Outbox(100, PersistentQueue(path, 100))
    outbox.connected()
    yield OutboxSender(outbox)
    outbox.close()


def waiting(path: Path) -> list[str]:
    with closing(PersistentQueue(path, 100)) as queue:
        return [read[1].payload.decode() for read in iter(queue.next, None)]


def hang(sender: OutboxSender, path: Path) -> list[int]:
    """Send three events without an answer, queue two, let six seconds pass; return the packet ids."""
    put(sender.outbox, 0, 1, 2)
    mids = [sender.send() or 0 for _ in range(3)]
    put(sender.outbox, 3, 4)
    for now_s in (0.0, 4.9):
        sender.outbox.persist_unsent(now_s)
        assert waiting(path) == []
    sender.outbox.persist_unsent(6.0)
    assert waiting(path) == ["0", "1", "2", "3", "4"]
    return mids


def test_after_some_seconds_without_an_answer_the_events_are_on_disk_and_each_is_sent_once(
    sender: OutboxSender, path: Path
) -> None:
    mids = hang(sender, path)
    put(sender.outbox, 5)
    sender.outbox.persist_unsent(100.0)
    assert waiting(path) == ["0", "1", "2", "3", "4", "5"]
    for mid in mids:
        sender.outbox.acknowledged(mid)
    sender.send_all(100.0)
    assert sender.sent == ["0", "1", "2", "3", "4", "5"]
    assert sender.outbox.idle
    assert waiting(path) == []


def test_a_connection_that_ends_then_keeps_the_order(sender: OutboxSender, path: Path) -> None:
    mids = hang(sender, path)
    sender.outbox.acknowledged(mids[0])
    sender.outbox.disconnected()
    assert waiting(path) == ["1", "2", "3", "4"]
    sender.outbox.connected()
    sender.sent.clear()
    assert sender.send_all() == ["1", "2", "3", "4"]
    assert sender.outbox.idle


def damage(path: Path) -> None:
    """Overwrite the tables of a file that is open."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))


def test_events_in_flight_of_a_file_that_became_damaged_since_are_kept_in_order(
    sender: OutboxSender, path: Path
) -> None:
    hang(sender, path)
    damage(path)
    put(sender.outbox, 5)
    for now_s in (100.0, 200.0):
        sender.outbox.persist_unsent(now_s)
    sender.outbox.disconnected()
    assert waiting(path) == ["0", "1", "2", "5"]


def test_events_in_flight_of_a_file_that_became_damaged_since_are_sent_once(
    sender: OutboxSender, path: Path
) -> None:
    mids = hang(sender, path)
    damage(path)
    put(sender.outbox, 5)
    sender.outbox.persist_unsent(100.0)
    for mid in mids[:2]:
        sender.outbox.acknowledged(mid)
    put(sender.outbox, 6)
    sender.outbox.disconnected()
    assert waiting(path) == ["2", "5", "6"]
    sender.outbox.connected()
    sender.sent.clear()
    assert sender.send_all() == ["2", "5", "6"]
    assert sender.outbox.idle


def test_an_event_refused_before_its_file_became_damaged_keeps_its_place(
    sender: OutboxSender, path: Path
) -> None:
    mids = [*hang(sender, path), sender.send() or 0]
    sender.outbox.retry(mids.pop(1))
    damage(path)
    put(sender.outbox, 5)
    for now_s in (100.0, 106.0):
        sender.outbox.persist_unsent(now_s)
    assert waiting(path) == ["0", "1", "2", "3", "5"]
    for mid in mids:
        sender.outbox.acknowledged(mid)
    before = len(sender.sent)
    sender.send_all(110.0)
    assert sender.sent[before:] == ["1", "5"]
    assert waiting(path) == []


def test_an_event_that_was_refused_before_the_hang_keeps_its_place(sender: OutboxSender, path: Path) -> None:
    put(sender.outbox, 0, 1, 2)
    mids = [sender.send() or 0 for _ in range(3)]
    sender.outbox.persist_unsent(0.0)
    sender.outbox.defer(mids[0], 0.0)
    put(sender.outbox, 3)
    for now_s in (0.0, 6.0):
        sender.outbox.persist_unsent(now_s)
    assert waiting(path) == ["0", "1", "2", "3"]
    for mid in mids[1:]:
        sender.outbox.acknowledged(mid)
    sender.sent.clear()
    assert sender.send_all(100.0) == ["0", "3"]
    assert sender.outbox.idle
    assert waiting(path) == []


def test_events_in_flight_are_not_sent_again_when_the_file_was_deleted(path: Path) -> None:
    outbox = Outbox(100, PersistentQueue(path, 100))
    put(outbox, 0, 1)
    outbox.persist()
    outbox.connected()
    sender = OutboxSender(outbox)
    mids = [sender.send() or 0 for _ in range(2)]
    for each in path.parent.iterdir():
        each.unlink()
    put(outbox, 2)
    for now_s in (0.0, 6.0):
        outbox.persist_unsent(now_s)
    for mid in mids:
        outbox.acknowledged(mid)
    sender.send_all(10.0)
    assert sender.sent == ["0", "1", "2"]
    assert outbox.idle
    outbox.close()


def test_a_broker_that_answers_costs_no_write(sender: OutboxSender, path: Path) -> None:
    for second in range(20):
        put(sender.outbox, second)
        mid = sender.send()
        sender.outbox.persist_unsent(float(second))
        sender.outbox.acknowledged(mid or 0)
        sender.send()
    assert waiting(path) == []


def test_an_event_that_is_tried_again_without_an_answer_stays_the_first(
    sender: OutboxSender, path: Path
) -> None:
    put(sender.outbox, 0, 1)
    sender.outbox.defer(sender.send() or 0, 0.0)
    probe = sender.send(1.0) or 0
    sender.outbox.persist_unsent(1.0)
    sender.outbox.persist_unsent(7.0)
    assert waiting(path) == ["0", "1"]
    assert sender.send(7.0) is None
    sender.outbox.acknowledged(probe)
    assert sender.send_all(7.0) == ["1"]
    assert sender.outbox.idle


def test_events_are_on_disk_while_a_real_broker_hangs_and_arrive_once(path: Path) -> None:
    with Mosquitto() as broker, Listener(broker.port) as listener:
        with Device(MqttOptions(port=broker.port), queue_path=path) as device:
            device.wait_connected()
            broker.pause()
            for number in range(30):
                device.sink.handle(events.Button(str(number), "press"))
            wait_until(lambda: len(waiting(path)) == 30)
            broker.resume()
            wait_until(lambda: len(listener.texts(f"{BASE}/event")) == 30)
            wait_until(lambda: waiting(path) == [])
            time.sleep(0.2)
        assert len(listener.texts(f"{BASE}/event")) == 30
