"""Damage of the first page, which names the tables: every row is intact and none is lost."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_daemon.app.stored_model import stored_model
from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.database import check_path
from edge_daemon.example_store.importing import import_salvage
from edge_daemon.example_store.peer_examples import PeerExamples
from edge_daemon.example_store.store import ExampleStore
from tests.example_store.test_migration import assert_migrated, write_old_store
from tests.harness.damaged_store import PAGE, add_in_journal, assert_same, execute, fill
from tests.harness.unit_vectors import unit

HEADER = 100
"""Bytes of the file's header."""

VERSION_BYTES = range(60, 64)
"""Place of the version; a newer one is refused."""


def flip(path: Path, at: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def replace_text(path: Path, old: bytes, new: bytes, times: int = 1) -> None:
    """Replace a text of the same length on the first page."""
    content = path.read_bytes()
    assert old in content[:PAGE]
    assert len(old) == len(new)
    path.write_bytes(content[:PAGE].replace(old, new, times) + content[PAGE:])


def assert_nothing_lost(path: Path, whole: Path) -> None:
    """Assert that a damaged copy of a filled store still has all of it."""
    with ExampleStore(whole) as store:
        taught = {example.id: example for example in store}
        scenes = {each: store.scenes.get(each) for each in (1, 2)}
    with ExampleStore.open_or_recover(path) as store:
        found = {example.id: example for example in store}
        assert found.keys() == taught.keys()
        for number, example in found.items():
            assert_same(example, taught[number], content_may_lack=False)
        assert {each: store.scenes.get(each) for each in (1, 2)} == scenes
        store.add(unit(99, 200), "cat", space="s")
        assert store.undo().steps


@pytest.mark.parametrize("seed", range(2))
def test_no_flipped_bit_of_the_first_page_costs_an_example(tmp_path: Path, seed: int) -> None:
    whole, draw = tmp_path / "whole.sqlite", random.Random(seed)
    fill(whole)
    content = whole.read_bytes()
    used = [at for at in range(PAGE) if (content[at] or at < HEADER) and at not in VERSION_BYTES]
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "examples.sqlite"
        path.write_bytes(content)
        flip(path, draw.choice(used), draw.randrange(8))
        check_path(path)
        stored_model(path)
        assert_nothing_lost(path, whole)
        assert {each.suffix for each in folder.iterdir()} <= {".sqlite", ".lock"} | {
            each.suffix for each in folder.glob("*.corrupt-*")
        }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"source TEXT", b"sovrce TEXT"),
        (b"key TEXT", b"kay TEXT"),
        (b"removed_at IS NULL", b"removed_at IS NULM"),
        (b"number = NULL", b"number = NUMM"),
        (b"thumbnail BLOB NOT NULL\n    )", b'thumbnail BLOB NOT NULL\n   ")'),
    ],
)
def test_a_changed_name_that_sqlite_accepts_is_damage(tmp_path: Path, old: bytes, new: bytes) -> None:
    path, whole = tmp_path / "examples.sqlite", tmp_path / "whole.sqlite"
    fill(whole)
    path.write_bytes(whole.read_bytes())
    replace_text(path, old, new)
    with pytest.raises(StoreError, match="is corrupt"):
        ExampleStore(path)
    assert_nothing_lost(path, whole)


def test_a_changed_table_name_is_damage(tmp_path: Path) -> None:
    path, whole = tmp_path / "examples.sqlite", tmp_path / "whole.sqlite"
    fill(whole)
    path.write_bytes(whole.read_bytes())
    replace_text(path, b"changes", b"chbnges", 3)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert_nothing_lost(path, whole)


@pytest.mark.parametrize("version", [1, 3])
def test_an_older_version_than_that_of_the_tables_is_damage(tmp_path: Path, version: int) -> None:
    path, whole = tmp_path / "examples.sqlite", tmp_path / "whole.sqlite"
    fill(whole)
    path.write_bytes(whole.read_bytes())
    execute(path, f"PRAGMA user_version = {version}")
    assert_nothing_lost(path, whole)


def test_an_index_a_table_and_a_view_of_the_user_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    fill(path)
    execute(path, "CREATE INDEX mine ON examples (created_at)")
    execute(path, "CREATE TABLE notes (id INTEGER, text TEXT)")
    execute(path, "CREATE VIEW cats AS SELECT id FROM examples WHERE label = 'cat'")
    with ExampleStore(path) as store:
        store.add(unit(99, 200), "cat", space="s")
    execute(path, "ANALYZE")
    ExampleStore(path).close()
    check_path(path)


def test_a_damaged_schema_of_an_older_version_costs_no_example(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    write_old_store(path)
    replace_text(path, b"embedding BLOB NOT NULL", b"embadding BLOB NOT NULL")
    ExampleStore.open_or_recover(path).close()
    assert_migrated(path)


@pytest.mark.parametrize("header", [b"SQLite", b""])
def test_what_is_in_the_journal_is_salvaged_without_the_first_page(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "examples.sqlite"
    fill(path)
    add_in_journal(path, "late")
    content = path.read_bytes()
    path.write_bytes(header.ljust(PAGE, b"\0") + content[PAGE:])
    with ExampleStore.open_or_recover(path) as store:
        assert store.counts["late"] == 1
        assert sum(store.counts.values()) == 39


def test_the_group_of_the_fleet_is_kept_without_the_first_page(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    with ExampleStore(path) as store:
        store.add(unit(1), "cat", space="s")
        PeerExamples(store, "s").join("sorters", "key")
    path.write_bytes(bytes(PAGE) + path.read_bytes()[PAGE:])
    with ExampleStore.open_or_recover(path) as store:
        assert store.counts == {"cat": 1}
        assert store.query("SELECT name FROM fleet_groups") == [("sorters key",)]


def test_an_example_that_was_deleted_does_not_come_back(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    fill(path)
    execute(path, "DELETE FROM examples WHERE id > 4")
    replace_text(path, b"CREATE TABLE", b"CREATF TABLE", 20)
    with ExampleStore.open_or_recover(path) as store:
        assert [example.id for example in store] == [1, 2, 3, 4]


def test_the_examples_of_a_kept_file_are_imported_in_spite_of_its_first_page(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    taught = fill(path)
    path.write_bytes(b"\xff" * PAGE + path.read_bytes()[PAGE:])
    before = path.read_bytes()
    with ExampleStore(tmp_path / "new.sqlite") as store:
        assert import_salvage(store, path).added == len(taught)
        assert store.scenes.get(1) is not None
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["new.sqlite", "old.sqlite"]


def test_a_file_of_one_byte_is_not_overwritten(tmp_path: Path) -> None:
    """SQLite takes it for an empty file."""
    path = tmp_path / "examples.sqlite"
    path.write_bytes(b"x")
    with pytest.raises(StoreError, match="is no example store"):
        ExampleStore.open_or_recover(path)
    assert path.read_bytes() == b"x"
    path.write_bytes(b"\0")
    ExampleStore.open_or_recover(path).close()
    [kept] = tmp_path.glob("*.corrupt-*Z")
    assert kept.read_bytes() == b"\0"
