from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from edge_daemon.domain.errors import EmbeddingError, OutputError
from edge_daemon.example_store.archive import check_archive, import_archive, write_archive
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from tests.harness.archived_examples import jpeg, scene_reference, taught_store, teach_in_scenes
from tests.harness.unit_vectors import unit


@pytest.fixture
def store(tmp_path: Path) -> ExampleStore:
    return taught_store(tmp_path)


def _values(store: ExampleStore) -> list[tuple[object, ...]]:
    return [
        (one.label, one.space, one.region, one.group, one.source, one.created_at, one.thumbnail,
         one.embedding.tobytes())
        for one in store
    ]  # fmt: skip


def test_an_archive_carries_examples_whole(store: ExampleStore, archive: Path, other: ExampleStore) -> None:
    report = import_archive(other, archive)
    assert (report.added, report.duplicates, report.problems) == (3, 0, [])
    assert _values(other) == _values(store)


def _view(store: ExampleStore) -> list[tuple[object, ...]]:
    """Return each example with what its scene shows."""
    return [
        (one.label, one.embedding.tobytes(), one.boot_id, one.uptime_s,
         None if one.object_embedding is None else one.object_embedding.tobytes(),
         None if one.scene_id is None or (scene := store.scenes.get(one.scene_id)) is None
         else (scene.region, scene.source, scene.created_at, scene.picture))
        for one in store
    ]  # fmt: skip


def test_an_archive_carries_scenes_object_embeddings_and_boots(
    store: ExampleStore, other: ExampleStore, tmp_path: Path
) -> None:
    teach_in_scenes(store)
    own = other.scenes.add("left", scene_reference(9), "press")
    write_archive(store, tmp_path / "all.zip")
    assert import_archive(other, tmp_path / "all.zip").added == 6
    assert _view(other) == _view(store)
    assert {one.scene_id for one in other if one.label == "cup"} == {own.id + 1, own.id + 2}
    assert other.scenes.newest("left") == own, "an imported scene does not replace the scene of the device"


def test_an_archive_that_is_imported_twice_adds_no_scene_twice(
    store: ExampleStore, other: ExampleStore, tmp_path: Path
) -> None:
    teach_in_scenes(store)
    write_archive(store, tmp_path / "all.zip")
    for _ in range(2):
        import_archive(other, tmp_path / "all.zip")
        other.clear()
    scenes = other.query("SELECT count(*) FROM scenes")
    assert scenes == [(2,)]
    assert import_archive(store, tmp_path / "all.zip").duplicates == 6
    assert store.query("SELECT count(*) FROM scenes") == [(3,)]


def test_an_archive_without_scenes_can_be_read_by_older_programs(archive: Path, store: ExampleStore) -> None:
    store.add_record(ExampleRecord(unit(30), "cup", "s", boot_id="b0", uptime_s=3.0))
    for path, keys in ((archive, 8), (archive.with_name("again.zip"), 10)):
        if not path.exists():
            write_archive(store, path)
        with zipfile.ZipFile(path) as opened:
            manifest = json.loads(opened.read("manifest.json"))
        assert manifest.keys() == {"format", "version", "examples"}
        assert manifest["version"] == 1
        assert len(manifest["examples"][-1]) == keys


def test_an_example_whose_scene_is_deleted_is_exported_without_it(
    store: ExampleStore, other: ExampleStore, tmp_path: Path
) -> None:
    first, _, _ = teach_in_scenes(store)
    store.query("DELETE FROM scenes WHERE id = ?", first)
    write_archive(store, tmp_path / "all.zip")
    assert import_archive(other, tmp_path / "all.zip").added == 6
    assert [(one.scene_id is None, one.object_embedding is None) for one in other][3:] == [
        *((True, False), (False, True), (True, False))
    ]


def test_duplicates_are_left_out(archive: Path, store: ExampleStore, other: ExampleStore) -> None:
    assert import_archive(store, archive).duplicates == 3
    other.add(unit(9), "Bär", space="t2")
    other.add(unit(2), "wolf", space="s")
    report = import_archive(other, archive)
    assert (report.added, report.duplicates) == (2, 0)
    (problem,) = report.problems
    assert "'dog'" in problem
    assert "'wolf'" in problem


def test_an_empty_store_can_be_exported_and_imported(tmp_path: Path, other: ExampleStore) -> None:
    assert write_archive(other, tmp_path / "empty.zip") == 0
    assert import_archive(other, tmp_path / "empty.zip").added == 0


def test_an_existing_file_is_not_overwritten(store: ExampleStore, archive: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        write_archive(store, archive)
    assert archive.read_bytes() == before


def test_a_length_that_differs_from_the_stores_changes_nothing(archive: Path, other: ExampleStore) -> None:
    other.add(unit(0, 5), "fox", space="t")
    with pytest.raises(EmbeddingError, match="16 numbers among those of 5"):
        import_archive(other, archive)
    assert other.counts == {"fox": 1}


def test_examples_of_the_same_picture_go_into_an_empty_store_and_back(
    store: ExampleStore, other: ExampleStore, tmp_path: Path
) -> None:
    for label in ("null", "x", "x"):
        store.add(unit(50), label, space="twins", source="button", thumbnail=jpeg(50))
    write_archive(store, tmp_path / "twins.zip")
    report = import_archive(other, tmp_path / "twins.zip")
    assert (report.duplicates, report.problems) == (0, [])
    assert other.counts == store.counts
    again = import_archive(other, tmp_path / "twins.zip")
    assert (again.added, again.duplicates, again.problems) == (0, sum(store.counts.values()), [])


def test_an_example_that_is_taught_under_another_label_is_named_by_its_number(
    archive: Path, store: ExampleStore, other: ExampleStore
) -> None:
    [first, *_] = store
    other.add(first.embedding, "fox", space=first.space, region=first.region, thumbnail=first.thumbnail)
    report = import_archive(other, archive)
    assert report.problems == [
        f"example 0: imported as '{first.label}' but taught as 'fox' already; left out"
    ]


def test_an_archive_that_was_packed_again_on_a_mac_is_imported(archive: Path, other: ExampleStore) -> None:
    with zipfile.ZipFile(archive, "a") as opened:
        for name in (".DS_Store", "thumbnails/", "__MACOSX/._manifest.json"):
            opened.writestr(name, b"")
    assert import_archive(other, archive).added == 3


def test_an_archive_that_was_packed_again_by_powershell_is_imported(
    store: ExampleStore, tmp_path: Path, other: ExampleStore
) -> None:
    teach_in_scenes(store)
    written = write_archive(store, tmp_path / "written.zip")
    again = tmp_path / "again.zip"
    with zipfile.ZipFile(tmp_path / "written.zip") as archive, zipfile.ZipFile(again, "w") as packed:
        for name in archive.namelist():
            entry = zipfile.ZipInfo(name.replace("/", "\\"))
            entry.create_system = 0
            packed.writestr(entry, archive.read(name))
    check_archive(again)
    assert import_archive(other, again).added == written
    assert _view(other) == _view(store)
