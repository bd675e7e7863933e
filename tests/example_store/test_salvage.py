"""Salvage: the readable examples of a damaged store go into a new file, with their scenes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.example_store import salvage_source
from edge_daemon.example_store.importing import import_salvage
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.example_store.table_pages import Layout, find_tables
from tests.harness.damaged_store import COUNT, add_in_journal, assert_same, break_page, execute, fill
from tests.harness.unit_vectors import unit


@pytest.mark.parametrize("version", [3, 4])
def test_a_salvaged_store_keeps_scenes_and_object_embeddings(tmp_path: Path, version: int) -> None:
    path = tmp_path / "examples.sqlite"
    taught = fill(path)
    with ExampleStore(path) as store:
        scenes = {each: store.scenes.get(each) for each in (1, 2)}
        store.scenes.remove(2)
    execute(path, f"PRAGMA user_version = {version}")  # 3 does not fit the columns
    break_page(path)
    with ExampleStore.open_or_recover(path) as store:
        found = list(store)
        assert COUNT // 2 < len(found) < len(taught)
        for example in found:
            assert_same(example, taught[example.id], content_may_lack=False)
        assert {each: store.scenes.get(each) for each in (1, 2)} == scenes
        assert store.scenes.newest("left") == scenes[1]


@pytest.mark.parametrize("lost", [(2,), (1, 2)])
def test_a_new_scene_has_no_id_of_a_scene_that_was_lost(tmp_path: Path, lost: tuple[int, ...]) -> None:
    path = tmp_path / "examples.sqlite"
    fill(path)
    for each in lost:
        execute(path, "UPDATE scenes SET picture = x'00' WHERE id = ?", each)
    execute(path, "PRAGMA user_version = 3")  # which does not fit the columns
    with ExampleStore.open_or_recover(path) as store:
        assert {example.scene_id for example in store} == {None, 1, 2}
        assert [store.scenes.get(each) is None for each in (1, 2)] == [each in lost for each in (1, 2)]
        assert store.scenes.add("left", b"new", "press").id == 3


def test_the_salvaged_examples_of_another_file_bring_their_scenes(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    taught = fill(path)
    with ExampleStore(path) as store:
        scenes = {each: store.scenes.get(each) for each in (1, 2)}
    with ExampleStore(tmp_path / "new.sqlite") as store:
        own = store.scenes.add("left", b"own", "press")
        assert import_salvage(store, path).added == len(taught)
        for example, before in zip(store, taught.values(), strict=True):
            scene = None if example.scene_id is None else store.scenes.get(example.scene_id)
            expected = None if before.scene_id is None else scenes[before.scene_id]
            assert (scene and scene.picture) == (expected and expected.picture)
            assert (example.boot_id, example.uptime_s) == (before.boot_id, before.uptime_s)
            assert (example.object_embedding is None) == (before.object_embedding is None)
        assert store.scenes.newest("left") == own


def test_examples_in_the_journal_of_a_damaged_store_are_salvaged_too(tmp_path: Path) -> None:
    path = tmp_path / "examples.sqlite"
    fill(path)
    add_in_journal(path, "late")
    assert (tmp_path / "examples.sqlite-wal").stat().st_size
    break_page(path)
    with ExampleStore.open_or_recover(path) as store:
        assert store.counts["late"] == 1
        assert len(list(store)) > COUNT // 2


def test_the_journal_of_a_damaged_store_is_read_through_a_link_too(tmp_path: Path) -> None:
    path, link = tmp_path / "disk" / "examples.sqlite", tmp_path / "link.sqlite"
    path.parent.mkdir()
    fill(path)
    add_in_journal(path, "late")
    with path.open("r+b") as file:
        file.write(bytes(100))
    link.symlink_to(path)
    with ExampleStore(tmp_path / "new.sqlite") as store:
        import_salvage(store, link)
        assert store.counts["late"] == 1
        assert len(list(store)) > COUNT // 2


def test_a_damaged_file_is_read_and_copied_before_the_store_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, own = tmp_path / "old.sqlite", tmp_path / "new.sqlite"
    fill(path)
    break_page(path)
    copied = []

    def press(copy: Path) -> dict[Layout, int]:
        copied.append(copy)
        with ExampleStore(own, busy_s=0.0) as daemon:
            daemon.add(unit(1), "pressed", space="other")
        return find_tables(copy)

    monkeypatch.setattr(salvage_source, "find_tables", press)
    with ExampleStore(own) as store:
        assert import_salvage(store, path).added > COUNT // 2
        assert store.counts["pressed"] == len(copied) == 1
