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
    queue.remove([first[0]])
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
    assert (found[1], found[0] > 3000, len(damaged)) == (MESSAGE, True, 1)


def test_a_file_that_becomes_damaged_loses_no_event_that_is_stored_then(
    damaged: PersistentQueue, tmp_path: Path
) -> None:
    damaged.store([MESSAGE])
    damaged.store([MESSAGE])
    damaged.remove([1, 2, 3])
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


def test_events_of_the_old_shared_file_are_moved_by_topic(tmp_path: Path) -> None:
    shared = PersistentQueue(tmp_path / "mqtt-events.sqlite", 10)
    topics = ("edge/left/event", "edge/right/event", "edge/left2/event", "edge/left/tray/event")
    shared.store([Message(topic, topic.encode(), 1, retain=False) for topic in topics])
    shared.close()
    found = {}
    for base in ("edge/left", "edge/right", "edge/left2"):
        queue = PersistentQueue(queue_path(tmp_path, base), 10)
        found[base] = [read[1].topic for read in iter(queue.next, None)]
        queue.close()
    assert found == {
        "edge/left": ["edge/left/event", "edge/left/tray/event"],
        "edge/right": ["edge/right/event"],
        "edge/left2": ["edge/left2/event"],
    }
    assert not (tmp_path / "mqtt-events.sqlite").exists()


def test_a_shared_file_that_cannot_be_read_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "mqtt-events.sqlite").write_bytes(b"no database" * 100)
    for _ in range(2):
        queue_path(tmp_path, "edge/left")
    assert caplog.text.count("kept as mqtt-events.sqlite.damaged-1") == 1
    assert (tmp_path / "mqtt-events.sqlite.damaged-1").read_bytes() == b"no database" * 100


def test_the_journal_is_checkpointed_after_an_outage(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    queue = PersistentQueue(path, 10)
    queue.store([MESSAGE, MESSAGE])
    rows = [stored[0] for stored in iter(queue.next, None)]
    before = path.read_bytes()
    queue.remove(rows[:1])
    assert path.read_bytes() == before
    queue.remove(rows[1:])
    assert path.read_bytes() != before
    assert len(queue) == 0


BASE = "edge_daemon/q1"
EVENTS = [Message(f"{BASE}/event", b'{"n":%d}' % number, 1, retain=False) for number in range(3)]
OLD_SCHEMA = (
    "CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL,"
    " payload BLOB NOT NULL, qos INTEGER NOT NULL)"
)


def write_old(path: Path, *rows: str, schema: str = OLD_SCHEMA, version: int = 1) -> None:
    """Write a file as version 0.1.0 did, with SQL for each row's values."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(schema)
        for row in rows:
            database.execute(f"INSERT INTO event (topic, payload, qos) VALUES ({row})")
        database.execute(f"PRAGMA user_version = {version}")


def read_all(path: Path) -> list[Message]:
    with closing(PersistentQueue(path, 10, BASE)) as queue:
        return [read[1] for read in iter(queue.next, None)]


def stored_rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT CAST(topic AS BLOB), qos FROM event").fetchall()


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("'edge_daemon/q1/#', x'7b7d', 1", "must not be empty or hold"),
        ("'edge_daemon/q1/eve+t', x'7b7d', 1", "must not be empty or hold"),
        ("'edge_daemon/q2/event', x'7b7d', 1", "is not below 'edge_daemon/q1'"),
        ("'edge_daemon/q1/', x'7b7d', 1", "must not be empty"),
        ("'', x'7b7d', 1", "is not below"),
        ("'edge_daemon/q1/'||char(0), x'7b7d', 1", "must not be empty or hold"),
        ("CAST(x'656467655f6461656d6f6e2f71312fff' AS TEXT), x'7b7d', 1", "its topic is not text"),
        ("CAST('edge_daemon/q1/event' AS BLOB), x'7b7d', 1", "its topic is of the type blob"),
        ("printf('edge_daemon/q1/%70000s', 'x'), x'7b7d', 1", "too long"),
        ("printf('edge_daemon/q1/%600s', 'x'), x'7b7d', 1", "is longer than 512 bytes"),
        ("'edge_daemon/q1/event', 5, 1", "its payload integer"),
        ("'edge_daemon/q1/event', zeroblob(20000000), 1", "too long"),
        ("'edge_daemon/q1/event', x'7b7d', -1", "its QoS is not 0, 1 or 2"),
        ("'edge_daemon/q1/event', x'7b7d', 3", "its QoS is not 0, 1 or 2"),
        ("'edge_daemon/q1/event', x'7b7d', 'a'", "its QoS is not 0, 1 or 2"),
    ],
)
def test_a_damaged_row_is_dropped_with_one_line_and_the_others_are_sent(
    tmp_path: Path, row: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.sqlite"
    intact = "'edge_daemon/q1/event', x'7b7d', 1"
    write_old(path, intact, row, intact)
    for _ in range(2):
        assert read_all(path) == [Message(f"{BASE}/event", b"{}", 1, retain=False)] * 2
    [line] = caplog.messages
    assert f"a waiting MQTT event in {path} is dropped: " in line
    assert fault in line
    assert len(line) < 300
    assert len(stored_rows(path)) == 2


def test_no_flipped_bit_of_a_row_changes_an_event(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    with closing(PersistentQueue(path, 10, BASE)) as queue:
        queue.store(EVENTS)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = DELETE")
    whole = path.read_bytes()
    start = whole.index(b"edge_daemon/q1/event")
    for at in range(start - 12, (start // 4096 + 1) * 4096, 2):
        content = bytearray(whole)
        content[at] ^= 1 << at % 8
        for each in tmp_path.iterdir():
            each.unlink()
        path.write_bytes(content)
        found = read_all(path)
        kept = list(tmp_path.glob("*.damaged-*"))
        assert [each for each in EVENTS if each in found] == found
        assert len(found) >= 2 or kept


def test_a_file_of_version_0_1_0_gets_checksums_and_stays_readable_for_it(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    write_old(path, "'edge_daemon/q1/event', x'7b7d', 1")
    with closing(PersistentQueue(path, 10, BASE)) as queue:
        queue.store(EVENTS[:1])
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
        database.execute(
            "INSERT INTO event (topic, payload, qos) VALUES ('edge_daemon/q1/event', x'5b5d', 1)"
        )
        checksums = database.execute("SELECT checksum IS NULL FROM event ORDER BY id").fetchall()
    assert checksums == [(1,), (0,), (1,)]
    assert [each.payload for each in read_all(path)] == [b"{}", EVENTS[0].payload, b"[]"]


@pytest.mark.parametrize(
    ("schema", "version"),
    [
        ("CREATE TABLE event (foo)", 1),
        ("CREATE TABLE event (foo)", 0),
        ("CREATE VIEW event AS SELECT 1 AS id", 1),
        (OLD_SCHEMA.replace("topic", "topac"), 1),
        (OLD_SCHEMA.replace("event", "evenu"), 1),
    ],
)
def test_a_file_with_other_columns_is_kept_aside(
    tmp_path: Path, schema: str, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.sqlite"
    write_old(path, schema=schema, version=version)
    content = path.read_bytes()
    with closing(PersistentQueue(path, 10, BASE)) as queue:
        queue.store(EVENTS)
        assert len(queue) == 3
    assert (tmp_path / "events.sqlite.damaged-1").read_bytes() == content
    assert len(caplog.messages) == 1


def test_no_flipped_bit_of_the_first_page_stops_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.sqlite"
    with closing(PersistentQueue(path, 10, BASE)) as queue:
        queue.store(EVENTS)
    whole = path.read_bytes()
    for at in [at for at in range(4096) if whole[at] or at < 100][::3]:
        content = bytearray(whole)
        content[at] ^= 1 << at % 8
        for each in tmp_path.iterdir():
            each.unlink()
        path.write_bytes(content)
        caplog.clear()
        with closing(PersistentQueue(path, 10, BASE)) as queue:
            found = [read[1] for read in iter(queue.next, None)]
            queue.store(EVENTS[:1])
        assert found == EVENTS or list(tmp_path.glob("*.damaged-*"))
        assert all("\n" not in line for line in caplog.messages)


def test_damaged_rows_of_the_old_shared_file_are_dropped(tmp_path: Path) -> None:
    shared = tmp_path / "mqtt-events.sqlite"
    write_old(shared, f"'{BASE}/event', x'7b7d', 1", f"'{BASE}/#', x'7b7d', 1", f"'{BASE}/event', x'5b5d', 1")
    path = queue_path(tmp_path, BASE)
    assert not shared.exists()
    assert [each.payload for each in read_all(path)] == [b"{}", b"[]"]
