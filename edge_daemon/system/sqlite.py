"""SQLite files that survive power cuts: durable settings, failures in one line, a damaged file kept aside."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from edge_daemon.domain.errors import StoreError
from edge_daemon.system.atomic_file import sync_directory

_CORRUPT = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
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


class CorruptStoreError(StoreError):
    """The file is damaged, or is not a SQLite database."""


class LockedStoreError(StoreError):
    """Another process is writing; a later call may succeed."""


@contextmanager
def sqlite_errors_of(path: Path) -> Iterator[None]:
    """Turn a SQLite error inside the block into a StoreError that names the store's file."""
    try:
        yield
    except sqlite3.Error as exc:
        raise _explain(path, exc) from exc


def _explain(path: Path, exc: sqlite3.Error) -> StoreError:
    code = _code(exc)
    if code.startswith(_CORRUPT):
        return CorruptStoreError(f"store '{path}' is corrupt: {exc}")
    if is_locked(exc):
        return LockedStoreError(
            f"store '{path}' is locked by another process; stop that one or try again ({code})"
        )
    for codes, explanation in _EXPLANATIONS:
        if code.startswith(codes):
            return StoreError(f"store '{path}' {explanation} ({code})")
    return StoreError(f"store '{path}': {exc}")


def is_locked(exc: BaseException | None) -> bool:
    """Return whether another connection holds the lock that a statement needed."""
    return _code(exc).startswith(_LOCKED)


def _code(exc: BaseException | None) -> str:
    return getattr(exc, "sqlite_errorname", None) or ""


def make_durable(connection: sqlite3.Connection) -> None:
    """Set the journal and the syncing so that a commit survives a power cut."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


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
