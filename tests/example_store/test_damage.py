"""Damaged files, as on SD cards: no example changes silently, and readable examples are kept."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.database import check_path
from edge_daemon.example_store.integrity import CHECKED
from edge_daemon.example_store.record import content_digest
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.example_store.table_pages import find_tables
from tests.harness.damaged_store import COUNT, PAGE, assert_same, execute, fill
from tests.harness.shared_files import shared_path
from tests.harness.unit_vectors import unit

NAN, ZEROS = np.full(200, np.nan, "<f4").tobytes(), bytes(800)


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
        whole_scenes = {each: store.scenes.get(each) for each in (1, 2)}
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
            scenes = {each: store.scenes.get(each) for each in (1, 2)}
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


@pytest.mark.parametrize(
    "content",
    [b"\xff\xd8\xff\xe0" + b"JFIF" * 300, b"PK\3\4" + bytes(9000), b"SQLite for beginners", b"\0\1"],
)
def test_a_file_that_never_was_a_store_is_refused_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine"
    path.write_bytes(content)
    for attempt in (ExampleStore, ExampleStore.open_or_recover, check_path):
        with pytest.raises(StoreError, match="mine' is no example store") as caught:
            attempt(path)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == content


def test_a_photo_whose_bytes_look_like_pages_of_a_table_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "glass.jpg"
    photo = shared_path("data/trashnet6/glass/0013.jpg").read_bytes()
    path.write_bytes(photo)
    assert (21, False) in find_tables(path), "as the table of examples"
    for attempt in (ExampleStore.open_or_recover, check_path):
        with pytest.raises(StoreError, match="is no example store"):
            attempt(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == photo


@pytest.mark.parametrize("page", [bytes(PAGE), b"\xff" * PAGE])
def test_a_store_whose_first_page_is_blank_is_replaced(tmp_path: Path, page: bytes) -> None:
    path = tmp_path / "examples.sqlite"
    fill(path)
    path.write_bytes(page + path.read_bytes()[PAGE:])
    check_path(path)
    ExampleStore.open_or_recover(path).close()
    (kept,) = tmp_path.glob("*.corrupt-*Z")
    assert kept.read_bytes().startswith(page)


def test_a_store_whose_first_page_is_of_another_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    taught = fill(path)
    path.write_bytes(random.Random(1).randbytes(PAGE) + path.read_bytes()[PAGE:])
    check_path(path)
    with ExampleStore.open_or_recover(path) as store:
        assert {example.id for example in store} == taught.keys()
    assert len(list(tmp_path.glob("*.corrupt-*Z"))) == 1


def test_a_store_of_a_daemon_is_replaced_whatever_its_first_page_is(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    fill(path)
    with ExampleStore(path) as store:
        store.acquire_lock()
    path.write_bytes(random.Random(1).randbytes(2 * PAGE))
    check_path(path)
    ExampleStore.open_or_recover(path).close()
    assert len(list(tmp_path.glob("*.corrupt-*Z"))) == 1


def test_a_folder_is_named_as_one(tmp_path: Path) -> None:
    for attempt in (ExampleStore, ExampleStore.open_or_recover, check_path):
        with pytest.raises(StoreError, match="is a folder; give the path of a file"):
            attempt(tmp_path)
