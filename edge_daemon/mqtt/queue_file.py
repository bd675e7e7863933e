"""The file of the persistent queue: opened, checked, and kept aside if it is damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
from functools import partial
from pathlib import Path

from edge_daemon.mqtt.queued_event import ADD_CHECKSUM, COLUMNS, COLUMNS_WITHOUT_CHECKSUM, SCHEMA
from edge_daemon.system.disk import disk_refuses
from edge_daemon.system.sqlite import (
    Connection,
    free_name,
    is_damage,
    make_durable,
    move_aside,
    with_journals,
)

logger = logging.getLogger(__name__)

_VERSION = 1


def open_queue_file(path: Path | None) -> sqlite3.Connection:
    """Open the file, or a database in memory if `path` is None. Raises OSError and sqlite3.Error.

    A file that is damaged or of another version is renamed.
    """
    if path is None:
        return _prepare(":memory:")
    if is_no_file(path):
        raise OSError("it is a folder" if path.is_dir() else "it is no file")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _prepare(path)
    except (sqlite3.DatabaseError, ValueError) as exc:
        if isinstance(exc, sqlite3.Error) and not (is_damage(exc) or _has_damaged_version(path, exc)):
            raise
        keep_aside(path, exc)
        return _prepare(path)


def _has_damaged_version(path: Path, exc: sqlite3.Error) -> bool:
    """Return whether only the file's header can forbid the writing: it has the version that may write."""
    files = [each for each in with_journals(path) if each.exists()]
    writable = all(os.access(each, os.W_OK) for each in (*files, path.parent)) and not disk_refuses(path)
    return exc.sqlite_errorname == "SQLITE_READONLY" and writable


def is_no_file(path: Path) -> bool:
    """Return whether a folder or a device has the path."""
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
    if columns != COLUMNS and columns != COLUMNS_WITHOUT_CHECKSUM and (columns or exists):
        raise ValueError("its table has other columns")
    return columns != COLUMNS_WITHOUT_CHECKSUM


def keep_aside(path: Path, reason: Exception) -> None:
    """Rename a damaged file. Raises OSError."""
    kept = free_name(path, "damaged-1")
    move_aside(path, kept)
    cause = " ".join(str(reason).split())
    logger.warning("the waiting MQTT events in %s can't be read (%s); kept as %s", path, cause, kept.name)
