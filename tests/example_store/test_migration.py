"""Migration of older stores: power cuts, full disks, damaged rows; the examples and their checksums stay."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.integrity import (
    CHECKSUMMED_IN_VERSION_3,
    TEXTS,
    row_checksum,
)
from edge_daemon.example_store.record import ExampleRecord, content_digest
from edge_daemon.example_store.schema import MIGRATIONS, migrate
from edge_daemon.example_store.store import ExampleStore
from tests.harness.small_disk import SmallDisk
from tests.harness.unit_vectors import unit

VERSION = MIGRATIONS[-1][0]
COUNT = 300
FEW = 60
"""Examples that a small disk holds three times: before and after the migration, and in the journal."""

_KILLS = 6


def write_old_store(path: Path, count: int = COUNT) -> None:
    """Write a store of version 3 with plain SQL, as the program of that version left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection, path, MIGRATIONS[:1])
        connection.execute("BEGIN")
        for number in range(1, count + 1):
            row = old_row(number)
            row["checksum"] = row_checksum(
                *(row.get(name, defaults(name)) for name in CHECKSUMMED_IN_VERSION_3)
            )
            marks = ", ".join("?" for _ in row)
            connection.execute(
                f"INSERT INTO examples ({', '.join(row)}) VALUES ({marks})", list(row.values())
            )
        connection.execute("COMMIT")


def old_row(number: int) -> dict[str, Any]:
    blob, picture = unit(number, 256).tobytes(), bytes([number % 256]) * 4000
    created = datetime(2026, 5, 1, 12, number % 60, tzinfo=UTC).isoformat(timespec="microseconds")
    texts = {name: name for name in TEXTS if name not in ("created_at", "origin", "boot_id")}
    return {
        "id": number,
        **texts,
        "created_at": created,
        "picture_digest": content_digest(picture),
        "embedding_digest": content_digest(blob),
        "embedding": blob,
        "thumbnail": picture,
    }


def defaults(column: str) -> object:
    return {"origin": "", "probation": 0}.get(column)


def raw(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def assert_migrated(path: Path, count: int = COUNT) -> None:
    with ExampleStore(path) as store:
        found = list(store)
        assert store.damaged == {}
    assert [each.id for each in found] == list(range(1, count + 1))
    for each in found:
        assert np.array_equal(each.embedding, unit(each.id, 256))
        assert each.thumbnail == bytes([each.id % 256]) * 4000
    assert raw(path, "PRAGMA user_version") == [(VERSION,)]


def test_a_store_of_version_3_is_migrated_with_its_examples(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    write_old_store(path, COUNT + 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM examples WHERE id = ?", (COUNT + 1,))
    assert_migrated(path)
    with ExampleStore(path) as store:
        scene = store.scenes.add("region", b"scene", "press")
        record = ExampleRecord(unit(1, 256), "new", "space", scene_id=scene.id, object_embedding=unit(2, 256))
        added = store.add_record(record)
        assert added.id == COUNT + 2, "no id is used twice"
        assert [step.id for step in store.undo().steps] == [COUNT + 2]


def test_a_row_that_was_damaged_before_the_migration_is_damaged_after_it(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    write_old_store(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE examples SET region = 'elsewhere' WHERE id = 5")
    checksums = raw(path, "SELECT id, checksum FROM examples")
    for _ in range(2):
        with ExampleStore(path) as store:
            assert list(store.damaged) == [5]
            assert sum(store.counts.values()) == COUNT - 1
    assert raw(path, "SELECT id, checksum FROM examples") == checksums


_KILLED = """
import os, sys
from edge_daemon.example_store import database
from edge_daemon.example_store.store import ExampleStore
steps, end, connect = 0, int(sys.argv[2]), database.open_file

def step():
    global steps
    steps += 1
    if steps == end:
        os.kill(os.getpid(), 9)

def connect_and_count(*values, **named):
    connection = connect(*values, **named)
    connection.set_progress_handler(step, 100)
    return connection

database.open_file = connect_and_count
ExampleStore(sys.argv[1])
print(steps)
"""
"""Migrate a store; kill -9 at a number of steps of 100 instructions of SQLite. Prints the steps it took."""


def test_kill_9_during_the_migration_costs_no_example(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.sqlite", tmp_path / "examples.sqlite"
    write_old_store(whole)
    steps = int(_migrate_until(whole, path, -1))
    draw, versions = random.Random(3), set()
    for _ in range(_KILLS):
        assert _migrate_until(whole, path, draw.randrange(1, steps)) == ""
        versions.add(raw(path, "PRAGMA user_version")[0][0])
        assert_migrated(path)
    assert versions - {VERSION} == {3}, "no version between the two is on disk"


def _migrate_until(whole: Path, path: Path, step: int) -> str:
    """Migrate a copy of a store in another process that is killed at a step; return what it printed."""
    for each in path.parent.glob("examples.sqlite*"):
        each.unlink()
    path.write_bytes(whole.read_bytes())
    command = [sys.executable, "-c", _KILLED, str(path), str(step)]
    return str(subprocess.run(command, check=False, capture_output=True, text=True).stdout)


def test_a_disk_too_full_for_the_migration_leaves_the_old_store_whole(
    small_disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    path = small_disk.folder / "examples.sqlite"
    write_old_store(path, FEW)
    small_disk.fill()
    with ExampleStore.open_or_recover(path) as store:
        assert sum(store.counts.values()) == FEW
        with pytest.raises(StoreError, match="full"):
            store.scenes.add("region", b"scene", "press")
    assert "in memory" in caplog.text
    small_disk.free()
    assert_migrated(path, FEW)


def test_a_read_only_disk_shows_the_migrated_examples_and_keeps_the_old_file(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "examples.sqlite"
    write_old_store(path, FEW)
    before = path.read_bytes()
    small_disk.remount("ro")
    with ExampleStore.open_or_recover(path) as store:
        assert sum(store.counts.values()) == FEW
        assert store.scenes.newest("region") is None
        with pytest.raises(StoreError):
            store.scenes.remove(1)
    assert path.read_bytes() == before
    small_disk.remount("rw")
    assert_migrated(path, FEW)


@pytest.mark.parametrize("page", ["docs/storage.md", "CHANGELOG.md"])
def test_the_pages_name_the_present_version(page: str) -> None:
    text = (Path(__file__).parents[2] / page).read_text()
    assert re.findall(r"[Vv]ersion (\d+)[.;] (?:An older one|older stores)", text) == [str(VERSION)]
