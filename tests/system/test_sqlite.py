from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_daemon.domain.errors import StoreError
from edge_daemon.system.sqlite import (
    Connection,
    CorruptStoreError,
    LockedStoreError,
    free_name,
    is_locked,
    make_durable,
    move_aside,
    remove_database,
    sqlite_errors_of,
    with_journals,
)


def make(path: Path, value: int) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE t (value)")
        database.execute("INSERT INTO t VALUES (?)", (value,))


def value_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT value FROM t").fetchone()[0])


def test_a_commit_is_synced_to_a_journal(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "db")) as database:
        make_durable(database)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_locked_database_differs_from_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "db"
    make(path, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with closing(sqlite3.connect(path, timeout=0)) as other:
            with pytest.raises(LockedStoreError, match=str(path)) as caught, sqlite_errors_of(path):
                other.execute("SELECT value FROM t")
            assert is_locked(caught.value.__cause__)
    path.write_bytes(b"no database" * 100)
    with closing(sqlite3.connect(path)) as database:
        with pytest.raises(CorruptStoreError, match=str(path)) as damage, sqlite_errors_of(path):
            database.execute("SELECT value FROM t")
        assert not is_locked(damage.value.__cause__)
        with pytest.raises(StoreError), sqlite_errors_of(path):
            database.execute("no statement")


def test_an_error_whose_text_is_no_utf8_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "db"
    make(path, 1)
    content = bytearray(path.read_bytes())
    content[content.index(b"(value)") + 1] ^= 0x80
    content[content.index(b"TABLE t") + 6] ^= 0x80
    path.write_bytes(content)
    with closing(sqlite3.connect(path, factory=Connection)) as database:
        with pytest.raises(CorruptStoreError, match=str(path)), sqlite_errors_of(path):
            database.execute("SELECT value FROM t")
        with pytest.raises(CorruptStoreError, match=str(path)), sqlite_errors_of(path):
            database.executemany("INSERT INTO t VALUES (?)", [(1,)])


def test_a_damaged_file_is_kept_with_its_journal_and_replaced(tmp_path: Path) -> None:
    path, fresh = tmp_path / "db", tmp_path / "fresh"
    path.write_bytes(b"damaged")
    for journal in with_journals(path)[1:]:
        journal.write_bytes(journal.name.encode())
    make(fresh, 2)
    kept = free_name(path, "corrupt")
    move_aside(path, kept, fresh)
    assert value_in(path) == 2
    assert [each.read_bytes() for each in with_journals(kept)] == [b"damaged", b"db-wal", b"db-shm"]
    assert not fresh.exists()
    assert free_name(path, "corrupt").name == "db.corrupt-2"


def test_without_a_replacement_the_name_is_free(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(b"damaged")
    move_aside(path, free_name(path, "damaged-1"))
    assert [each.name for each in tmp_path.iterdir()] == ["db.damaged-1"]


def test_a_database_is_removed_with_its_journals(tmp_path: Path) -> None:
    for each in with_journals(tmp_path / "db"):
        each.touch()
    remove_database(tmp_path / "db")
    remove_database(tmp_path / "db")
    assert list(tmp_path.iterdir()) == []
