"""The persistent queue with damaged rows and files, and files of an earlier state."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.persistent_queue import PersistentQueue

BASE = "edge_daemon/q1"
EVENTS = [Message(f"{BASE}/event", b'{"n":%d}' % number, 1, retain=False) for number in range(3)]
OLD_SCHEMA = (
    "CREATE TABLE event (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL,"
    " payload BLOB NOT NULL, qos INTEGER NOT NULL)"
)


def write_old(path: Path, *rows: str, schema: str = OLD_SCHEMA, version: int = 1) -> None:
    """Write a file as earlier states of 0.1.0 did, with SQL for each row's values."""
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


def test_a_file_without_checksums_gets_them_and_stays_readable_without(tmp_path: Path) -> None:
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
