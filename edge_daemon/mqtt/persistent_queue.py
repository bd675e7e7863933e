"""The persistent queue of the events that wait for the broker."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from edge_daemon.domain.errors import BrokerError
from edge_daemon.example_store.open_files import OpenFiles
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.queued_event import (
    ADD_CHECKSUM,
    COLUMNS,
    COLUMNS_OF_0_1_0,
    INSERT,
    SCHEMA,
    SELECT,
    DamagedEventError,
    read_event,
    row_of,
)
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.disk import disk_refuses
from edge_daemon.system.sqlite import (
    Connection,
    free_name,
    is_damage,
    is_locked,
    make_durable,
    move_aside,
    with_journals,
)

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_VERSION = 1
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

    A row stays until `remove`, so that events that were read but not acknowledged are read again after
    `rewind` or a restart. A file that is damaged or of another version is renamed, never overwritten; one
    that becomes damaged while it is open, too. While the disk is full or read-only, or another process locks
    the file, the events are kept in memory. A file that was deleted or replaced while it is open is made
    again with its events. A row that is damaged, or whose topic is not below `base_topic`, is dropped.
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
        self.has_unread = False
        self._in_memory = False
        self._files: OpenFiles | None = None
        try:
            self._database = self._open_file()
            self._refresh()
        except (OSError, sqlite3.Error) as exc:
            if path is None or not (is_locked(exc) or _is_no_file(path) or disk_refuses(path)):
                raise BrokerError(f"can't keep MQTT events in {path}: {exc}") from exc
            self._use_memory(exc)

    def store(self, messages: Sequence[Message]) -> int:
        """Append in order and return how many of the oldest were dropped. Raises sqlite3.Error."""
        if self._in_memory or (self._files is not None and self._files.moved):
            self._move_to_disk()
        return self._replacing_damaged(lambda: self._store(messages))

    def _store(self, messages: Sequence[Message]) -> int:
        with self._database as database:
            database.executemany(INSERT, map(row_of, messages))
            [[count]] = database.execute("SELECT count(*) FROM event")
            dropped = max(0, count - self._bound)
            database.execute(
                "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT ?)", (dropped,)
            )
        self._refresh()
        return int(dropped)

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
            self.has_unread = self._last_read < self._last_row
            try:
                return row[0], read_event(row, self._base_topic)
            except DamagedEventError as exc:
                logger.warning("a waiting MQTT event in %s is dropped: %s", self._path, exc)
                with contextlib.suppress(sqlite3.Error):
                    self.remove([row[0]])
        return None

    def remove(self, rows: Iterable[int]) -> None:
        """Delete events that the broker has acknowledged. Raises sqlite3.Error."""
        listed = [(row,) for row in rows]
        self._replacing_damaged(lambda: self._remove(listed))

    def _remove(self, rows: Sequence[tuple[int]]) -> None:
        with self._database as database:
            database.executemany("DELETE FROM event WHERE id = ?", rows)
        self._refresh()
        if not self._count:  # only after an outage, not during it
            self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def rewind(self) -> None:
        """Read again from the oldest event."""
        self._last_read = 0
        self.has_unread = self._last_row > 0

    def __len__(self) -> int:
        """Return the number of queued events."""
        return self._count

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _move_to_disk(self) -> None:
        """Move the events to the file, from memory or a file without a name, if it can be written now."""
        with contextlib.suppress(OSError, sqlite3.Error):
            if self._files is not None:
                self._files.remove_left_journals()
            database = _open(self._path)
            try:
                with database:
                    rows = self._database.execute(f"{SELECT} ORDER BY id")
                    database.executemany(INSERT, _intact(rows, self._base_topic, self._path))
            except sqlite3.Error:
                database.close()
                raise
            self._database.close()
            self._database, self._in_memory = database, False
            self._files = None if self._path is None else OpenFiles(self._path)
            self._refresh()
            self.rewind()

    def _next_row(self) -> tuple[Any, ...] | None:
        query = f"{SELECT} WHERE id > ? ORDER BY id LIMIT 1"
        found: tuple[Any, ...] | None = self._database.execute(query, (self._last_read,)).fetchone()
        return found

    def _replacing_damaged(self, action: Callable[[], _Result]) -> _Result:
        """Run an action; if the file is damaged, keep it aside and repeat the action on a new one.

        Raises sqlite3.Error for a disk that can't be read or written.
        """
        try:
            return action()
        except sqlite3.DatabaseError as exc:
            if self._path is None or self._in_memory or not is_damage(exc):
                raise
            self._replace(self._path, exc)
            return action()

    def _replace(self, path: Path, reason: sqlite3.DatabaseError) -> None:
        last_row = max(self._last_row, self._last_read)
        self._database.close()
        try:
            _keep_aside(path, reason)
            self._database = self._open_file()
            with self._database as database:  # a row that is acknowledged later must not be a new one
                database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('event', ?)", (last_row,))
            self._refresh()
        except (OSError, sqlite3.Error) as exc:
            self._use_memory(exc)

    def _use_memory(self, reason: Exception) -> None:
        logger.warning("MQTT events wait in memory, as %s can't be written: %s", self._path, reason)
        self._in_memory = True
        self._files = None
        self._database = _open(None)
        self._refresh()

    def _open_file(self) -> sqlite3.Connection:
        database = _open(self._path)
        self._files = None if self._path is None else OpenFiles(self._path)
        return database

    def _refresh(self) -> None:
        """Read the number of queued events and the last row."""
        [row] = self._database.execute("SELECT count(*), coalesce(max(id), 0) FROM event")
        self._count, self._last_row = int(row[0]), int(row[1])
        self.has_unread = self._last_read < self._last_row


def queue_path(folder: Path, base_topic: str) -> Path:
    """Return the queue file of one device; its name contains the base topic.

    Several devices may have their stores in one folder. Version 0.1.0 had one file for all of them; its
    events are moved to the file of the device whose topics they have.
    """
    name = quote(base_topic, safe="")
    if len(name) > _MAX_NAME:
        name = sha256(base_topic.encode()).hexdigest()
    path = folder / f"mqtt-events.{name}.sqlite"
    shared = folder / "mqtt-events.sqlite"
    if shared.exists():
        try:
            _migrate(shared, path, base_topic)
        except (OSError, ValueError, sqlite3.Error) as exc:
            logger.warning("the waiting MQTT events in %s are not sent: %s", shared, exc)
    return path


def _migrate(shared: Path, path: Path, base_topic: str) -> None:
    where, ours = "WHERE substr(topic, 1, ?) = ?", (len(base_topic) + 1, f"{base_topic}/")
    with closing(_open(shared)) as source, closing(_open(path)) as target, source:
        source.execute("BEGIN IMMEDIATE")
        rows = source.execute(f"{SELECT} {where} ORDER BY id", ours)
        with target:
            target.executemany(INSERT, _intact(rows, base_topic, shared))
        source.execute(f"DELETE FROM event {where}", ours)
        [[left]] = source.execute("SELECT count(*) FROM event")
    if not left:
        shared.unlink()


def _intact(rows: Iterable[Sequence[Any]], base_topic: str, path: Path | None) -> Iterator[tuple[Any, ...]]:
    """Yield the values to insert of the intact events of a file."""
    for row in rows:
        try:
            yield row_of(read_event(row, base_topic))
        except DamagedEventError as exc:
            logger.warning("a waiting MQTT event in %s is dropped: %s", path, exc)


def _open(path: Path | None) -> sqlite3.Connection:
    if path is None:
        return _prepare(":memory:")
    if _is_no_file(path):
        raise OSError("it is a folder" if path.is_dir() else "it is no file")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _prepare(path)
    except (sqlite3.DatabaseError, ValueError) as exc:
        if isinstance(exc, sqlite3.Error) and not (is_damage(exc) or _has_damaged_version(path, exc)):
            raise
        _keep_aside(path, exc)
        return _prepare(path)


def _has_damaged_version(path: Path, exc: sqlite3.Error) -> bool:
    """Return whether only the file's header can forbid the writing: it has the version that may write."""
    files = [each for each in with_journals(path) if each.exists()]
    writable = all(os.access(each, os.W_OK) for each in (*files, path.parent)) and not disk_refuses(path)
    return exc.sqlite_errorname == "SQLITE_READONLY" and writable


def _is_no_file(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _prepare(path: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False, factory=Connection)
    database.text_factory = partial(str, encoding="utf-8", errors="replace")
    try:
        [[version]] = database.execute("PRAGMA user_version")
        if version not in (0, _VERSION):
            raise ValueError(f"it is of version {version}")
        [[found]] = database.execute("PRAGMA quick_check(1)")
        if found != "ok":
            raise ValueError(found)
        _check_columns(database, exists=version == _VERSION)
        make_durable(database)
        _make_table(database)
    except BaseException:
        database.close()
        raise
    return database


def _make_table(database: sqlite3.Connection) -> None:
    """Make the table, or add its checksums; another process may do the same now.

    It writes in any case, which finds a header that forbids it.
    """
    with database:
        database.execute("BEGIN IMMEDIATE")
        has_checksum = _check_columns(database, exists=False)
        database.execute(SCHEMA)
        if not has_checksum:
            database.execute(ADD_CHECKSUM)
        database.execute(f"PRAGMA user_version = {_VERSION}")


def _check_columns(database: sqlite3.Connection, *, exists: bool) -> bool:
    """Return whether the table has checksums, or is still to be made; raise ValueError for other columns."""
    table = database.execute("PRAGMA table_info(event)")
    columns = [(name, kind, key) for _, name, kind, _, _, key in table]
    if columns != COLUMNS and columns != COLUMNS_OF_0_1_0 and (columns or exists):
        raise ValueError("its table has other columns")
    return columns != COLUMNS_OF_0_1_0


def _keep_aside(path: Path, reason: Exception) -> None:
    kept = free_name(path, "damaged-1")
    move_aside(path, kept)
    cause = " ".join(str(reason).split())
    logger.warning("the waiting MQTT events in %s can't be read (%s); kept as %s", path, cause, kept.name)
