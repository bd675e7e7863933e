"""A store that another process has locked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edge_daemon.example_store.store import ExampleStore


@contextmanager
def locked(store: ExampleStore | Path) -> Iterator[None]:
    """Hold the write lock, as another process does."""
    path = store if isinstance(store, Path) else store.path
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
