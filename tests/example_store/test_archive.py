from __future__ import annotations

import contextlib
import io
import json
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_daemon.domain.errors import ArchiveError, EmbeddingError, OutputError
from edge_daemon.example_store.archive import import_archive, write_archive
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.scene_reference import SceneReference
from tests.harness.example_pictures import noise
from tests.harness.unit_vectors import unit


def _jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    noise(seed).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> ExampleStore:
    store = ExampleStore(tmp_path / "examples.db")
    taught_at = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
    store.add(unit(0), "cat", space="s", region="left", group="g", source="gpio", thumbnail=_jpeg(0),
              created_at=taught_at)  # fmt: skip
    store.add(unit(1, 16), "Bär", space="t", thumbnail=_jpeg(1), created_at=taught_at)
    store.add(unit(2), "dog", space="s", created_at=taught_at)
    store.remove([store.add(unit(3), "gone", space="s").id])
    return store


@pytest.fixture
def archive(store: ExampleStore, tmp_path: Path) -> Path:
    write_archive(store, tmp_path / "taught.zip")
    return tmp_path / "taught.zip"


@pytest.fixture
def other(tmp_path: Path) -> ExampleStore:
    return ExampleStore(tmp_path / "other.db")


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


def _reference(level: int) -> bytes:
    """Return the bytes of a reference that differs from those of other levels."""
    frame = np.random.default_rng(level).integers(0, 255, (96, 128, 3), np.uint8)
    return SceneReference.from_frames([frame]).to_bytes()


def _teach_in_scenes(store: ExampleStore) -> list[int]:
    """Add examples with object embeddings in two scenes; return the scenes' ids."""
    first = store.add_scene("left", _reference(1), "press").id
    second = store.add_scene("left", _reference(2), "automatic").id
    unused = store.add_scene("left", _reference(3), "press").id
    for number, (scene_id, vector) in enumerate([(first, unit(10)), (second, None), (first, unit(11))]):
        taught = ExampleRecord(unit(number + 20), "cup", "s", "left", boot_id="b0", uptime_s=12.5)
        taught = replace(taught, scene_id=scene_id, object_embedding=vector)
        store.add_record(replace(taught, thumbnail=_jpeg(number + 5)))
    return [first, second, unused]


def _view(store: ExampleStore) -> list[tuple[object, ...]]:
    """Return each example with what its scene shows."""
    return [
        (one.label, one.embedding.tobytes(), one.boot_id, one.uptime_s,
         None if one.object_embedding is None else one.object_embedding.tobytes(),
         None if one.scene_id is None or (scene := store.scene(one.scene_id)) is None
         else (scene.region, scene.source, scene.created_at, scene.picture))
        for one in store
    ]  # fmt: skip


def test_an_archive_carries_scenes_object_embeddings_and_boots(
    store: ExampleStore, other: ExampleStore, tmp_path: Path
) -> None:
    _teach_in_scenes(store)
    own = other.add_scene("left", _reference(9), "press")
    write_archive(store, tmp_path / "all.zip")
    assert import_archive(other, tmp_path / "all.zip").added == 6
    assert _view(other) == _view(store)
    assert {one.scene_id for one in other if one.label == "cup"} == {own.id + 1, own.id + 2}
    assert other.newest_scene("left") == own, "an imported scene does not replace the scene of the device"


def test_an_archive_that_is_imported_twice_adds_no_scene_twice(
    store: ExampleStore, other: ExampleStore, tmp_path: Path
) -> None:
    _teach_in_scenes(store)
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
    first, _, _ = _teach_in_scenes(store)
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


Contents = dict[str, bytes]


def _rewrite(path: Path, change: Callable[[Contents], None]) -> None:
    with zipfile.ZipFile(path) as before:
        contents = {name: before.read(name) for name in before.namelist()}
    change(contents)
    with zipfile.ZipFile(path, "w") as after:
        for name, content in contents.items():
            after.writestr(name, content)


def _manifest(change: Callable[[Any], None]) -> Callable[[Contents], None]:
    def apply(contents: Contents) -> None:
        manifest = json.loads(contents["manifest.json"])
        change(manifest)
        contents["manifest.json"] = json.dumps(manifest).encode()

    return apply


def _example(**values: object) -> Callable[[Contents], None]:
    return _manifest(lambda manifest: manifest["examples"][0].update(values))


def _set(name: str, content: bytes) -> Callable[[Contents], None]:
    return lambda contents: contents.update({name: content})


_BAD_FLOATS = np.full(32, np.nan, np.float32).tobytes()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_set("../../etc/cron.d/job", b""), "points outside the archive"),
        (_set("/etc/passwd", b""), "points outside the archive"),
        (_set("..\\up.txt", b""), "points outside the archive"),
        (_set("C:/windows.txt", b""), "points outside the archive"),
        (_set("readme.txt", b"hello"), "'readme.txt' is not in the manifest"),
        (_set("thumbnails/", b""), "'thumbnails/' is not in the manifest"),
        (lambda contents: contents.pop("thumbnails/000000.jpg"), "'thumbnails/000000.jpg' is missing"),
        (lambda contents: contents.pop("embeddings.f32"), "'embeddings.f32' is missing"),
        (lambda contents: contents.pop("manifest.json"), "holds no manifest.json"),
        (_set("manifest.json", b"{"), "not an export of this program"),
        (_set("manifest.json", b"{}"), "not an export of this program"),
        (_set("manifest.json", b"[" * 100_000), "not an export of this program"),
        (_manifest(lambda one: one.update(format="something else")), "not an export of this program"),
        (_manifest(lambda one: one.update(version=7)), "version 7, this program reads up to 2"),
        (_manifest(lambda one: one["examples"].pop()), "the manifest says"),
        (_example(label="a/b"), "example 0.*'a/b'"),
        (_example(label="unknown"), "example 0.*reserved"),
        (_example(label=5), "not an export of this program.*label"),
        (_example(size=-1), "not an export of this program.*size"),
        (_example(size=10**9), "not an export of this program.*size"),
        (_example(size=9), "the manifest says"),
        (_example(created_at="yesterday"), "not an export of this program.*created_at"),
        (_example(created_at="2026-05-01T12:00:00"), "not an export of this program.*created_at"),
        (_example(created_at="0001-01-01T00:00:00+14:00"), "example 0.*out of range"),
        (_example(space="x" * 5000), "not an export of this program.*space"),
        (_set("embeddings.f32", b"1234"), "4 bytes, the manifest says 128"),
        (_set("embeddings.f32", bytes(128)), "example 0.*zeros"),
        (_set("embeddings.f32", _BAD_FLOATS), "example 0.*NaN"),
        (_set("thumbnails/000001.jpg", b"GIF89a"), "example 1.*not a JPEG"),
        (_set("thumbnails/000001.jpg", _jpeg(1)[:700]), "example 1.*damaged"),
        (_set("thumbnails/000001.jpg", bytes(2_000_000)), "too large for a thumbnail"),
    ],
)  # fmt: skip
def test_an_archive_that_is_not_what_it_claims_changes_nothing(
    archive: Path, other: ExampleStore, change: Callable[[Contents], None], complaint: str
) -> None:
    _rewrite(archive, change)
    other.add(unit(7), "fox")
    with pytest.raises(ArchiveError, match=complaint) as caught:
        import_archive(other, archive)
    assert str(archive) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert other.counts == {"fox": 1}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_set("scenes/000000.scene", b"no scene"), "scene 0: the stored scene is damaged"),
        (_set("scenes/000001.scene", _reference(1)[:-300]), "scene 1: "),
        (_set("scenes/000000.scene", bytes(300_000)), "'scenes/000000.scene' is too large for a scene"),
        (_set("scenes/000002.scene", b""), "'scenes/000002.scene' is not in the manifest"),
        (lambda contents: contents.pop("scenes/000001.scene"), "'scenes/000001.scene' is missing"),
        (_manifest(lambda one: one["scenes"].pop()), "'scenes/000001.scene' is not in the manifest"),
        (_manifest(lambda one: one["scenes"][0].update(source="x")), "not an export of this program.*source"),
        (_manifest(lambda one: one["scenes"][0].update(created_at="x")), "not an export.*created_at"),
        (_manifest(lambda one: one["scenes"][0].update(created_at="0001-01-01T00:00:00+14:00")), "scene 0"),
        (_example(scene=2), "example 0: there is no scene 2"),
        (_example(scene=-1), "not an export of this program.*scene"),
        (_example(object=True), "the manifest says"),
        (_example(uptime_s=-1), "not an export of this program.*uptime_s"),
        (_example(uptime_s=1e400), "not an export of this program"),
        (_example(boot_id=5), "not an export of this program.*boot_id"),
    ],
)  # fmt: skip
def test_an_archive_with_bad_scenes_changes_nothing(
    store: ExampleStore,
    other: ExampleStore,
    tmp_path: Path,
    change: Callable[[Contents], None],
    complaint: str,
) -> None:
    _teach_in_scenes(store)
    write_archive(store, tmp_path / "all.zip")
    _rewrite(tmp_path / "all.zip", change)
    with pytest.raises(ArchiveError, match=complaint) as caught:
        import_archive(other, tmp_path / "all.zip")
    assert "\n" not in str(caught.value)
    assert other.counts == {}
    assert other.query("SELECT count(*) FROM scenes") == [(0,)]


def test_a_link_in_an_archive_is_refused(archive: Path, other: ExampleStore) -> None:
    link = zipfile.ZipInfo("thumbnails/link.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="symbolic link"):
        import_archive(other, archive)


def test_an_entry_that_occurs_twice_is_refused(archive: Path, other: ExampleStore) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(archive, "a") as opened:
        warnings.simplefilter("ignore")
        opened.writestr("manifest.json", "{}")
    with pytest.raises(ArchiveError, match="is in it 2 times"):
        import_archive(other, archive)


def test_other_packing_is_refused(archive: Path, other: ExampleStore) -> None:
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("extra", b"x", zipfile.ZIP_LZMA)
    with pytest.raises(ArchiveError, match="packed in a way"):
        import_archive(other, archive)


def test_a_zip_bomb_is_refused_by_its_declared_size(tmp_path: Path, other: ExampleStore) -> None:
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened,
        opened.open("manifest.json", "w") as file,
    ):
        for _ in range(100):
            file.write(bytes(1024 * 1024))
    with pytest.raises(ArchiveError, match=r"manifest\.json is too large"):
        import_archive(other, path)
    content = bytearray(path.read_bytes())
    directory = content.rfind(b"PK\1\2")
    struct.pack_into("<L", content, directory + 24, 3 * 1024**3)
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="unpacks to more than"):
        import_archive(other, path)


def test_a_wrong_declared_size_is_refused(archive: Path, other: ExampleStore) -> None:
    content = bytearray(archive.read_bytes())
    start = content.find(b"\xff\xd8\xff")
    content[start + 400] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match="is damaged"):
        import_archive(other, archive)


def test_a_name_in_another_encoding_than_it_claims_is_named(archive: Path, other: ExampleStore) -> None:
    content = bytearray(archive.read_bytes())
    entry = content.find(b"PK\1\2")
    content[entry + 9] |= 0x08  # "this name is UTF-8"
    content[entry + 46] = 0xFF
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match=f"'{archive}' is damaged"):
        import_archive(other, archive)


def test_a_directory_of_millions_is_refused_unread(archive: Path, other: ExampleStore) -> None:
    content = bytearray(archive.read_bytes())
    struct.pack_into("<L", content, content.rfind(b"PK\5\6") + 12, 500_000_000)
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match="too many files"):
        import_archive(other, archive)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\5\6", b"PK\3\4" + bytes(500)])
def test_a_file_that_is_not_a_zip_is_refused(tmp_path: Path, other: ExampleStore, content: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="it is no zip"):
        import_archive(other, path)
    with pytest.raises(ArchiveError, match="can't be read: No such file"):
        import_archive(other, tmp_path / "nowhere.zip")


def test_every_truncation_is_refused_and_changes_nothing(archive: Path, other: ExampleStore) -> None:
    whole = archive.read_bytes()
    for end in range(0, len(whole), max(1, len(whole) // 60)):
        archive.write_bytes(whole[:end])
        with pytest.raises(ArchiveError):
            import_archive(other, archive)
    assert other.counts == {}


def test_flipped_bytes_are_refused_or_harmless_but_never_half_imported(
    archive: Path, other: ExampleStore
) -> None:
    whole = archive.read_bytes()
    draw = random.Random(4)
    for _ in range(150):
        content = bytearray(whole)
        content[draw.randrange(len(content))] = draw.randrange(256)
        archive.write_bytes(content)
        with contextlib.suppress(ArchiveError):
            import_archive(other, archive)
        assert len(other.clear()) in (0, 3)
