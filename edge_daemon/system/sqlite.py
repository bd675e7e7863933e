"""SQLite files that survive power cuts: durable settings, failures in one line, a damaged file kept aside."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from edge_daemon.domain.errors import StoreError
from edge_daemon.system.atomic_file import sync_directory

_CORRUPT = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_UNKNOWN_FORMAT = "unsupported file format"
"""SQLite's text for a number in the header that was never used, with the code of any error."""

_LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")
_EXPLANATIONS = (
    (
        ("SQLITE_READONLY", "SQLITE_PERM"),
        "can't be written; check the permissions of the file and its folder",
    ),
    (("SQLITE_CANTOPEN",), "can't be opened; check that its folder exists and may be written"),
    (("SQLITE_FULL",), "can't be written because the disk is full; free some space and try again"),
    (("SQLITE_IOERR",), "can't be read or written (the disk is full or failing)"),
)
_JOURNALS = ("-wal", "-shm")

_MAX_EMPTY_JOURNAL = 8 << 20
"""Size in bytes to which a journal is cut once its content is in the file; SQLite folds it in at 4 MB."""


class CorruptStoreError(StoreError):
    """The file is damaged, or is not a SQLite database."""


class LockedStoreError(StoreError):
    """Another process is writing; a later call may succeed."""


class Connection(sqlite3.Connection):
    """A connection whose every error is a sqlite3.Error; pass it as `factory`.

    SQLite's error text can quote a damaged schema. Python fails to decode it if it is no UTF-8.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run a statement as `sqlite3.Connection` does."""
        with _readable_errors():
            return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Run a statement for each set of parameters as `sqlite3.Connection` does."""
        with _readable_errors():
            return super().executemany(sql, parameters)


@contextmanager
def _readable_errors() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as exc:
        damage = sqlite3.DatabaseError("its tables have a damaged description")
        damage.sqlite_errorname, damage.sqlite_errorcode = "SQLITE_CORRUPT", sqlite3.SQLITE_CORRUPT
        raise damage from exc


@contextmanager
def sqlite_errors_of(path: Path) -> Iterator[None]:
    """Turn a SQLite error inside the block into a StoreError that names the store's file."""
    try:
        yield
    except sqlite3.Error as exc:
        raise _explain(path, exc) from exc


def _explain(path: Path, exc: sqlite3.Error) -> StoreError:
    code = _code(exc)
    if code.startswith(_CORRUPT) or _UNKNOWN_FORMAT in str(exc):
        return CorruptStoreError(f"store '{path}' is corrupt: {' '.join(str(exc).split())}")
    if is_locked(exc):
        return LockedStoreError(
            f"store '{path}' is locked by another process; stop that one or try again ({code})"
        )
    for codes, explanation in _EXPLANATIONS:
        if code.startswith(codes):
            return StoreError(f"store '{path}' {explanation} ({code})")
    return StoreError(f"store '{path}': {' '.join(str(exc).split())}")


def is_damage(exc: sqlite3.Error) -> bool:
    """Return whether an error in a program's own statement shows damage of the file, not a state of the disk.

    A flipped bit of a name is "no such column", with the code of any error.
    """
    return not isinstance(exc, sqlite3.OperationalError) or _code(exc) == "SQLITE_ERROR"


def is_locked(exc: BaseException | None) -> bool:
    """Return whether another connection holds the lock that a statement needed."""
    return _code(exc).startswith(_LOCKED)


def _code(exc: BaseException | None) -> str:
    return getattr(exc, "sqlite_errorname", None) or ""


def make_durable(connection: sqlite3.Connection) -> None:
    """Set the journal and the syncing so that a commit survives a power cut.

    The journal of a large transaction, such as an import, is cut at the next change after it was folded in.
    By default SQLite keeps it at that size until the last process closes the file.
    """
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {_MAX_EMPTY_JOURNAL}")


def with_journals(path: Path) -> list[Path]:
    """Return the paths of a database's file and of the files that SQLite keeps beside it in WAL mode."""
    return [path, *(Path(f"{path}{suffix}") for suffix in _JOURNALS)]


def remove_database(path: Path) -> None:
    """Remove a database and its journals, if they exist."""
    for each in with_journals(path):
        with suppress(FileNotFoundError):
            each.unlink()


def free_name(path: Path, suffix: str) -> Path:
    """Return `<name>.<suffix>` beside `path`, with a number at its end if that name is taken."""
    for number in count(1):
        free = path.with_name(f"{path.name}.{suffix}" + (f"-{number}" if number > 1 else ""))
        if not os.path.lexists(free):
            return free
    raise AssertionError("count never ends")


def move_aside(path: Path, kept: Path, replacement: Path | None = None) -> None:
    """Rename a damaged database to `kept`, and put `replacement` in its place. Raises OSError.

    The journal gets the matching name, under which SQLite finds it. With a replacement a power cut leaves
    one of the two files at `path`, where the file system has hard links.
    """
    for journal, kept_journal in zip(with_journals(path)[1:], with_journals(kept)[1:], strict=True):
        if os.path.lexists(journal):
            os.rename(journal, kept_journal)
    if replacement is None:
        path.rename(kept)
    else:
        _link(path, kept)
        os.replace(replacement, path)
    sync_directory(path.parent)


def _link(path: Path, kept: Path) -> None:
    try:
        os.link(path, kept, follow_symlinks=False)
    except OSError:
        path.rename(kept)  # a file system without hard links
