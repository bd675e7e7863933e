"""Opening a store whatever its disk did: a damaged file is salvaged, and a full disk is no end."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.database import connect, connect_memory
from edge_daemon.example_store.process_lock import StoreLock
from edge_daemon.example_store.salvage import Salvage, copy_into, rebuild
from edge_daemon.system.disk import disk_refuses
from edge_daemon.system.sqlite import CorruptStoreError, LockedStoreError, move_aside, named

log = logging.getLogger(__name__)


def connect_or_recover(
    path: Path, busy_s: float, now: Callable[[], datetime]
) -> tuple[sqlite3.Connection, StoreError | None]:
    """Open the file, or a store in memory and the reason why the disk can't be written.

    A corrupt file is replaced by what can be read of it and kept as `<name>.corrupt-<UTC time>`.
    Raises StoreError.
    """
    try:
        return connect_or_replace(path, busy_s, now), None
    except LockedStoreError:
        raise
    except StoreError as trouble:
        if not disk_refuses(path):
            raise
        log.warning("%s; the examples are in memory, changes are refused until the disk is writable", trouble)
        return _connect_memory(path), trouble


def connect_or_replace(path: Path, busy_s: float, now: Callable[[], datetime]) -> sqlite3.Connection:
    """Open the file; a corrupt one is replaced by what can be read of it. Raises StoreError."""
    try:
        with named(path):
            return connect(path, busy_s)
    except CorruptStoreError as exc:
        _replace(path, exc, now())
    with named(path):
        return connect(path, busy_s)


def _replace(path: Path, damage: CorruptStoreError, now: datetime) -> None:
    """Put a new store in the place of a corrupt one that no other process uses."""
    claim = StoreLock(path)
    if other := claim.take():
        raise StoreError(f"{damage}; process {other} uses it, stop that one and try again") from damage
    fresh = path.with_name(f".{path.name}.salvage")
    try:
        _remove(fresh)
        salvage = _rebuild(path, fresh)
        kept = move_aside(path, now, fresh)
    finally:
        _remove(fresh)
        claim.release()
    log.warning("%s; kept as '%s'; %s", damage, kept, salvage.summary)


def _rebuild(path: Path, fresh: Path) -> Salvage:
    try:
        with named(fresh):
            return rebuild(path, fresh)
    except StoreError as exc:
        raise StoreError(f"corrupt store '{path}' can't be salvaged: {exc}") from exc


def _connect_memory(path: Path) -> sqlite3.Connection:
    with named(path):
        try:
            return connect_memory(path)
        except CorruptStoreError:
            connection = connect_memory(None)
            salvage = Salvage()
            copy_into(connection, path, salvage)
    log.warning("of the corrupt store '%s', %s", path, salvage.summary)
    return connection


def _remove(store: Path) -> None:
    for companion in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{store}{companion}").unlink()
