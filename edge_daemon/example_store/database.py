"""The store's SQLite file: open and migrate it, copy it, check a path without making a file."""

from __future__ import annotations

import errno
import operator
import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.integrity import (
    CHECKSUMMED,
    add_checksum_function,
    decode_text,
    find_damaged,
    sql_checksum,
)
from edge_daemon.example_store.schema import checked_version, migrate
from edge_daemon.example_store.store_file import (
    is_database,
    journal_size,
    may_write,
    open_file,
    open_read_only,
    open_unwritable,
)
from edge_daemon.system.atomic_file import sync_directory
from edge_daemon.system.disk import disk_refuses
from edge_daemon.system.file_owner import refuse_planted_link
from edge_daemon.system.regular_file import require_regular
from edge_daemon.system.sqlite import (
    CorruptStoreError,
    make_durable,
    sqlite_errors_of,
    with_journals,
)

_MAGIC = b"SQLite format 3\0"
_LIKE_MAGIC = 12
"""Number of its bytes that a damaged header still has; text that begins with `SQLite for` has fewer."""

_PAGE = 4096
_EXAMPLE_COLUMNS = (16, 21)
"""Numbers of columns of the table `examples` in all versions."""

_CACHE_KB = 256
"""Page cache. Examples are read once, at the start; SQLite's default of 2 MB would stay filled with them."""


class ForeignFileError(StoreError):
    """The file is something else than a store, such as a picture."""


# For this connection alone: a row that another program writes has no checksum, or an old one. A change does
# not turn a damaged row into an intact one.
_CHECKSUM_TRIGGERS = (
    f"""
    CREATE TEMP TRIGGER checksum_of_added AFTER INSERT ON main.examples
        BEGIN UPDATE examples SET checksum = {sql_checksum()} WHERE id = NEW.id; END
    """,
    f"""
    CREATE TEMP TRIGGER checksum_of_changed AFTER UPDATE OF {", ".join(CHECKSUMMED)} ON main.examples
        WHEN NEW.id NOT IN (SELECT id FROM damaged)
        BEGIN UPDATE examples SET checksum = {sql_checksum()} WHERE id = NEW.id; END
    """,
)


def connect(path: Path, busy_s: float) -> sqlite3.Connection:
    """Open or create the file, check it and migrate it to the newest schema.

    The connection waits `busy_s` seconds for a lock and is in autocommit mode: statements begin and end
    transactions. Another thread may own it later. Raises StoreError, sqlite3.Error.
    """
    _refuse_planted_links(path)
    _create(path)
    _check_header(path)
    # Absolute: SQLite gives some relative names a meaning, such as `:memory:`.
    return _prepare_or_close(open_file(path.absolute(), timeout=busy_s), path)


def connect_memory(path: Path | None) -> sqlite3.Connection:
    """Open a copy of the file in memory, for one that can't be written; an empty store for None."""
    connection = open_file(":memory:")
    try:
        if path is not None and path.exists() and path.stat().st_size:
            with closing(open_unwritable(path)) as source:
                source.backup(connection)
    except BaseException:
        connection.close()
        raise
    return _prepare_or_close(connection, path or Path(":memory:"))


def mark_damaged(connection: sqlite3.Connection) -> dict[int, str]:
    """Write the ids of damaged examples to `temp.damaged`; return their faults by id."""
    faults = find_damaged(connection)
    connection.execute("DELETE FROM temp.damaged")
    connection.executemany("INSERT INTO temp.damaged (id) VALUES (?)", [(each,) for each in faults])
    return faults


def _refuse_planted_links(path: Path) -> None:
    """Refuse links that would make root write elsewhere: the store's owner may be a compromised service."""
    for each in (*with_journals(path), Path(f"{path}-journal")):
        refuse_planted_link(each)


def _create(path: Path) -> None:
    """Make a missing file and its folders, and sync their directory entries.

    What root makes belongs to the owner of the folder, such as the service, which has to open it.
    """
    place = Path(os.path.realpath(path))
    try:
        for folder in reversed([parent for parent in place.parents if not parent.exists()]):
            folder.mkdir(exist_ok=True)
            if (owner := _owner_in(folder.parent)) is not None:
                os.chown(folder, *owner, follow_symlinks=False)
            sync_directory(folder.parent)
        if place.exists():
            _require_file(path)
            return
        with suppress(FileExistsError):  # another process makes it now
            file = os.open(place, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_RDWR | os.O_CLOEXEC, 0o640)
            try:
                if (owner := _owner_in(place.parent)) is not None:
                    os.fchown(file, *owner)
            finally:
                os.close(file)
        sync_directory(place.parent)
    except OSError as exc:
        raise StoreError(f"store '{path}' can't be created: {exc.strerror}") from exc


def _owner_in(folder: Path) -> tuple[int, int] | None:
    """Return user and group of a folder for what root makes in it; None without root."""
    if os.geteuid() != 0:
        return None
    state = folder.stat()
    return state.st_uid, state.st_gid


def _require_file(path: Path) -> None:
    """Raise StoreError for a folder, OSError for a pipe, socket or device."""
    if path.is_dir():
        raise StoreError(
            f"store '{path}' is a folder; give the path of a file, such as {path}/examples.sqlite"
        )
    require_regular(path)


def _refuse_foreign(path: Path) -> None:
    """Raise ForeignFileError for a file without a database's header that never was a store.

    A damaged store still has most of its header, or a blank first page, as a power cut or a bad card leaves
    it, or an example that can be salvaged, or it has a journal or the lock of its daemon beside it. Only
    without these two the file is opened here, so no daemon of this process has it open: see `is_database`.
    """
    if any(os.path.lexists(each) for each in (*with_journals(path)[1:], Path(f"{path}.lock"))):
        return
    try:
        if _is_like_store(path):
            return
    except OSError as exc:
        raise StoreError(f"store '{path}' can't be read: {exc.strerror}") from exc
    raise ForeignFileError(
        f"'{path}' is no example store and stays as it is; give the path of a store, or of a new file"
    )


def _is_like_store(path: Path) -> bool:
    with path.open("rb") as file:
        page = file.read(_PAGE)
    if page.count(page[:1]) == len(page) and page[:1] in b"\0\xff":
        return True
    if sum(map(operator.eq, page, _MAGIC)) >= _LIKE_MAGIC:
        return True
    return _has_examples(path)


def _has_examples(path: Path) -> bool:
    """Return whether an example can be salvaged. Raises OSError, StoreError."""
    from edge_daemon.example_store.table_pages import find_tables  # late: only damage needs it

    # First the pages, as the salvage copies the file; those of one photo in a thousand look like a table's.
    if not any(columns in _EXAMPLE_COLUMNS for columns, _ in find_tables(path)):
        return False
    from edge_daemon.example_store.salvage import intact_rows, open_damaged
    from edge_daemon.example_store.salvage_source import Salvage

    with open_damaged(path) as source:
        return any(True for _ in intact_rows(source, Salvage()))


def _check_header(path: Path) -> None:
    """Raise the StoreError for a wrong header before SQLite may write. See `is_database`."""
    try:
        empty = path.is_file() and not path.stat().st_size
        if empty and journal_size(path):
            raise CorruptStoreError(f"store '{path}' is corrupt: it is empty, but its journal isn't")
    except OSError as exc:
        raise StoreError(f"store '{path}' can't be read: {exc.strerror}") from exc
    if not empty and not is_database(path):
        _refuse_foreign(path)
        raise CorruptStoreError(f"store '{path}' is corrupt: file is not a database")


def _prepare_or_close(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.text_factory = decode_text
    connection.execute("PRAGMA temp_store = MEMORY")
    # Before the migration, which would copy damage. It checks the indexes too, which give the counts.
    damage = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    if damage != "ok":
        raise CorruptStoreError(f"store '{path}' is corrupt: {' '.join(damage.split())}")
    add_checksum_function(connection)
    migrate(connection, path)
    make_durable(connection)
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    connection.execute("CREATE TEMP TABLE damaged (id INTEGER PRIMARY KEY)")
    for trigger in _CHECKSUM_TRIGGERS:
        connection.execute(trigger)


def check_path(path: Path) -> None:
    """Raise the StoreError of opening a store at `path`, without making a file.

    Damage that the opening repairs, and a full or read-only disk, pass.
    """
    try:
        if path.exists():
            _check_file(path)
        else:
            _check_folder(path)
    except OSError as exc:
        if not disk_refuses(path):
            verb = "read" if os.path.exists(path) else "created"
            raise StoreError(f"store '{path}' can't be {verb}: {exc.strerror}") from exc


def _check_file(path: Path) -> None:
    # A store's file is not opened here: see `is_database`.
    _require_file(path)
    if not os.access(path, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if not may_write(path) and not disk_refuses(path):
        text = f"store '{path}' can't be written; check the permissions of the file and its folder"
        raise StoreError(text) from PermissionError(path)
    try:
        # Immutable: SQLite takes no lock and makes no journal beside a file that may be in use.
        with sqlite_errors_of(path), closing(open_read_only(path, immutable=True)) as connection:
            connection.text_factory = decode_text
            checked_version(connection, path)
    except CorruptStoreError:
        if not is_database(path):
            _refuse_foreign(path)


def _check_folder(path: Path) -> None:
    """Make and remove a folder in the nearest existing one: only that finds every reason for a refusal."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    with tempfile.TemporaryDirectory(prefix=".edge-daemon-", dir=folder):
        return
