"""Fixtures of the tests of archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.example_store.archive import write_archive
from edge_daemon.example_store.store import ExampleStore


@pytest.fixture
def archive(store: ExampleStore, tmp_path: Path) -> Path:
    """Return an archive of the store that a test's module names `store`."""
    write_archive(store, tmp_path / "taught.zip")
    return tmp_path / "taught.zip"


@pytest.fixture
def other(tmp_path: Path) -> ExampleStore:
    """Return an empty store, into which an archive is imported."""
    return ExampleStore(tmp_path / "other.db")
