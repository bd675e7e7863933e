"""Whether a store can be opened or made at a path, found out without making one."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import closing
from pathlib import Path

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.database import open_read_only
from edge_daemon.example_store.schema import checked_version
from edge_daemon.system.disk import disk_refuses
from edge_daemon.system.regular_file import require_regular
from edge_daemon.system.sqlite import CorruptStoreError, named


def check_place(path: Path) -> None:
    """Raise the StoreError that opening would raise; what opening recovers from passes.

    That is a damaged store, and a disk that is full or read-only.
    """
    try:
        if path.exists():
            _check_file(path)
        else:
            _check_folder(path)
    except OSError as exc:
        if not disk_refuses(path):
            raise StoreError(f"store '{path}' can't be {_verb(path)}: {exc.strerror}") from exc


def _verb(path: Path) -> str:
    return "read" if os.path.exists(path) else "created"


def _check_file(path: Path) -> None:
    # The file itself is not opened: closing it would drop the locks of a daemon in this process, as
    # `is_database` says.
    require_regular(path)
    if not os.access(path, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)) and not disk_refuses(path):
        text = f"store '{path}' can't be written; check the permissions of the file and its folder"
        raise StoreError(text) from PermissionError(path)
    try:
        # Immutable: SQLite takes no lock and makes no journal beside the file, which may be in use.
        with named(path), closing(open_read_only(path, immutable=True)) as connection:
            checked_version(connection, path)
    except CorruptStoreError:
        return


def _check_folder(path: Path) -> None:
    """Make a folder in the nearest one there is, and take it away: no other question finds every reason."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    with tempfile.TemporaryDirectory(prefix=".edge-daemon-", dir=folder):
        return
