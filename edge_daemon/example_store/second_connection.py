"""A second connection to the store of a running daemon."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.store import ExampleStore


def open_beside(path: Path) -> ExampleStore:
    """Open a store that the daemon has open.

    No file is made in the place of one that was deleted: the daemon would take it for its replacement.
    Raises StoreError.
    """
    if not path.exists():
        raise StoreError(f"store '{path}' was deleted, or its disk was removed; put it back")
    return ExampleStore(path, create=False)
