"""Recovery while a store is opened: salvage a damaged file; work in memory without a writable disk."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.database import ForeignFileError, connect, connect_memory
from edge_daemon.example_store.process_lock import StoreLock
from edge_daemon.example_store.store_file import may_write
from edge_daemon.system.disk import disk_refuses
from edge_daemon.system.sqlite import (
    CorruptStoreError,
    LockedStoreError,
    free_name,
    move_aside,
    remove_database,
    sqlite_errors_of,
)

if TYPE_CHECKING:
    from edge_daemon.example_store.salvage_source import Salvage

log = logging.getLogger(__name__)


def connect_or_recover(
    path: Path, busy_s: float, now: Callable[[], datetime], *, to_read: bool = False
) -> tuple[sqlite3.Connection, StoreError | None]:
    """Open the file, or a copy in memory with the error of a disk that can't be written.

    With `to_read` it is also a copy where only this user may not write.

    A corrupt file is replaced by a new one with its readable rows, and kept as
    `<name>.corrupt-<UTC time>`. A file that never was a store is refused. Raises StoreError.
    """
    try:
        return connect_or_replace(path, busy_s, now), None
    except (ForeignFileError, LockedStoreError):
        raise
    except StoreError as disk_error:
        if to_read and os.access(path, os.R_OK) and not may_write(path):
            return _connect_memory(path), disk_error
        if not disk_refuses(path):
            raise
        log.warning(
            "%s; the examples are in memory, changes are refused until the disk is writable", disk_error
        )
        return _connect_memory(path), disk_error


def connect_or_replace(path: Path, busy_s: float, now: Callable[[], datetime]) -> sqlite3.Connection:
    """Open the file; replace a corrupt one by a new file with its readable rows. Raises StoreError."""
    try:
        with sqlite_errors_of(path):
            return connect(path, busy_s)
    except CorruptStoreError as exc:
        _replace(path, exc, now())
    with sqlite_errors_of(path):
        return connect(path, busy_s)


def _replace(path: Path, damage: CorruptStoreError, now: datetime) -> None:
    """Replace a corrupt store that no other process uses. A link to it stays: it may lead to another disk."""
    lock = StoreLock(path)
    if other := lock.acquire():
        raise StoreError(f"{damage}; process {other} uses it, stop that one and try again") from damage
    path = Path(os.path.realpath(path))
    fresh = path.with_name(f".{path.name}.salvage")
    try:
        remove_database(fresh)
        salvage = _rebuild(path, fresh)
        kept = _keep_aside(path, fresh, now)
    finally:
        remove_database(fresh)
        lock.release()
    log.warning("%s; kept as '%s'; %s", damage, kept, salvage.summary)


def _rebuild(path: Path, fresh: Path) -> Salvage:
    """Make the store `fresh` from the readable rows of the store at `path`. Raises StoreError.

    Ids are kept. Sequence numbers in the fleet are cleared, so that all examples are published again.
    """
    try:
        with sqlite_errors_of(fresh):
            with closing(connect(fresh, 0.0)) as connection:
                salvage = _copy_into(connection, path)
            _keep_owner(path, fresh)
    except StoreError as exc:
        raise StoreError(f"corrupt store '{path}' can't be salvaged: {exc}") from exc
    return salvage


def _copy_into(connection: sqlite3.Connection, path: Path) -> Salvage:
    from edge_daemon.example_store.salvage import copy_into  # late: only damage needs it
    from edge_daemon.example_store.salvage_source import Salvage

    salvage = Salvage()
    copy_into(connection, path, salvage)
    return salvage


def _keep_owner(path: Path, target: Path) -> None:
    """Set the owner and mode of the old file on the new one: root may salvage the store of a service."""
    old = path.stat()
    handle = os.open(target, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fchmod(handle, stat.S_IMODE(old.st_mode))
        if os.geteuid() == 0:
            os.fchown(handle, old.st_uid, old.st_gid)
    finally:
        os.close(handle)


def _keep_aside(path: Path, fresh: Path, now: datetime) -> Path:
    kept = free_name(path, f"corrupt-{now:%Y%m%dT%H%M%SZ}")
    try:
        move_aside(path, kept, fresh)
    except OSError as exc:
        raise StoreError(f"corrupt store '{path}' can't be kept as '{kept}': {exc.strerror}") from exc
    return kept


def _connect_memory(path: Path) -> sqlite3.Connection:
    with sqlite_errors_of(path):
        try:
            return connect_memory(path)
        except CorruptStoreError:
            connection = connect_memory(None)
            salvage = _copy_into(connection, path)
    log.warning("of the corrupt store '%s', %s", path, salvage.summary)
    return connection
