"""Keeping a corrupt store: it is moved aside under a new name, never overwritten."""

from __future__ import annotations

import os
from datetime import datetime
from itertools import count
from pathlib import Path

from edge_daemon.errors import StoreError

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
