"""The example store and the archive that version 0.1.0 wrote, read and continued by this version."""

from __future__ import annotations

import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_daemon.domain.types import Example
from edge_daemon.example_store.archive import import_archive, write_archive
from edge_daemon.example_store.peer_examples import PeerExamples
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.fleet.key import key_id
from tests.compatibility.written import EXPECTED, GROUP, KEY, SPACE, WRITTEN, copy_of, digest, raw_rows

OURS = [row for row in EXPECTED["examples"] if not row["origin"]]
LIVING = [row for row in OURS if row["removed_at"] is None]
TABLES = ("examples", "fleet_rolls", "fleet_groups")
SCHEMA = "SELECT type, name, sql FROM sqlite_master ORDER BY name"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return copy_of("state/examples.sqlite", tmp_path)


def as_row(example: Example) -> dict[str, Any]:
    """Return an example under the names of the columns it is kept in."""
    return {
        "id": example.id,
        "label": example.label,
        "space": example.space,
        "region": example.region,
        "burst": example.group,
        "source": example.source,
        "created_at": example.created_at.isoformat(timespec="microseconds"),
        "origin": example.origin,
        "embedding": digest(example.embedding.astype("<f4").tobytes()),
    }


def kept(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of expected rows what an example shows."""
    names = ("id", "label", "space", "region", "burst", "source", "created_at", "origin", "embedding")
    return [{name: row[name] for name in names} for row in rows]


def _without_spaces(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(kind, name, " ".join((sql or "").split())) for kind, name, sql in rows]


def test_the_kept_store_has_an_example_of_every_kind() -> None:
    rows = EXPECTED["examples"]
    assert len({row["space"] for row in rows}) == 3
    assert len({row["burst"] for row in OURS if row["burst"]}) == 1
    assert {row["source"] for row in rows} >= {"web", "fleet"}
    assert {row["removed_at"] is None for row in OURS} == {True, False}
    peers = [(row["probation"], row["removed_at"] is None) for row in rows if row["origin"]]
    assert {(0, True), (0, False), (1, True)} <= set(peers)


def test_every_example_of_ours_is_as_it_was_taught(path: Path) -> None:
    with ExampleStore(path) as store:
        assert [as_row(each) for each in store.examples()] == kept(LIVING)
        pictures = [store.thumbnail(row["id"]) for row in EXPECTED["examples"]]
        removed = sorted(store.removed(), key=lambda each: each.id)
        assert [as_row(each) for each in removed] == kept([row for row in OURS if row["removed_at"]])
        assert store.damaged == {}
    assert [digest(each or b"") for each in pictures] == [row["thumbnail"] for row in EXPECTED["examples"]]


def test_peers_examples_numbers_and_rolls_are_as_they_were(path: Path) -> None:
    with ExampleStore(path) as store:
        peers = PeerExamples(store, SPACE)
        peers.join(GROUP, key_id(KEY))  # which drops everything where group or key are others
        theirs = [row for row in EXPECTED["examples"] if row["origin"]]
        assert peers.ids_by_number("south") == {row["number"]: row["id"] for row in theirs}
        waiting = [row for row in theirs if row["probation"] and row["removed_at"] is None]
        assert [as_row(each) for each in peers.quarantined()] == kept(waiting)
        counting = [row for row in EXPECTED["examples"] if row["space"] == SPACE and not row["probation"]]
        found = [as_row(each) for page in peers.accepted() for each in page]
        assert found == kept([row for row in counting if row["removed_at"] is None])
        ours = [row for row in LIVING if row["space"] == SPACE]
        assert peers.own_numbers() == [(row["id"], row["label"], row["number"]) for row in ours]
        for row in EXPECTED["rolls"]:
            number, living = peers.live_set(row["device"]) or (0, b"")
            assert (number, digest(living)) == (row["number"], row["living"])


def test_what_is_taught_now_leaves_the_old_rows_as_they_are(path: Path, tmp_path: Path) -> None:
    columns = {
        name: ", ".join(each[1] for each in raw_rows(path, f"PRAGMA table_info({name})")) for name in TABLES
    }
    before = {table: raw_rows(path, f"SELECT {columns[table]} FROM {table}") for table in TABLES}
    with ExampleStore(path) as store:
        size = next(store.examples(SPACE)).embedding.size
        added = store.add(np.eye(size, dtype=np.float32)[0], "new", space=SPACE)
    after = {table: raw_rows(path, f"SELECT {columns[table]} FROM {table}") for table in TABLES}
    assert [row for row in after["examples"] if row[0] != added.id] == before["examples"]
    assert added.id > max(row["id"] for row in EXPECTED["examples"])
    assert [after[table] for table in TABLES[1:]] == [before[table] for table in TABLES[1:]]
    assert raw_rows(path, "PRAGMA user_version") == [(6,)]
    assert raw_rows(path, "PRAGMA application_id") == [(0x45444745,)]
    ExampleStore(tmp_path / "new.sqlite").close()
    assert _without_spaces(raw_rows(path, SCHEMA)) == _without_spaces(
        raw_rows(tmp_path / "new.sqlite", SCHEMA)
    )


def test_old_rows_have_no_scene_object_or_boot(path: Path) -> None:
    with ExampleStore(path) as store:
        assert [each.id for each in store.examples()] == [row["id"] for row in LIVING]
        for each in store.examples():
            assert (each.scene_id, each.object_embedding, each.boot_id, each.uptime_s) == (
                None,
                None,
                "",
                None,
            )
        assert store.scenes.newest("left") is None
    checksums = "SELECT id, hex(checksum) FROM examples ORDER BY id"
    assert raw_rows(path, checksums) == raw_rows(WRITTEN / "state/examples.sqlite", checksums)


def test_a_row_changed_behind_the_old_checksum_is_noticed(path: Path) -> None:
    victim = LIVING[-1]["id"]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE examples SET region = 'elsewhere' WHERE id = ?", (victim,))
    with ExampleStore(path) as store:
        assert list(store.damaged) == [victim]


def test_the_store_exports_the_archive_that_was_exported_then(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "again.zip"
    with ExampleStore(path) as store:
        assert write_archive(store, target) == len(LIVING)
    with zipfile.ZipFile(target) as again, zipfile.ZipFile(WRITTEN / "examples.zip") as then:
        assert again.namelist() == then.namelist() == list(EXPECTED["archive"])
        for name in then.namelist():
            assert again.read(name) == then.read(name), name
            assert digest(again.read(name)) == EXPECTED["archive"][name]


def test_the_archive_brings_every_example_into_an_empty_store(tmp_path: Path) -> None:
    with ExampleStore(tmp_path / "fresh.sqlite") as store:
        report = import_archive(store, WRITTEN / "examples.zip")
        assert (report.added, report.duplicates, report.problems) == (len(LIVING), 0, [])
        found = [as_row(each) | {"id": 0} for each in store.examples()]
    assert found == [row | {"id": 0} for row in kept(LIVING)]


def test_the_archive_has_nothing_new_for_the_store_it_came_from(path: Path) -> None:
    with ExampleStore(path) as store:
        report = import_archive(store, WRITTEN / "examples.zip")
    assert (report.added, report.problems) == (0, [])
    assert report.duplicates == len(LIVING)
