"""Opening the store's SQLite file so that what is committed survives a power cut."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from edge_daemon.as_owner import refuse_planted_link
from edge_daemon.errors import StoreError
from edge_daemon.examples.aside import sync_directory
from edge_daemon.examples.faults import CorruptStoreError
from edge_daemon.examples.schema import migrate
from edge_daemon.regular_file import require_regular

_MAGIC = b"SQLite format 3\0"
_CACHE_KB = 256
"""Of pages: examples are read once, at the start. SQLite's own 2 MB would stay filled with them."""


def connect(path: Path, busy_s: float) -> sqlite3.Connection:
    """Open or create the file, checked and at the newest schema; a lock is waited for `busy_s` seconds.

    In autocommit: transactions are begun and ended by hand. The thread that opens needn't be the one
    that owns the connection afterwards. Raises StoreError and what `faults.named` translates.
    """
    _refuse_planted_links(path)
    _create(path)
    _check_header(path)
    # Absolute, so that no name means something else to SQLite, as `:memory:` does.
    connection = sqlite3.connect(
        path.absolute(), timeout=busy_s, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_planted_links(path: Path) -> None:
    """Keep root from writing where the store's owner, such as a service that was broken into, points."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        refuse_planted_link(Path(f"{path}{suffix}"))


def _create(path: Path) -> None:
    """Make a missing file and its folders, and put their directory entries on disk."""
    try:
        for folder in reversed([parent for parent in path.parents if not parent.exists()]):
            folder.mkdir(exist_ok=True)
            sync_directory(folder.parent)
        if path.exists():
            require_regular(path)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o640))
            sync_directory(path.parent)
    except OSError as exc:
        raise StoreError(f"store '{path}' can't be created: {exc.strerror}") from exc


def _check_header(path: Path) -> None:
    """Raise CorruptStoreError before SQLite sees the file: it deletes the journal of one it can't read."""
    try:
        with path.open("rb") as file:
            header = file.read(len(_MAGIC))
        journal = Path(f"{path}-wal")
        orphaned = not header and journal.exists() and journal.stat().st_size > 0
    except OSError as exc:
        raise StoreError(f"store '{path}' can't be read: {exc.strerror}") from exc
    if orphaned:
        raise CorruptStoreError(f"store '{path}' is corrupt: it is empty, but its journal isn't")
    if header and header != _MAGIC:
        raise CorruptStoreError(f"store '{path}' is corrupt: file is not a database")


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    damage = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if damage != "ok":
        raise CorruptStoreError(f"store '{path}' is corrupt: {' '.join(damage.split())}")
