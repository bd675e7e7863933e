"""The persistent queue of the events that wait for the broker."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.queue_file import is_no_file, keep_aside, open_queue_file
from edge_daemon.mqtt.queued_event import DELETE, INSERT, SELECT, DamagedEventError, read_event, row_of
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.disk import disk_refuses
from edge_daemon.system.open_files import OpenFiles
from edge_daemon.system.sqlite import is_damage, is_locked

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_MAX_NAME = 200

FIRST_INTERVAL_S = 1.0
MAX_INTERVAL_S = 30.0
"""Maximum time of events that a power cut can lose."""


class WriteBatching:
    """The intervals between writes in one outage: they grow, so that each write holds more events.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._pauses = Backoff(FIRST_INTERVAL_S, MAX_INTERVAL_S)
        self._next_s = float("-inf")

    def due(self, now_s: float) -> bool:
        """Return whether a write is due."""
        return now_s >= self._next_s

    def written(self, now_s: float) -> None:
        """Record a write."""
        self._next_s = now_s + self._pauses.next_s()


class PersistentQueue:
    """A queue in a SQLite file, or in memory if `path` is None: at most `bound` events, oldest first.

    An event stays until it was finished and deleted, so that those that were read but not acknowledged are
    read again after `rewind` or a restart. A file that is damaged or of another version is renamed, never
    overwritten; one that becomes damaged while it is open, too. While the disk is full or read-only, or
    another process locks the file, the events are kept in memory. A file that was deleted or replaced while
    it is open is made again with its events. A row that is damaged, or whose topic is not below
    `base_topic`, is dropped.

    A row number is never given to another event while the queue is open. `store` may move the events to
    another file, where they get new ones: `rewind` before it, and use no number from before. The events of a
    file that was put aside are lost to the queue (`has_lost`).
    `has_unread` is True while `next` has an event; it costs no query, because it is checked for every frame.
    Used by one thread at a time. Raises BrokerError for a folder that is missing or not writable.
    """

    def __init__(self, path: Path | None, bound: int, base_topic: str = "") -> None:
        self._bound = bound
        self._base_topic = base_topic
        self._path = path
        self._count = 0
        self._last_row = 0
        self._last_read = 0
        self._last_given = 0
        self._last_void = 0
        self._last_lost = 0
        self._finished: set[int] = set()
        self.has_unread = False
        self._in_memory = False
        self._files: OpenFiles | None = None
        try:
            self._database = self._open_file()
            self._refresh()
        except (OSError, sqlite3.Error) as exc:
            if path is None or not (is_locked(exc) or is_no_file(path) or disk_refuses(path)):
                raise BrokerError(f"can't keep MQTT events in {path}: {exc}") from exc
            self._use_memory(exc)

    def store(
        self, messages: Sequence[Message], held: Sequence[Message] = (), *, may_move: bool = True
    ) -> int:
        """Append in order and return how many of the oldest were dropped. Raises sqlite3.Error.

        `held` are events of this file that the caller holds in memory, too. They come first in the file that
        replaces a damaged one. `may_move` is False while the caller uses row numbers from before.
        """
        if may_move and self.misplaced:
            self._move_to_disk()
        return self._replacing_damaged(lambda: self._store(messages), lambda: self._store([*held, *messages]))

    @property
    def misplaced(self) -> bool:
        """True while the events are not in the file at the path; `store` moves them there if it can."""
        return self._in_memory or (self._files is not None and self._files.moved)

    def _store(self, messages: Sequence[Message]) -> int:
        with self._database as database:
            self._delete_rows(database)
            database.executemany(INSERT, map(row_of, messages))
            [[count]] = database.execute("SELECT count(*) FROM event")
            dropped = max(0, count - self._bound)
            database.execute(
                "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT ?)", (dropped,)
            )
        self._finished.clear()
        self._refresh()
        return int(dropped)

    def rows_of_last(self, count: int) -> range:
        """Return the rows of the `count` events that were stored last, as `next` would."""
        self._last_given = max(self._last_given, self._last_row)
        return range(self._last_row - count + 1, self._last_row + 1)

    def next(self) -> tuple[int, Message] | None:
        """Return the oldest event not yet read, with its row. After a read error, None until `rewind`."""
        while self.has_unread:
            try:
                row = self._replacing_damaged(self._next_row)
            except sqlite3.Error as exc:
                logger.warning("the waiting MQTT events in %s can't be read now: %s", self._path, exc)
                row = None
            if row is None:
                self.has_unread = False
                break
            self._last_read = row[0]
            self._last_given = max(self._last_given, self._last_read)
            self.has_unread = self._last_read < self._last_row
            if row[0] in self._finished:
                continue
            try:
                return row[0], read_event(row, self._base_topic)
            except DamagedEventError as exc:
                logger.warning("a waiting MQTT event in %s is dropped: %s", self._path, exc)
                self.finish(row[0])
                with contextlib.suppress(sqlite3.Error):
                    self.delete_finished()
        return None

    def finish(self, row: int) -> None:
        """Count and read an event no more, as the broker has acknowledged it. Uses no disk."""
        if row > self._last_void:
            self._finished.add(row)

    def has_lost(self, row: int) -> bool:
        """Return whether the event of a row that `next` has returned was in a file that was put aside."""
        return row <= self._last_lost

    def will_read(self, row: int) -> bool:
        """Return whether `next` is still to return the event of a row, as after `rewind`."""
        return self.has_unread and row > self._last_read and not self.has_lost(row)

    @property
    def finished(self) -> int:
        """Number of finished events that are not deleted yet."""
        return len(self._finished)

    def delete_finished(self) -> None:
        """Delete the finished events. Raises sqlite3.Error."""
        if self._finished:
            self._replacing_damaged(self._delete_finished)

    def _delete_finished(self) -> None:
        with self._database as database:
            self._delete_rows(database)
        self._finished.clear()
        self._refresh()
        if not self._count:  # only after an outage, not during it
            self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _delete_rows(self, database: sqlite3.Connection) -> None:
        database.executemany(DELETE, [(row,) for row in self._finished])

    def rewind(self) -> None:
        """Read again from the oldest event."""
        self._last_read = 0
        self.has_unread = self._last_row > 0

    def __len__(self) -> int:
        """Return the number of queued events that are not finished."""
        return max(0, self._count - len(self._finished))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _move_to_disk(self) -> None:
        """Move the events to the file, from memory or a file without a name, if it can be written now."""
        with contextlib.suppress(OSError, sqlite3.Error):
            if self._files is not None:
                self._files.remove_left_journals()
            database = open_queue_file(self._path)
            try:
                with database:
                    _renumber_above(database, self._last_given)
                    rows = self._database.execute(f"{SELECT} ORDER BY id")
                    unfinished = (row for row in rows if row[0] not in self._finished)
                    database.executemany(INSERT, _intact(unfinished, self._base_topic, self._path))
            except sqlite3.Error:
                database.close()
                raise
            self._database.close()
            self._in_memory = False
            self._files = None if self._path is None else OpenFiles(self._path)
            self._use(database)
            self.rewind()

    def _next_row(self) -> tuple[Any, ...] | None:
        query = f"{SELECT} WHERE id > ? ORDER BY id LIMIT 1"
        found: tuple[Any, ...] | None = self._database.execute(query, (self._last_read,)).fetchone()
        return found

    def _replacing_damaged(
        self, action: Callable[[], _Result], repeated: Callable[[], _Result] | None = None
    ) -> _Result:
        """Run an action; if the file is damaged, keep it aside and run `repeated`, or it again, on a new one.

        Raises sqlite3.Error for a disk that can't be read or written.
        """
        try:
            return action()
        except sqlite3.DatabaseError as exc:
            if self._path is None or self._in_memory or not is_damage(exc):
                raise
            self._replace(self._path, exc)
            return (repeated or action)()

    def _replace(self, path: Path, reason: sqlite3.DatabaseError) -> None:
        self._database.close()
        self._last_lost = self._last_given
        try:
            keep_aside(path, reason)
            database = self._open_file()
            with database:
                _renumber_above(database, self._last_given)
            self._use(database)
        except (OSError, sqlite3.Error) as exc:
            self._use_memory(exc)

    def _use_memory(self, reason: Exception) -> None:
        logger.warning("MQTT events wait in memory, as %s can't be written: %s", self._path, reason)
        self._in_memory = True
        self._files = None
        database = open_queue_file(None)
        with database:
            _renumber_above(database, self._last_given)
        self._use(database)

    def _open_file(self) -> sqlite3.Connection:
        database = open_queue_file(self._path)
        self._files = None if self._path is None else OpenFiles(self._path)
        return database

    def _use(self, database: sqlite3.Connection) -> None:
        """Continue with another database, whose rows are numbered above all that `next` has returned."""
        self._database, self._last_void = database, self._last_given
        self._finished.clear()
        self._refresh()

    def _refresh(self) -> None:
        """Read the number of queued events and the last row."""
        [row] = self._database.execute("SELECT count(*), coalesce(max(id), 0) FROM event")
        self._count, self._last_row = int(row[0]), int(row[1])
        self.has_unread = self._last_read < self._last_row


def queue_path(folder: Path, base_topic: str) -> Path:
    """Return the queue file of one device; several devices may have their stores in one folder."""
    name = quote(base_topic, safe="")
    if len(name) > _MAX_NAME:
        name = sha256(base_topic.encode()).hexdigest()
    return folder / f"mqtt-events.{name}.sqlite"


def _intact(rows: Iterable[Sequence[Any]], base_topic: str, path: Path | None) -> Iterator[tuple[Any, ...]]:
    """Yield the values to insert of the intact events of a file."""
    for row in rows:
        try:
            yield row_of(read_event(row, base_topic))
        except DamagedEventError as exc:
            logger.warning("a waiting MQTT event in %s is dropped: %s", path, exc)


def _renumber_above(database: sqlite3.Connection, number: int) -> None:
    """Give the rows of a database, and those that follow, numbers above `number`, in the same order."""
    [[first, last]] = database.execute("SELECT min(id), max(id) FROM event")
    if first is not None and first <= number:
        shift = max(number, last)  # no new number is one of the old ones
        database.execute("UPDATE event SET id = id + ?", (shift,))
    database.execute("DELETE FROM sqlite_sequence")
    database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('event', ?)", (number,))
