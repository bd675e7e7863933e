"""Scenes in the store: the current one, its undo, the limits, and damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.scene_record import MAX_SCENE_BYTES
from edge_daemon.example_store.scene_table import SCENES_PER_REGION
from edge_daemon.example_store.store import ExampleStore
from tests.harness.unit_vectors import unit

SOON = timedelta(days=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "examples.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[ExampleStore]:
    with ExampleStore(path) as store:
        yield store


def teach(store: ExampleStore, scene_id: int | None, seed: int = 0) -> int:
    return store.add_record(ExampleRecord(unit(seed), "cat", scene_id=scene_id)).id


def picture(number: int) -> bytes:
    return f"scene {number}".encode() * 2000


def stored(path: Path) -> list[int]:
    """Return the ids in the table of scenes, read without the package."""
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM scenes ORDER BY id")]


def test_the_newest_scene_of_a_region_is_current_also_after_a_restart(path: Path) -> None:
    moment = datetime(2026, 5, 1, 12, tzinfo=UTC)
    with ExampleStore(path) as store:
        assert store.scenes.newest("left") is None
        store.scenes.add("left", picture(1), "press")
        added = store.scenes.add("left", picture(2), "press", moment)
        store.scenes.add("right", picture(3), "automatic")
    with ExampleStore(path) as again:
        assert again.scenes.newest("left") == again.scenes.get(added.id) == added
        assert (added.picture, added.source, added.created_at) == (picture(2), "press", moment)
        assert again.damaged == {}


def test_a_removed_scene_makes_the_one_before_current(store: ExampleStore) -> None:
    first, second = (store.scenes.add("left", picture(each), "press") for each in range(2))
    assert store.scenes.remove(second.id)
    assert store.scenes.newest("left") == first
    assert not store.scenes.remove(99)


def test_an_undone_press_leaves_the_scene_of_an_example_that_was_taught_in_it(store: ExampleStore) -> None:
    scene = store.scenes.add("left", picture(1), "press")
    example_id = teach(store, scene.id)
    store.scenes.remove(scene.id)
    store.purge(datetime.now(UTC) + SOON)
    assert store.scenes.newest("left") is None
    [example] = store
    assert (example.id, example.scene_id) == (example_id, scene.id)
    assert store.scenes.get(scene.id) == scene


def test_an_automatic_scene_replaces_the_automatic_ones_without_examples(
    store: ExampleStore, path: Path
) -> None:
    pressed = store.scenes.add("left", picture(0), "press").id
    taught = store.scenes.add("left", picture(1), "automatic").id
    teach(store, taught)
    other_region = store.scenes.add("right", picture(1), "automatic").id
    for each in range(5):
        store.scenes.add("left", picture(each), "automatic")
    newest = store.scenes.newest("left")
    assert newest is not None
    assert stored(path) == [pressed, taught, other_region, newest.id]


def test_a_purge_deletes_what_nothing_refers_to(store: ExampleStore, path: Path) -> None:
    removed, taught, restorable, current = (
        store.scenes.add("left", picture(each), "press").id for each in range(4)
    )
    other = store.scenes.add("right", picture(1), "press").id
    teach(store, taught)
    store.remove([teach(store, restorable, 1)])
    store.scenes.remove(removed)
    store.purge(datetime.now(UTC) - SOON)
    assert stored(path) == [removed, taught, restorable, current, other]
    store.purge(datetime.now(UTC) + SOON)
    assert stored(path) == [taught, current, other], "the removed example is purged too, and then its scene"


def test_each_region_keeps_a_bounded_number_of_scenes(store: ExampleStore, path: Path) -> None:
    taught = store.scenes.add("left", picture(0), "press").id
    teach(store, taught)
    other = store.scenes.add("right", picture(0), "press").id
    added = [store.scenes.add("left", picture(each), "press").id for each in range(1, 40)]
    assert stored(path) == sorted([taught, other, *added[-SCENES_PER_REGION + 1 :]])


def test_with_too_many_taught_scenes_the_oldest_is_deleted_and_its_example_stays(
    store: ExampleStore, path: Path
) -> None:
    added = []
    for each in range(SCENES_PER_REGION + 3):
        added.append(store.scenes.add("left", picture(each), "press").id)
        teach(store, added[-1], each)
    assert stored(path) == added[3:]
    assert store.scenes.get(added[0]) is None
    assert [each.scene_id for each in store] == added


@pytest.mark.parametrize("content", [b"", bytes(MAX_SCENE_BYTES + 1)])
def test_a_scene_of_an_impossible_size_changes_nothing(
    store: ExampleStore, path: Path, content: bytes
) -> None:
    scene = store.scenes.add("left", picture(1), "press")
    with pytest.raises(StoreError, match="a scene has 1 to 262144 bytes"):
        store.scenes.add("left", content, "press")
    assert stored(path) == [scene.id]


@pytest.mark.parametrize(
    "damage",
    ["picture = x'00'", "region = 'left '", "created_at = '2026'", "source = 'x'", "checksum = x'00'"],
)
def test_a_damaged_scene_costs_itself_alone(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ExampleStore(path) as store:
        first, second = (store.scenes.add("left", picture(each), "press") for each in range(2))
        example_id = teach(store, second.id)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE scenes SET {damage} WHERE id = {second.id}")
    with ExampleStore(path) as store:
        assert store.scenes.get(second.id) is None
        assert store.scenes.get(second.id) is None
        assert store.scenes.newest("left") == first
        assert [each.id for each in store] == [example_id]
        assert store.damaged == {}
    assert caplog.text.count(f"scene {second.id} is damaged and left out") == 1


def test_a_scene_and_its_example_are_stored_together_or_not_at_all(store: ExampleStore, path: Path) -> None:
    def fail_after_both() -> None:
        with store.transaction():
            teach(store, store.scenes.add("left", picture(1), "automatic").id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_both()
    assert stored(path) == []
    assert store.counts == {}
