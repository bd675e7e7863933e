"""Whether a store can be opened or made at a path, found out without making one."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from edge_daemon.errors import StoreError
from edge_daemon.examples.faults import CorruptStoreError, named
from edge_daemon.examples.schema import checked_version
from edge_daemon.regular_file import open_regular


def check_place(path: Path) -> None:
    """Raise the StoreError that opening would raise; a damaged store passes, as opening recovers it."""
    try:
        if path.exists():
            _check_file(path)
        else:
            _check_folder(path)
    except OSError as exc:
        raise StoreError(f"store '{path}' can't be {_verb(path)}: {exc.strerror}") from exc


def _verb(path: Path) -> str:
    return "read" if os.path.exists(path) else "created"


def _check_file(path: Path) -> None:
    with open_regular(path):
        pass
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        text = f"store '{path}' can't be written; check the permissions of the file and its folder"
        raise StoreError(text) from PermissionError(path)
    try:
        # Immutable: SQLite takes no lock and makes no journal beside the file, which may be in use.
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        with named(path), closing(sqlite3.connect(uri, uri=True)) as connection:
            checked_version(connection, path)
    except CorruptStoreError:
        return


def _check_folder(path: Path) -> None:
    """Make a folder in the nearest one there is, and take it away: no other question finds every reason."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    with tempfile.TemporaryDirectory(prefix=".edge-daemon-", dir=folder):
        return
