"""What SQLite's failures mean to the owner of the store, each in one line."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path

from edge_daemon.domain.errors import StoreError

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


_COMPANIONS = ("-wal", "-shm")


def move_aside(path: Path, now: datetime, fresh: Path) -> Path:
    """Keep `path` as `<name>.corrupt-<UTC time>` with its journal, and put `fresh` in its place.

    The journal goes under its matching name: SQLite still finds the pair together there. A power cut
    leaves either file at `path`, where the disk can link. Raises StoreError.
    """
    kept = _free_name(path, now)
    try:
        for companion in _COMPANIONS:
            if os.path.lexists(f"{path}{companion}"):
                os.rename(f"{path}{companion}", f"{kept}{companion}")
        _link(path, kept)
        os.replace(fresh, path)
        sync_directory(path.parent)
    except OSError as exc:
        raise StoreError(f"corrupt store '{path}' can't be kept as '{kept}': {exc.strerror}") from exc
    return kept


def _link(path: Path, kept: Path) -> None:
    try:
        os.link(path, kept, follow_symlinks=False)
    except OSError:
        path.rename(kept)  # a disk without links


def sync_directory(directory: Path) -> None:
    """Make a new or renamed entry of `directory` survive a power cut."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _free_name(path: Path, now: datetime) -> Path:
    stem = f"{path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}"
    for number in count(1):
        kept = path.with_name(stem if number == 1 else f"{stem}-{number}")
        if not os.path.lexists(kept):
            return kept
    raise AssertionError("count never ends")
