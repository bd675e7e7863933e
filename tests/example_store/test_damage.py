"""Damaged files, as on SD cards: no example changes silently, and readable examples are kept."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.errors import StoreError
from edge_daemon.domain.types import Example
from edge_daemon.example_store.database import check_path
from edge_daemon.example_store.importing import import_salvage
from edge_daemon.example_store.integrity import CHECKED
from edge_daemon.example_store.record import ExampleRecord, content_digest
from edge_daemon.example_store.store import ExampleStore
from tests.harness.unit_vectors import unit

PAGE = 4096
COUNT = 40


def fill(path: Path) -> dict[int, Example]:
    """Add examples of two labels with pictures, and remove some; return the live ones by id.

    Half of them have an object embedding and one of two scenes.
    """
    draw = np.random.default_rng(3)
    with ExampleStore(path) as store:
        scenes = [store.add_scene("left", draw.bytes(9000), "press").id for _ in range(2)]
        for seed in range(COUNT):
            picture = b"\xff\xd8\xff" + draw.bytes(2000 + 50 * seed)
            label = ["cat", "dog"][seed % 2]
            record = ExampleRecord(unit(seed, 200), label, "s", "left", thumbnail=picture)
            if seed % 2:
                scene_id, vector = scenes[seed // 2 % 2], unit(1000 + seed, 200)
                record = replace(
                    record, scene_id=scene_id, object_embedding=vector, boot_id="b", uptime_s=seed / 3
                )
            store.add_record(record)
        store.remove([5, 9])
        return {example.id: example for example in store}


def execute(path: Path, statement: str, *values: object) -> None:
    """Change a store with plain SQL, as another program does."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, values)
        connection.commit()


def flip_bits(content: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice([1, 1, 3, 10])):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def overwrite_bytes(content: bytearray, draw: random.Random) -> None:
    page = draw.randrange(len(content) // PAGE) * PAGE
    for _ in range(100):
        content[page + draw.randrange(PAGE)] = draw.randrange(256)


def overwrite_page(content: bytearray, draw: random.Random) -> None:
    page = draw.randrange(len(content) // PAGE) * PAGE
    content[page : page + PAGE] = draw.choice([bytes(PAGE), draw.randbytes(PAGE)])


def truncate(content: bytearray, draw: random.Random) -> None:
    del content[draw.randrange(512, len(content)) :]


def rows_by_id(path: Path) -> dict[int, tuple[object, ...]]:
    """Return each example's columns without the picture, read one by one with plain SQL."""
    rows = {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        for number in range(1, COUNT + 1):
            statement = f"SELECT {', '.join(CHECKED)} FROM examples NOT INDEXED WHERE id = ?"
            with suppress(sqlite3.Error):
                rows[number] = connection.execute(statement, (number,)).fetchone()
    return rows


@pytest.mark.parametrize("damage", [flip_bits, overwrite_bytes, overwrite_page, truncate])
def test_no_example_changes_silently_and_readable_ones_are_kept(
    tmp_path: Path, damage: Callable[[bytearray, random.Random], None], caplog: pytest.LogCaptureFixture
) -> None:
    taught = fill(tmp_path / "whole.sqlite")
    whole, rows = (tmp_path / "whole.sqlite").read_bytes(), rows_by_id(tmp_path / "whole.sqlite")
    with ExampleStore(tmp_path / "whole.sqlite") as store:
        whole_scenes = {each: store.scene(each) for each in (1, 2)}
    for seed in range(25):
        content, folder = bytearray(whole), tmp_path / str(seed)
        damage(content, random.Random(seed))
        folder.mkdir()
        path = folder / "examples.sqlite"
        path.write_bytes(content)
        unchanged = {number for number, row in rows_by_id(path).items() if row == rows[number]}
        caplog.clear()
        with ExampleStore.open_or_recover(path) as store:
            found = {example.id: example for example in store}
            assert sum(store.counts.values()) == len(found)
            scenes = {each: store.scene(each) for each in (1, 2)}
        left_out = taught.keys() - found.keys()
        assert found.keys() <= taught.keys()
        assert not left_out & unchanged
        assert not left_out or "WARNING" in caplog.text
        for number, example in found.items():
            assert_same(example, taught[number], content_may_lack="WARNING" in caplog.text)
        for scene_id, scene in scenes.items():
            assert scene == whole_scenes[scene_id] or (scene is None and "WARNING" in caplog.text)
        kept = [each.read_bytes() for each in folder.glob("*.corrupt-*Z")]
        assert kept in ([], [bytes(content)])
        shutil.rmtree(folder)


def assert_same(found: Example, taught: Example, *, content_may_lack: bool) -> None:
    assert np.array_equal(found.embedding, taught.embedding)
    for name in ("label", "space", "region", "group", "source", "created_at", "origin"):
        assert getattr(found, name) == getattr(taught, name)
    assert (found.boot_id, found.uptime_s) == (taught.boot_id, taught.uptime_s)
    if found.thumbnail or not content_may_lack:
        assert found.thumbnail == taught.thumbnail
    if found.object_embedding is None:
        assert content_may_lack or taught.object_embedding is None
        assert found.scene_id is None, "it is not an example of the empty scene"
    else:
        assert found.scene_id == taught.scene_id
        assert taught.object_embedding is not None
        assert np.array_equal(found.object_embedding, taught.object_embedding)


NAN, ZEROS = np.full(200, np.nan, "<f4").tobytes(), bytes(800)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("embedding", NAN, "NaN"),
        ("embedding", ZEROS, "all zeros"),
        ("embedding", b"\x01\x02\x03", "not a row of numbers"),
        ("embedding", b"", "one row of numbers"),
        ("embedding", unit(1, 200).tobytes(), "differs from its digest"),
        ("created_at", "last Tuesday", "its created_at is not a time"),
        ("created_at", "2026-05-01T12:00:00", "its created_at is not a time"),
        ("removed_at", "", "its removed_at is not a time"),
        ("label", "cow", "differs from its checksum"),
        ("label", " ", "its label is empty"),
        ("region", "right", "differs from its checksum"),
        ("picture_digest", b"?", "differs from its checksum"),
        ("scene_id", 7, "differs from its checksum"),
        ("boot_id", "other", "differs from its checksum"),
        ("uptime_s", 0.5, "differs from its checksum"),
        ("object_digest", b"?", "differs from its checksum"),
    ],
)
def test_one_damaged_row_is_left_out_named_and_kept(
    tmp_path: Path, column: str, value: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "examples.sqlite"
    taught = fill(path)
    execute(path, f"UPDATE examples SET {column} = ? WHERE id = 40", value)
    with ExampleStore.open_or_recover(path) as store:
        assert [example.id for example in store] == sorted(taught.keys() - {40})
        assert sum(store.counts.values()) == len(taught) - 1
        assert [store.undo().steps[-1].id for _ in range(2)] == [9, 39]
        store.add(unit(99, 200), "cat", space="s")
    assert "example 40 (" in caplog.text
    assert reason in caplog.text
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"SELECT {column} FROM examples WHERE id = 40").fetchone() == (value,)


def test_text_that_is_no_utf8_costs_its_row_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "examples.sqlite"
    taught = fill(path)
    execute(path, "UPDATE examples SET label = CAST(x'63ff74' AS TEXT) WHERE id = 7")
    with ExampleStore.open_or_recover(path) as store:
        assert sum(store.counts.values()) == len(taught) - 1
    assert "example 7 ('c?t'): its label is not text" in caplog.text


def test_an_embedding_of_another_length_than_its_space_s_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "examples.sqlite"
    taught = fill(path)
    short = unit(1, 7).tobytes()
    execute(
        path,
        "UPDATE examples SET embedding = ?, embedding_digest = ?, checksum = NULL WHERE id = 1",
        short,
        content_digest(short),
    )
    with ExampleStore.open_or_recover(path) as store:
        assert len(list(store)) == len(taught) - 1
        store.add(unit(99, 200), "cat", space="s")
    assert "its embedding has 7 numbers, the others 200" in caplog.text


def test_a_damaged_picture_costs_the_picture_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "examples.sqlite"
    taught = fill(path)
    execute(path, "UPDATE examples SET thumbnail = x'ffd8ff00' WHERE id = 3")
    with ExampleStore.open_or_recover(path) as store:
        assert {example.id for example in store if not example.thumbnail} == {3}
        assert store.thumbnail(3) == b""
        assert len(list(store)) == len(taught)
    assert caplog.text.count("the picture of example 3 is damaged") == 1


@pytest.mark.parametrize("value", [None, b"", b"\x01\x02\x03", unit(1, 200).tobytes(), unit(1, 9).tobytes()])
def test_a_damaged_object_embedding_costs_itself_alone(
    tmp_path: Path, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "examples.sqlite"
    taught = fill(path)
    execute(path, "UPDATE examples SET object_embedding = ? WHERE id = 40", value)
    with ExampleStore.open_or_recover(path) as store:
        found = {example.id: example for example in store}
        assert found.keys() == taught.keys()
        without = {number for number, each in found.items() if each.object_embedding is None}
        assert without == {40} | {number for number in taught if number % 2}
        assert_same(found[40], taught[40], content_may_lack=True)
        assert [store.undo().steps[-1].id for _ in range(2)] == [9, 40]
    assert caplog.text.count("the object embedding of example 40 is damaged") == 1


@pytest.mark.parametrize("version", [3, 4])
def test_a_salvaged_store_keeps_scenes_and_object_embeddings(tmp_path: Path, version: int) -> None:
    path = tmp_path / "examples.sqlite"
    taught = fill(path)
    with ExampleStore(path) as store:
        scenes = {each: store.scene(each) for each in (1, 2)}
        store.remove_scene(2)
    execute(path, f"PRAGMA user_version = {version}")  # 3 does not fit the columns
    content = bytearray(path.read_bytes())
    page = content.index(bytes(unit(20, 200).tobytes())) // PAGE * PAGE
    content[page : page + 8] = b"\xff" * 8
    path.write_bytes(content)
    with ExampleStore.open_or_recover(path) as store:
        found = list(store)
        assert COUNT // 2 < len(found) < len(taught)
        for example in found:
            assert_same(example, taught[example.id], content_may_lack=False)
        assert {each: store.scene(each) for each in (1, 2)} == scenes
        assert store.newest_scene("left") == scenes[1]


@pytest.mark.parametrize("lost", [(2,), (1, 2)])
def test_a_new_scene_has_no_id_of_a_scene_that_was_lost(tmp_path: Path, lost: tuple[int, ...]) -> None:
    path = tmp_path / "examples.sqlite"
    fill(path)
    for each in lost:
        execute(path, "UPDATE scenes SET picture = x'00' WHERE id = ?", each)
    execute(path, "PRAGMA user_version = 3")  # which does not fit the columns
    with ExampleStore.open_or_recover(path) as store:
        assert {example.scene_id for example in store} == {None, 1, 2}
        assert [store.scene(each) is None for each in (1, 2)] == [each in lost for each in (1, 2)]
        assert store.add_scene("left", b"new", "press").id == 3


def test_the_salvaged_examples_of_another_file_bring_their_scenes(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    taught = fill(path)
    with ExampleStore(path) as store:
        scenes = {each: store.scene(each) for each in (1, 2)}
    with ExampleStore(tmp_path / "new.sqlite") as store:
        own = store.add_scene("left", b"own", "press")
        assert import_salvage(store, path).added == len(taught)
        for example, before in zip(store, taught.values(), strict=True):
            scene = None if example.scene_id is None else store.scene(example.scene_id)
            expected = None if before.scene_id is None else scenes[before.scene_id]
            assert (scene and scene.picture) == (expected and expected.picture)
            assert (example.boot_id, example.uptime_s) == (before.boot_id, before.uptime_s)
            assert (example.object_embedding is None) == (before.object_embedding is None)
        assert store.newest_scene("left") == own


def test_damage_that_another_process_brings_is_left_out_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    taught = fill(path)
    with ExampleStore(path) as store:
        execute(path, "UPDATE examples SET created_at = 'x' WHERE id = 1")
        assert store.changed_elsewhere()
        assert len(list(store)) == len(taught) - 1


def test_no_change_makes_a_damaged_example_an_intact_one(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    taught = fill(path)
    execute(path, "UPDATE examples SET region = 'right' WHERE id = 3")
    for change in ("relabel", "rename", "remove", "restore", "purge", "clear", "undo", "redo"):
        with ExampleStore(path) as store:
            match change:
                case "relabel":
                    store.relabel([3], "cow")
                case "rename":
                    store.rename("dog", "wolf")
                    store.rename("wolf", "dog")
                case "purge":
                    store.purge(datetime.now(UTC) + timedelta(days=1))
                case "remove" | "restore":
                    getattr(store, change)([3])
                case _:
                    getattr(store, change)()
        with ExampleStore(path) as again:
            assert again.damaged.keys() == {3}, change
            assert again.counts.keys() <= {"cat", "dog"}
    assert len(taught) == COUNT - 2


def test_damage_among_the_removed_stops_neither_their_list_nor_their_return(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    fill(path)
    execute(path, "UPDATE examples SET created_at = 'x', removed_at = 'zzz' WHERE id = 5")
    with ExampleStore(path) as store:
        assert [example.id for example in store.removed()] == [9]
        assert store.restore([9]) == [9]
        assert store.purge(datetime.now(UTC) + timedelta(days=1)) == 0


def test_damage_that_comes_between_two_checks_is_a_named_failure(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    fill(path)
    with ExampleStore(path) as store:
        execute(path, "UPDATE examples SET created_at = 'x' WHERE id = 40")
        with pytest.raises(StoreError, match=r"example 40 \('dog'\) is damaged"):
            list(store)
        assert store.changed_elsewhere()
        assert [store.undo().steps[-1].id for _ in range(2)] == [9, 39]


def test_a_header_whose_version_or_owner_is_damaged_costs_no_example(tmp_path: Path) -> None:
    for pragma in ("user_version = 1", "user_version = 0", "user_version = 70000", "application_id = 7"):
        path = tmp_path / f"{pragma}.sqlite"
        taught = fill(path)
        execute(path, f"PRAGMA {pragma}")
        with ExampleStore.open_or_recover(path) as store:
            assert {example.id for example in store} == taught.keys()


def test_examples_in_the_journal_of_a_damaged_store_are_salvaged_too(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    fill(path)
    script = (
        "import os, sys, numpy\nfrom edge_daemon.example_store.store import ExampleStore\n"
        "ExampleStore(sys.argv[1]).add(numpy.ones(200, numpy.float32), 'late', space='s')\nos._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, path], check=True)
    assert (tmp_path / "examples.sqlite-wal").stat().st_size
    content = bytearray(path.read_bytes())
    page = content.index(bytes(unit(20, 200).tobytes())) // PAGE * PAGE
    content[page : page + 8] = b"\xff" * 8
    path.write_bytes(content)
    with ExampleStore.open_or_recover(path) as store:
        assert store.counts["late"] == 1
        assert len(list(store)) > COUNT // 2


def test_a_corrupt_store_in_use_is_not_replaced_under_its_daemon(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    fill(path)
    script = (
        "import sys\nfrom pathlib import Path\nfrom edge_daemon.example_store.process_lock import StoreLock\n"
        "lock = StoreLock(Path(sys.argv[1]))\nlock.acquire()\nprint('held', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        path.write_bytes(b"damage" * 500)
        with pytest.raises(StoreError, match=f"process {daemon.pid} uses it"):
            ExampleStore.open_or_recover(path)
        assert path.read_bytes() == b"damage" * 500
        daemon.communicate()


def test_a_second_connection_of_the_process_keeps_the_first_one_s_locks(tmp_path: Path) -> None:
    """Without the locks, another process that closes the store deletes the journal and its examples."""
    path = tmp_path / "examples.sqlite"
    command = [sys.executable, "-c", "import sys\nfrom edge_daemon.example_store.store import ExampleStore\n"]
    command[2] += "ExampleStore(sys.argv[1]).close()"
    with ExampleStore(path) as store:
        store.add(unit(0), "cat")
        ExampleStore(path).close()
        check_path(path)
        subprocess.run([*command, path], check=True)
        store.add(unit(1), "cat")
        with ExampleStore(path) as another:
            assert another.counts == {"cat": 2}
        subprocess.run([*command, path], check=True)
    with ExampleStore(path) as again:
        assert again.counts == {"cat": 2}
