"""Opening the store's SQLite file so that what is committed survives a power cut."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import quote

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.integrity import (
    SEALED,
    add_checksum_function,
    decode_text,
    find_damaged,
    sql_checksum,
)
from edge_daemon.example_store.schema import migrate
from edge_daemon.system.file_owner import refuse_planted_link
from edge_daemon.system.regular_file import require_regular
from edge_daemon.system.sqlite import CorruptStoreError, sync_directory

_CACHE_KB = 256
"""Of pages: examples are read once, at the start. SQLite's own 2 MB would stay filled with them."""

_open = partial(sqlite3.connect, isolation_level=None, check_same_thread=False)

# Of this connection alone: what other programs write keeps no checksum, or the one it had. A damaged row must
# not become a sound one by a change.
_SEALING = (
    f"""
    CREATE TEMP TRIGGER seal_added AFTER INSERT ON main.examples
        BEGIN UPDATE examples SET checksum = {sql_checksum()} WHERE id = NEW.id; END
    """,
    f"""
    CREATE TEMP TRIGGER seal_changed AFTER UPDATE OF {", ".join(SEALED)} ON main.examples
        WHEN NEW.id NOT IN (SELECT id FROM damaged)
        BEGIN UPDATE examples SET checksum = {sql_checksum()} WHERE id = NEW.id; END
    """,
)


def connect(path: Path, busy_s: float) -> sqlite3.Connection:
    """Open or create the file, checked and at the newest schema; a lock is waited for `busy_s` seconds.

    In autocommit: transactions are begun and ended by hand. The thread that opens needn't be the one
    that owns the connection afterwards. Raises StoreError and what `faults.named` translates.
    """
    _refuse_planted_links(path)
    _create(path)
    _check_header(path)
    # Absolute, so that no name means something else to SQLite, as `:memory:` does.
    return _prepared(_open(path.absolute(), timeout=busy_s), path)


def connect_memory(path: Path | None) -> sqlite3.Connection:
    """Open a copy of the file in memory, for a disk that can't be written; an empty store for none.

    Raises StoreError when the file has a journal: only SQLite on a writable disk can fold it in.
    """
    connection = _open(":memory:")
    try:
        if path is not None and path.exists() and path.stat().st_size:
            if journal_size(path):
                raise StoreError(f"store '{path}' can't be read while its disk can't be written")
            with closing(open_read_only(path, immutable=True)) as source:
                source.backup(connection)
    except BaseException:
        connection.close()
        raise
    return _prepared(connection, path or Path(":memory:"))


def open_read_only(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """Open the file so that neither it nor its journal is changed; the journal is ignored if `immutable`."""
    options = "mode=ro&immutable=1" if immutable else "mode=ro"
    return _open(f"file:{quote(str(path.absolute()))}?{options}", uri=True)


def copy_database(path: Path, copy: Path) -> None:
    """Write what is committed to a new file, while another process may go on writing."""
    with closing(open_read_only(path)) as source, closing(_open(copy)) as target:
        source.backup(target)


def is_database(path: Path) -> bool:
    """Return whether SQLite reads the file's header; of another it would delete the journal.

    A file descriptor of our own must not do it: closing it would drop the locks that every other
    connection of this process holds on the file (POSIX locks belong to the process), and the next process
    to leave would delete the journal under them.
    """
    if not path.stat().st_size:
        return False
    with closing(open_read_only(path, immutable=True)) as connection:
        try:
            connection.execute("PRAGMA schema_version")
        except sqlite3.DatabaseError as exc:
            if exc.sqlite_errorname.startswith("SQLITE_NOTADB"):
                return False
    return True


def journal_size(path: Path) -> int:
    """Return how many bytes of changes are not in the file itself yet."""
    journal = Path(f"{path}-wal")
    return journal.stat().st_size if journal.exists() else 0


def leave_out_damaged(connection: sqlite3.Connection) -> dict[int, str]:
    """Fill `temp.damaged` with the ids of examples that can't be used; their faults by id."""
    faults = find_damaged(connection)
    connection.execute("DELETE FROM temp.damaged")
    connection.executemany("INSERT INTO temp.damaged (id) VALUES (?)", [(each,) for each in faults])
    return faults


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
    """Raise CorruptStoreError before SQLite may write. See `is_database`."""
    try:
        empty = path.is_file() and not path.stat().st_size
        if empty and journal_size(path):
            raise CorruptStoreError(f"store '{path}' is corrupt: it is empty, but its journal isn't")
    except OSError as exc:
        raise StoreError(f"store '{path}' can't be read: {exc.strerror}") from exc
    if not empty and not is_database(path):
        raise CorruptStoreError(f"store '{path}' is corrupt: file is not a database")


def _prepared(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.text_factory = decode_text
    connection.execute("PRAGMA temp_store = MEMORY")
    # Before the migration, which would carry damage over. The indexes are part of it: counts come from them.
    damage = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if damage != "ok":
        raise CorruptStoreError(f"store '{path}' is corrupt: {' '.join(damage.split())}")
    add_checksum_function(connection)
    migrate(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    connection.execute("CREATE TEMP TABLE damaged (id INTEGER PRIMARY KEY)")
    for trigger in _SEALING:
        connection.execute(trigger)
