from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store import schema
from edge_daemon.example_store.schema import MIGRATIONS, migrate
from edge_daemon.example_store.store import ExampleStore
from tests.harness.unit_vectors import unit

VERSION = MIGRATIONS[-1][0]
_NEXT = (VERSION + 1, ("ALTER TABLE examples ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",))


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def test_an_older_store_is_migrated_with_its_examples(tmp_path: Path) -> None:
    path = tmp_path / "examples.db"
    with ExampleStore(path) as store:
        store.add(unit(0), "cat")
    connection = _open(path)
    migrate(connection, path, (*MIGRATIONS, _NEXT))
    assert connection.execute("SELECT label, note FROM examples").fetchall() == [("cat", "none")]
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    connection.close()


def test_a_failing_migration_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "examples.db"
    with ExampleStore(path) as store:
        store.add(unit(0), "cat")
    connection = _open(path)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, path, (*MIGRATIONS, (VERSION + 1, (*_NEXT[1], "DROP TABLE nowhere"))))
    connection.close()
    with ExampleStore(path) as store:
        assert store.counts == {"cat": 1}


def test_the_store_migrates_when_it_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "examples.db"
    ExampleStore(path).close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, _NEXT))
    ExampleStore(path).close()
    connection = _open(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    connection.close()


def test_a_store_from_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "examples.db"
    ExampleStore(path).close()
    connection = _open(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    for opening in (ExampleStore, ExampleStore.open_or_recover):
        with pytest.raises(StoreError, match=rf"version 99, this program reads up to {VERSION}"):
            opening(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    connection = _open(path)
    connection.execute("CREATE TABLE visits (url TEXT)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        ExampleStore.open_or_recover(path)
    assert path.read_bytes() == before
