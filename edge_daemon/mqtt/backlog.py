"""Events that wait on disk while there is no broker."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from edge_daemon.errors import BrokerError
from edge_daemon.mqtt.message import Message

logger = logging.getLogger(__name__)

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL
)
"""


class Backlog:
    """A queue in a SQLite file, or in memory where `path` is None; at most `bound` events, oldest first.

    A row stays until `remove`, so that what was read but not acknowledged is read again after `rewind`
    or a restart. A file that is damaged or of another version is set aside, never overwritten.
    While nothing waits, asking costs no query: that is the rule, and it is asked for every frame.
    Used by one thread at a time. Raises BrokerError for a path that can't be written.
    """

    def __init__(self, path: Path | None, bound: int) -> None:
        self._bound = bound
        self._read_up_to = 0
        try:
            self._database = _open(path)
            self._count, self._last = self._look()
        except (OSError, sqlite3.Error) as exc:
            raise BrokerError(f"can't keep MQTT events in {path}: {exc}") from exc

    def store(self, messages: Sequence[Message]) -> int:
        """Append in order and return how many of the oldest were dropped. Raises sqlite3.Error."""
        with self._database as database:
            database.executemany(
                "INSERT INTO event (topic, payload, qos) VALUES (?, ?, ?)",
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

    def rewind(self) -> None:
        """Read again from the oldest."""
        self._read_up_to = 0

    def __len__(self) -> int:
        """How many events wait."""
        return self._count

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _look(self) -> tuple[int, int]:
        """Return how many events wait, and the last row."""
        [row] = self._database.execute("SELECT count(*), coalesce(max(id), 0) FROM event")
        return int(row[0]), int(row[1])


def _open(path: Path | None) -> sqlite3.Connection:
    if path is None:
        return _prepare(":memory:")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _prepare(path)
    except (sqlite3.DatabaseError, ValueError) as exc:
        if isinstance(exc, sqlite3.OperationalError):
            raise
        _set_aside(path, exc)
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
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(_SCHEMA)
        database.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        database.close()
        raise
    return database


def _set_aside(path: Path, reason: Exception) -> None:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    logger.warning("the waiting MQTT events in %s can't be read (%s); kept as %s", path, reason, aside.name)
