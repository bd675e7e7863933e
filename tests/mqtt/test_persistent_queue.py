from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.persistent_queue import PersistentQueue, queue_path
from tests.harness.small_disk import SmallDisk

MESSAGE = Message("event", b"\0\xff", 2, retain=False)


def test_a_stored_event_is_read_back_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "state" / "events.sqlite"
    PersistentQueue(path, 10).store([MESSAGE])
    read = PersistentQueue(path, 10).next()
    assert read is not None
    assert read[1] == MESSAGE


def test_a_removed_event_is_not_read_again(tmp_path: Path) -> None:
    queue = PersistentQueue(tmp_path / "events.sqlite", 10)
    queue.store([MESSAGE, MESSAGE])
    first = queue.next()
    assert first is not None
    queue.finish(first[0])
    queue.delete_finished()
    queue.rewind()
    second = queue.next()
    assert second is not None
    assert second[0] != first[0]
    assert queue.next() is None
    assert len(queue) == 1


@pytest.mark.parametrize("damage", ["garbage", "version", "truncated"])
def test_a_damaged_file_is_set_aside_and_never_overwritten(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.sqlite"
    before = PersistentQueue(path, 5000)
    before.store([MESSAGE] * 1000)
    before.close()
    if damage == "garbage":
        path.write_bytes(b"no database" * 100)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:9000])
    else:
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 99")
    content = path.read_bytes()
    for number in (1, 2):
        queue = PersistentQueue(path, 10)
        queue.store([MESSAGE])
        assert len(queue) == number
        queue.close()
    assert (tmp_path / "events.sqlite.damaged-1").read_bytes() == content
    assert caplog.text.count("can't be read") == 1


@pytest.mark.parametrize("also_journals", [True, False])
def test_a_file_that_is_deleted_while_it_is_open_is_made_again_with_its_events(
    tmp_path: Path, also_journals: bool
) -> None:
    path = tmp_path / "events.sqlite"
    queue = PersistentQueue(path, 10)
    queue.store([MESSAGE, MESSAGE])
    for each in list(tmp_path.iterdir()) if also_journals else [path]:
        each.unlink()
    queue.store([MESSAGE])
    assert len(queue) == 3
    queue.close()
    with closing(PersistentQueue(path, 10)) as again:
        assert len(again) == 3


LONG = Message("event", bytes(4000), 1, retain=False)


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[PersistentQueue]:
    """A queue whose file was damaged while it was open: 3000 events, more than SQLite keeps in memory."""
    path = tmp_path / "events.sqlite"
    queue = PersistentQueue(path, 5000)
    queue.store([LONG] * 3000)
    queue.close()
    queue = PersistentQueue(path, 5000)
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (path.stat().st_size - 8192))
    yield queue
    queue.close()


def test_a_file_that_becomes_damaged_is_kept_aside_when_it_is_read(
    damaged: PersistentQueue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read = 0
    while damaged.next() is not None:
        read += 1
    assert read < 3000
    assert caplog.text.count("can't be read") == 1
    assert (tmp_path / "events.sqlite.damaged-1").exists()
    damaged.store([MESSAGE])
    found = damaged.next()
    assert found is not None
    assert (found[1], found[0] > read, len(damaged)) == (MESSAGE, True, 1)


def test_a_file_that_becomes_damaged_loses_no_event_that_is_stored_then(
    damaged: PersistentQueue, tmp_path: Path
) -> None:
    damaged.store([MESSAGE])
    damaged.store([MESSAGE])
    assert len(damaged) == 2
    assert [kept.name for kept in tmp_path.glob("*.damaged-1")] == ["events.sqlite.damaged-1"]


def test_an_unusable_path_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokerError, match=str(tmp_path / "file" / "events.sqlite")):
        PersistentQueue(tmp_path / "file" / "events.sqlite", 10)


def test_with_a_folder_at_its_path_events_are_kept_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.sqlite"
    path.mkdir()
    queue = PersistentQueue(path, 10)
    queue.store([MESSAGE])
    queue.store([MESSAGE])
    assert len(queue) == 2
    [line] = caplog.messages
    assert line == f"MQTT events wait in memory, as {path} can't be written: it is a folder"
    path.rmdir()
    queue.store([MESSAGE])
    queue.close()
    with closing(PersistentQueue(path, 10)) as again:
        assert len(again) == 3


def test_on_a_full_disk_events_are_kept_in_memory_until_there_is_room(
    small_disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    path = small_disk.folder / "events.sqlite"
    small_disk.fill()
    queue = PersistentQueue(path, 10)
    queue.store([MESSAGE])
    queue.store([MESSAGE])
    assert len(queue) == 2
    assert caplog.text.count("wait in memory") == 1
    small_disk.free()
    queue.store([MESSAGE])
    queue.close()
    with closing(PersistentQueue(path, 10)) as again:
        assert len(again) == 3


def test_while_another_process_locks_the_file_events_are_kept_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        queue = PersistentQueue(path, 10)
        queue.store([MESSAGE])
        assert len(queue) == 1
    assert "locked" in caplog.text


def test_each_device_in_a_folder_has_its_own_queue_file(tmp_path: Path) -> None:
    paths = {queue_path(tmp_path, base) for base in ("edge/left", "edge/right", "edge/left/x", "x" * 3000)}
    assert len(paths) == 4
    for path in paths:
        PersistentQueue(path, 10).store([MESSAGE])
        assert len(PersistentQueue(path, 10)) == 1


def test_the_journal_is_checkpointed_after_an_outage(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    queue = PersistentQueue(path, 10)
    queue.store([MESSAGE, MESSAGE])
    rows = [stored[0] for stored in iter(queue.next, None)]
    before = path.read_bytes()
    queue.finish(rows[0])
    queue.delete_finished()
    assert path.read_bytes() == before
    queue.finish(rows[1])
    queue.delete_finished()
    assert path.read_bytes() != before
    assert len(queue) == 0
