"""Events that wait on disk while there is no broker."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.message import Message
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.disk import disk_refuses
from edge_daemon.system.sqlite import free_name, is_locked, make_durable, move_aside

FIRST_S = 1.0
LONGEST_S = 30.0
"""The most of an outage that a power cut can take away."""


class WriteBatching:
    """The pace of the writes in one outage: the longer it lasts, the more events each write holds.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._pauses = Backoff(FIRST_S, LONGEST_S)
        self._next_s = float("-inf")

    def due(self, now_s: float) -> bool:
        """Whether it is time to write."""
        return now_s >= self._next_s

    def written(self, now_s: float) -> None:
        """Note a write."""
        self._next_s = now_s + self._pauses.next_s()


logger = logging.getLogger(__name__)

_INSERT = "INSERT INTO event (topic, payload, qos) VALUES (?, ?, ?)"
_VERSION = 1
_MAX_NAME = 200
_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL
)
"""


class PersistentQueue:
    """A queue in a SQLite file, or in memory where `path` is None; at most `bound` events, oldest first.

    A row stays until `remove`, so that what was read but not acknowledged is read again after `rewind`
    or a restart. A file that is damaged or of another version is set aside, never overwritten. While the
    disk is full or read-only, or another process holds the file, the events are in memory. While nothing
    waits, asking costs no query: that is the rule, and it is asked for every frame.
    Used by one thread at a time. Raises BrokerError for a folder that doesn't exist or may not be used.
    """

    def __init__(self, path: Path | None, bound: int) -> None:
        self._bound = bound
        self._path = path
        self._read_up_to = 0
        self._in_memory = False
        try:
            self._database = _open(path)
            self._count, self._last = self._look()
        except (OSError, sqlite3.Error) as exc:
            if path is None or not (is_locked(exc) or disk_refuses(path)):
                raise BrokerError(f"can't keep MQTT events in {path}: {exc}") from exc
            logger.warning("MQTT events wait in memory, as %s can't be written: %s", path, exc)
            self._in_memory = True
            self._database = _open(None)
            self._count, self._last = self._look()

    def store(self, messages: Sequence[Message]) -> int:
        """Append in order and return how many of the oldest were dropped. Raises sqlite3.Error."""
        if self._in_memory:
            self._move_to_disk()
        with self._database as database:
            database.executemany(
                _INSERT,
                [(message.topic, message.payload, message.qos) for message in messages],
            )
            [[count]] = database.execute("SELECT count(*) FROM event")
            dropped = max(0, count - self._bound)
            database.execute(
                "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT ?)", (dropped,)
            )
        self._count, self._last = self._look()
        return int(dropped)

    def next(self) -> tuple[int, Message] | None:
        """Return the oldest event not yet read, with its row."""
        if self._read_up_to >= self._last:
            return None
        query = "SELECT id, topic, payload, qos FROM event WHERE id > ? ORDER BY id LIMIT 1"
        found = self._database.execute(query, (self._read_up_to,)).fetchone()
        if found is None:
            return None
        row, topic, payload, qos = found
        self._read_up_to = row
        return row, Message(topic, payload, qos, retain=False)

    def remove(self, rows: Iterable[int]) -> None:
        """Forget events that the broker has."""
        with self._database as database:
            database.executemany("DELETE FROM event WHERE id = ?", [(row,) for row in rows])
        self._count, self._last = self._look()
        if not self._count:  # once an outage is over, and not amid it
            self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def rewind(self) -> None:
        """Read again from the oldest."""
        self._read_up_to = 0

    def __len__(self) -> int:
        """How many events wait."""
        return self._count

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _move_to_disk(self) -> None:
        """Move what waits in memory into the file, if the disk can be written now."""
        with contextlib.suppress(OSError, sqlite3.Error):
            database = _open(self._path)
            try:
                with database:
                    rows = self._database.execute("SELECT topic, payload, qos FROM event ORDER BY id")
                    database.executemany(_INSERT, rows)
            except sqlite3.Error:
                database.close()
                raise
            self._database.close()
            self._database, self._in_memory = database, False
            self._count, self._last = self._look()
            self.rewind()

    def _look(self) -> tuple[int, int]:
        """Return how many events wait, and the last row."""
        [row] = self._database.execute("SELECT count(*), coalesce(max(id), 0) FROM event")
        return int(row[0]), int(row[1])


def backlog_path(folder: Path, base_topic: str) -> Path:
    """Return the file of the events of one device: another device or name may not publish them.

    Several devices may have their stores in one folder. Events that version 0.1.0 left in the file they
    shared are taken over by the device whose topics they have.
    """
    name = quote(base_topic, safe="")
    if len(name) > _MAX_NAME:
        name = sha256(base_topic.encode()).hexdigest()
    path = folder / f"mqtt-events.{name}.sqlite"
    shared = folder / "mqtt-events.sqlite"
    if shared.exists():
        try:
            _take_over(shared, path, base_topic)
        except (OSError, ValueError, sqlite3.Error) as exc:
            logger.warning("the waiting MQTT events in %s are not sent: %s", shared, exc)
    return path


def _take_over(shared: Path, path: Path, base_topic: str) -> None:
    where, ours = "WHERE substr(topic, 1, ?) = ?", (len(base_topic) + 1, f"{base_topic}/")
    with closing(_open(shared)) as source, closing(_open(path)) as target, source:
        source.execute("BEGIN IMMEDIATE")
        rows = source.execute(f"SELECT topic, payload, qos FROM event {where} ORDER BY id", ours)
        with target:
            target.executemany(_INSERT, rows)
        source.execute(f"DELETE FROM event {where}", ours)
        [[left]] = source.execute("SELECT count(*) FROM event")
    if not left:
        shared.unlink()


def _open(path: Path | None) -> sqlite3.Connection:
    if path is None:
        return _prepare(":memory:")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _prepare(path)
    except (sqlite3.DatabaseError, ValueError) as exc:
        if isinstance(exc, sqlite3.OperationalError):
            raise
        _keep_aside(path, exc)
        return _prepare(path)


def _prepare(path: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        [[version]] = database.execute("PRAGMA user_version")
        if version not in (0, _VERSION):
            raise ValueError(f"it is of version {version}")
        [[found]] = database.execute("PRAGMA quick_check(1)")
        if found != "ok":
            raise ValueError(found)
        make_durable(database)
        database.execute(_SCHEMA)
        database.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        database.close()
        raise
    return database


def _keep_aside(path: Path, reason: Exception) -> None:
    kept = free_name(path, "damaged-1")
    move_aside(path, kept)
    logger.warning("the waiting MQTT events in %s can't be read (%s); kept as %s", path, reason, kept.name)
