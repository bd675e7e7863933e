"""What SQLite's failures mean to the owner of the store, each in one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_daemon.errors import StoreError

_CORRUPT = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")
_MEANINGS = (
    (
        ("SQLITE_READONLY", "SQLITE_PERM"),
        "can't be written; check the permissions of the file and its folder",
    ),
    (("SQLITE_CANTOPEN",), "can't be opened; check that its folder exists and may be written"),
    (("SQLITE_FULL",), "can't be written because the disk is full; free some space and try again"),
    (("SQLITE_IOERR",), "can't be read or written (the disk is full or failing)"),
)


class CorruptStoreError(StoreError):
    """The file is damaged, or no SQLite database at all."""


class LockedStoreError(StoreError):
    """Another process is writing; the same call may succeed a moment later."""


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Turn any SQLite failure inside the block into a StoreError that names the file."""
    try:
        yield
    except sqlite3.Error as exc:
        raise _explain(path, exc) from exc


def _explain(path: Path, exc: sqlite3.Error) -> StoreError:
    code = getattr(exc, "sqlite_errorname", None) or ""
    if code.startswith(_CORRUPT):
        return CorruptStoreError(f"store '{path}' is corrupt: {exc}")
    if code.startswith(_LOCKED):
        return LockedStoreError(
            f"store '{path}' is locked by another process; stop that one or try again ({code})"
        )
    for codes, meaning in _MEANINGS:
        if code.startswith(codes):
            return StoreError(f"store '{path}' {meaning} ({code})")
    return StoreError(f"store '{path}': {exc}")
