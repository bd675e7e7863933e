"""Waiting events whose rows are moved to another file: each is sent, and none again that was acknowledged."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.outbox import Outbox
from edge_daemon.mqtt.persistent_queue import PersistentQueue
from tests.harness.outbox_sender import OutboxSender, event, put
from tests.harness.small_disk import SmallDisk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def sender(path: Path) -> Iterator[OutboxSender]:
    """An outbox whose file has had five events before, so that its rows begin at 6."""
    outbox = Outbox(100, PersistentQueue(path, 100))
    put(outbox, *range(5))
    outbox.persist()
    outbox.connected()
    sender = OutboxSender(outbox)
    assert len(sender.send_all()) == 5
    outbox.disconnected()
    yield sender
    outbox.close()


def remove(path: Path) -> None:
    for each in path.parent.iterdir():
        each.unlink()


def replace(path: Path) -> None:
    """Put another queue in the place of one, as a restored backup."""
    backup = path.with_name("backup")
    with closing(PersistentQueue(backup, 100)) as queue:
        queue.store([event(101), event(102)])
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()
    os.replace(backup, path)


def waiting(path: Path) -> list[str]:
    with closing(PersistentQueue(path, 100)) as queue:
        return [read[1].payload.decode() for read in iter(queue.next, None)]


@pytest.mark.parametrize("is_replaced", [False, True])
def test_events_that_were_deferred_when_the_file_was_deleted_are_sent_once(
    sender: OutboxSender, path: Path, is_replaced: bool
) -> None:
    outbox = sender.outbox
    put(outbox, 6, 7, 8)
    outbox.persist()
    outbox.connected()
    first, second = sender.send(), sender.send()
    assert first is not None
    assert second is not None
    outbox.defer(first, 0.0)
    outbox.acknowledged(second)
    (replace if is_replaced else remove)(path)
    put(outbox, 9, 10, 11, 12)
    outbox.persist_unsent(100.0)
    restored = ["101", "102"] if is_replaced else []
    assert sender.send_all(200.0) == [*restored, "6", "8", "9", "10", "11", "12"]
    assert outbox.idle
    assert waiting(path) == []


@pytest.fixture
def locked_at_the_start(path: Path) -> Iterator[OutboxSender]:
    """An outbox with two events in memory, as another process locked its file, which has two older ones."""
    with closing(PersistentQueue(path, 100)) as queue:
        queue.store([event(1), event(2)])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        outbox = Outbox(100, PersistentQueue(path, 100))
        put(outbox, 3, 4)
        outbox.persist()
    outbox.connected()
    yield OutboxSender(outbox)
    outbox.close()


def test_events_in_the_file_are_sent_after_a_start_at_which_it_was_locked(
    locked_at_the_start: OutboxSender, path: Path
) -> None:
    sender, outbox = locked_at_the_start, locked_at_the_start.outbox
    first, second = sender.send(), sender.send()
    assert sender.sent == ["3", "4"]
    assert first is not None
    assert second is not None
    outbox.defer(first, 0.0)
    outbox.acknowledged(second)
    put(outbox, 5, 6)
    outbox.persist_unsent(100.0)
    assert waiting(path) == ["1", "2", "3", "5", "6"]
    probe = sender.send(200.0)
    assert probe is not None
    outbox.acknowledged(probe)
    outbox.disconnected()
    outbox.connected()
    assert sender.send_all(300.0) == ["2", "3", "5", "6"]
    assert waiting(path) == []


@pytest.mark.parametrize("is_renamed", [True, False])
def test_after_a_file_became_damaged_no_row_is_given_twice(
    path: Path, is_renamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*paths: Path) -> None:
        raise OSError("read-only")

    with closing(PersistentQueue(path, 5000)) as queue:
        queue.store([Message("event", bytes(4000), 1, retain=False)] * 3000)
    with closing(PersistentQueue(path, 5000)) as queue:
        old = queue.next()
        assert old is not None
        with path.open("r+b") as file:
            file.seek(8192)
            file.write(b"\xa5" * (path.stat().st_size - 8192))
        if not is_renamed:
            monkeypatch.setattr("edge_daemon.mqtt.queue_file.move_aside", fail)
        queue.store([event(1)])
        queue.finish(old[0])
        queue.delete_finished()
        found = queue.next()
        assert found is not None
        assert (found[1], found[0] > old[0], len(queue)) == (event(1), True, 1)


def test_an_acknowledged_event_is_not_sent_again_while_it_cannot_be_deleted(
    small_disk: SmallDisk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(1000, PersistentQueue(small_disk.folder / "events.sqlite", 1000))
    put(outbox, *range(150))
    outbox.persist()
    sender = OutboxSender(outbox)
    small_disk.fill()
    outbox.connected()
    assert len(sender.send_all()) == 150
    outbox.disconnected()
    assert "can't be written to disk" in caplog.text
    outbox.connected()
    assert sender.send_all() == []
    assert outbox.idle
    with monkeypatch.context() as patch:  # telemetry is sent by the main thread, which uses no disk
        patch.delattr(PersistentQueue, "delete_finished")
        outbox.put(Message("result", b"", 0, retain=False, telemetry=True))
        telemetry = outbox.next_telemetry()
        assert telemetry is not None
        outbox.sent(telemetry, None)
    small_disk.free()
    outbox.disconnected()
    outbox.close()
    assert waiting(small_disk.folder / "events.sqlite") == []


def test_events_of_a_start_with_a_full_disk_are_in_the_file_after_a_stop(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "events.sqlite"
    small_disk.fill()
    outbox = Outbox(100, PersistentQueue(path, 100))
    put(outbox, 1, 2)
    outbox.persist()
    small_disk.free()
    outbox.persist()
    outbox.close()
    assert waiting(path) == ["1", "2"]


def test_events_of_a_file_that_was_deleted_are_in_a_new_one_after_a_stop(path: Path) -> None:
    outbox = Outbox(100, PersistentQueue(path, 100))
    put(outbox, 1, 2)
    outbox.persist()
    remove(path)
    outbox.persist()
    outbox.close()
    assert waiting(path) == ["1", "2"]
