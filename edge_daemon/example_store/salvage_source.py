"""The connection that a damaged store is salvaged through: to the file, or to a copy with a new schema page.

The schema is on the first page. While it is damaged SQLite finds no table, though every row may be intact.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import OutputError
from edge_daemon.example_store.integrity import decode_text, summarise
from edge_daemon.example_store.schema import MIGRATIONS, expected_schemas, migrate, read_schema
from edge_daemon.example_store.store_file import (
    is_database,
    journal_size,
    open_existing,
    open_read_only,
    open_unwritable,
)
from edge_daemon.example_store.table_pages import PAGE, Layout, find_tables
from edge_daemon.system.disk import temporary_folder
from edge_daemon.system.sqlite import remove_database

_HEADER = b"SQLite format 3\0" + PAGE.to_bytes(2, "big") + b"\2\2\0\x40\x20\x20"
"""First bytes of every store: with a journal, without reserved bytes."""

_SIZE_AT, _FREED_AT, _FREED_END = 28, 32, 40

_EXAMPLES: dict[Layout, int] = {(21, False): 6, (16, False): 3}
"""The first version with each layout of `examples`, the newest first: pages of a former table may be left."""

_OTHERS: dict[Layout, str] = {(7, False): "scenes", (1, True): "fleet_groups"}


@dataclass(slots=True)
class Salvage:
    """The number of intact examples in a damaged file, and a line for each damaged one."""

    kept: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """Return one line on the kept and the lost examples."""
        found = f"{counted(self.kept, 'example')} salvaged"
        return f"{found}; damaged: {summarise(self.problems)}" if self.problems else found


@contextmanager
def salvage_source(
    path: Path, check: Callable[[sqlite3.Connection], Salvage]
) -> Iterator[sqlite3.Connection]:
    """Open a damaged store to read from it; the file and its journal are not changed.

    `check` counts the intact rows of a connection. The connection is to a copy with a new schema page, which
    is deleted afterwards, if the file's own schema is damaged or hides rows. Raises OSError.
    """
    with closing(_open(path)) as source:
        found, fits = check(source), _has_tables(source)
        if fits and found.kept and not found.problems:
            yield source
            return
        with _copied(path) as copy:
            least = found.kept + fits
            yield source if copy is None or check(copy).kept < least else copy


def _has_tables(source: sqlite3.Connection) -> bool:
    """Return whether a file has the tables of any version, under their names and with their columns."""
    try:
        found = read_schema(source)
    except sqlite3.DatabaseError:
        return False
    return any(schema <= found for schema in expected_schemas(MIGRATIONS).values())


def _open(path: Path) -> sqlite3.Connection:
    # Immutable where SQLite rejects the header: it deletes the journal of such a file.
    return _readable(open_unwritable(path) if is_database(path) else open_read_only(path, immutable=True))


def _readable(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.text_factory = decode_text
    # SQLite reads a file that is shorter than its header says, and what it can of a damaged schema.
    connection.execute("PRAGMA writable_schema = ON")
    return connection


@contextmanager
def _copied(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Yield a connection to a copy with a new schema page; None without a table, or without room.

    It is beside the file, where the next one replaces that of a killed process, else in a private folder.
    """
    with ExitStack() as stack:
        connection = None
        with suppress(OSError, sqlite3.Error, OutputError):
            is_open = os.access(path.parent, os.W_OK)
            folder = path.parent if is_open else stack.enter_context(temporary_folder())
            copy = folder / f".{path.name}.tables"
            remove_database(copy)
            stack.callback(remove_database, copy)
            _copy(path, copy)
            if _replace_schema(copy):
                connection = stack.enter_context(closing(_readable(open_read_only(copy, immutable=True))))
        yield connection


def _copy(path: Path, copy: Path) -> None:
    """Copy a file with its journal, under an intact header, and fold the journal in."""
    _copy_file(path, copy)
    with copy.open("r+b") as file:
        file.write(_HEADER)
        file.truncate(max(1, -(-file.seek(0, 2) // PAGE)) * PAGE)
    if journal_size(path):
        _copy_file(Path(f"{os.path.realpath(path)}-wal"), Path(f"{copy}-wal"))
        with closing(_readable(open_existing(copy))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy_file(path: Path, copy: Path) -> None:
    # Exclusive: the folder's owner may be a compromised service, which would plant a link for root.
    handle = os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with path.open("rb") as source, os.fdopen(handle, "wb") as target:
        shutil.copyfileobj(source, target)


def _replace_schema(copy: Path) -> bool:
    """Write a first page that names the tables found; return False without a table of examples."""
    tables = find_tables(copy)
    layout = next((each for each in _EXAMPLES if each in tables), None)
    if layout is None:
        return False
    roots = {name: tables[each] for each, name in _OTHERS.items() if each in tables}
    page = bytearray(_schema_page(_EXAMPLES[layout], {"examples": tables[layout], **roots}))
    page[_SIZE_AT:_FREED_AT] = (copy.stat().st_size // PAGE).to_bytes(4, "big")
    page[_FREED_AT:_FREED_END] = bytes(8)
    with copy.open("r+b") as file:
        file.write(page)
    return True


def _schema_page(version: int, roots: dict[str, int]) -> bytes:
    """Return the first page of a store of a version that has these tables alone, by name, and no index."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as template:
        migrate(template, Path(":memory:"), tuple(each for each in MIGRATIONS if each[0] <= version))
        template.execute("PRAGMA writable_schema = ON")
        template.execute("UPDATE sqlite_master SET rootpage = 0")
        for name, root in roots.items():
            template.execute(
                "UPDATE sqlite_master SET rootpage = ? WHERE type = 'table' AND name = ?", (root, name)
            )
        template.execute("DELETE FROM sqlite_master WHERE rootpage = 0")
        return template.serialize()[:PAGE]
