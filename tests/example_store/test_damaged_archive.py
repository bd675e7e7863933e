"""Archives that are damaged, or not what they claim: each is refused whole, with its name."""

from __future__ import annotations

import contextlib
import json
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_daemon.domain.errors import ArchiveError
from edge_daemon.example_store.archive import import_archive, write_archive
from edge_daemon.example_store.store import ExampleStore
from tests.harness.archived_examples import jpeg, scene_reference, taught_store, teach_in_scenes
from tests.harness.unit_vectors import unit


@pytest.fixture
def store(tmp_path: Path) -> ExampleStore:
    return taught_store(tmp_path)


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


_TOO_LARGE = np.full(32, 3e38, np.float32).tobytes()
_BAD_FLOATS = np.full(32, np.nan, np.float32).tobytes()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_set("../../etc/cron.d/job", b""), "points outside the archive"),
        (_set("/etc/passwd", b""), "points outside the archive"),
        (_set("..\\up.txt", b""), "points outside the archive"),
        (_set("C:/windows.txt", b""), "points outside the archive"),
        (_set("readme.txt", b"hello"), "'readme.txt' is not in the manifest"),
        (lambda contents: contents.pop("thumbnails/000000.jpg"), "'thumbnails/000000.jpg' is missing"),
        (lambda contents: contents.pop("embeddings.f32"), "'embeddings.f32' is missing"),
        (lambda contents: contents.pop("manifest.json"), "holds no manifest.json"),
        (_set("manifest.json", b"{"), "not an export of this program"),
        (_set("manifest.json", b"{}"), "not an export of this program"),
        (_set("manifest.json", b"[" * 100_000), "not an export of this program"),
        (_manifest(lambda one: one.update(format="something else")), "not an export of this program"),
        (_manifest(lambda one: one.update(version=7)), "version 7, this program reads up to 3"),
        (_manifest(lambda one: one.update(version=2)), "version 2, which no release wrote"),
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
        (_set("embeddings.f32", _TOO_LARGE), "example 0.*too large"),
        (_set("thumbnails/000001.jpg", b"GIF89a"), "example 1.*not a JPEG"),
        (_set("thumbnails/000001.jpg", jpeg(1)[:700]), "example 1.*damaged"),
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
        (_set("scenes/000001.scene", scene_reference(1)[:-300]), "scene 1: "),
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
    teach_in_scenes(store)
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


def test_a_picture_with_a_wrong_checksum_is_refused(archive: Path, other: ExampleStore) -> None:
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


@pytest.mark.parametrize("offset", [10**6, 2**32 - 1, 2**40, 2**63, 2**64 - 1])
def test_an_entry_that_lies_outside_the_file_is_refused(
    archive: Path, other: ExampleStore, offset: int
) -> None:
    with zipfile.ZipFile(archive, "a") as changed:
        changed.getinfo("embeddings.f32").header_offset = offset
        changed.writestr("thumbnails/000009.jpg", b"")  # else the directory is not written again
    with pytest.raises(ArchiveError, match=r"'embeddings\.f32' lies outside the file") as caught:
        import_archive(other, archive)
    assert str(archive) in str(caught.value)
    assert other.counts == {}
