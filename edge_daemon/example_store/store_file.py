"""The store's SQLite file without its content: opened for different purposes, copied, and recognised."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import quote

from edge_daemon.system.sqlite import Connection

open_file = partial(sqlite3.connect, isolation_level=None, check_same_thread=False, factory=Connection)
"""Opens a database in autocommit mode, in which statements begin and end transactions."""

_NO_INDEX = ("SQLITE_CANTOPEN", "SQLITE_IOERR_SHM")
"""Errors where the index of a journal is missing and can't be made: read-only, or the disk is full."""


def open_read_only(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """Open the file without changing it or its journal; `immutable` ignores the journal and locks."""
    options = "mode=ro&immutable=1" if immutable else "mode=ro"
    return open_file(f"file:{quote(str(path.absolute()))}?{options}", uri=True)


def open_existing(path: Path) -> sqlite3.Connection:
    """Open the file to read from it. Unlike `open_read_only` it leaves no new journal beside the file."""
    return open_file(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True)


def may_write(path: Path) -> bool:
    """Return whether this user may write the file, and the journal that SQLite keeps beside it."""
    return os.access(path, os.W_OK) and os.access(Path(os.path.realpath(path)).parent, os.W_OK | os.X_OK)


def open_unwritable(path: Path) -> sqlite3.Connection:
    """Open a file that this user may not write, also one that another process has open.

    The index of a journal, the file `-shm`, can be missing after a crash. Where it can't be made, SQLite
    indexes the journal in memory.
    """
    if not journal_size(path):
        return open_read_only(path, immutable=True)  # else SQLite would make an empty one
    connection = open_read_only(path)
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as exc:  # the next statement raises any other error again
        if exc.sqlite_errorname.startswith(_NO_INDEX):
            connection.close()
            return _open_unindexed(path)
    return connection


def _open_unindexed(path: Path) -> sqlite3.Connection:
    """Open a file with a journal that no process has open: one that had it open would have the index too.

    SQLite takes no lock; it makes and changes no file.
    """
    connection = open_file(f"file:{quote(str(path.absolute()))}?mode=ro&vfs=unix-none", uri=True)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # without it the index is in a file
    return connection


def copy_database(path: Path, copy: Path) -> None:
    """Copy the committed data to a new file; other processes may write meanwhile."""
    with closing(open_read_only(path)) as source, closing(open_file(copy)) as target:
        source.backup(target)


def is_database(path: Path) -> bool:
    """Return whether SQLite accepts the file's header; SQLite deletes the journal of a file that it rejects.

    The file is read through SQLite. Closing a file descriptor of ours would drop the locks that all other
    connections of this process hold on the file (POSIX locks belong to the process), and the next process
    to close the database would delete the journal while they use it.
    """
    if path.stat().st_size <= 1:  # SQLite takes a file of one byte for an empty one
        return False
    with closing(open_read_only(path, immutable=True)) as connection:
        try:
            connection.execute("PRAGMA schema_version")
        except sqlite3.DatabaseError as exc:
            if exc.sqlite_errorname.startswith("SQLITE_NOTADB"):
                return False
    return True


def journal_size(path: Path) -> int:
    """Return the size of the journal in bytes; 0 without one. It is beside the file, not beside a link."""
    try:
        return os.stat(f"{os.path.realpath(path)}-wal").st_size
    except FileNotFoundError:  # the last process that closes the file deletes it
        return 0
