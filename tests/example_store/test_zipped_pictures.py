"""Zips of pictures: label folders and projects of Teachable Machine."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from edge_daemon.domain.errors import ArchiveError, LabelError
from edge_daemon.example_store.archive import write_archive
from edge_daemon.example_store.image_folders import Picture, import_pictures
from edge_daemon.example_store.importing import ImportLabels, ImportReport
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.example_store.zipped_pictures import find_zipped_pictures, is_picture_zip
from tests.harness.example_pictures import CountingEmbedder, noise
from tests.harness.unit_vectors import unit

NO_PICTURES = (".txt", ".csv", ".json", ".f32")


def _jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    noise(seed).save(buffer, "JPEG")
    return buffer.getvalue()


def _zip(path: Path, *names: str, manifest: bool = False) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        if manifest:
            archive.writestr(
                "manifest.json", json.dumps({"type": "image", "version": "2.4.7", "appdata": {}})
            )
        for seed, name in enumerate(names):
            archive.writestr(name, b"data" if name.endswith(NO_PICTURES) else _jpeg(seed))
    return path


def _renamed(path: Path, old: bytes, new: bytes, *, on_windows: bool = True) -> Path:
    """Replace names in a zip by others of the same length, clear the flag of UTF-8, and name the system."""
    content = bytearray(path.read_bytes().replace(old, new))
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + flags + 1] &= ~0x08
            if mark == b"PK\1\2":
                content[at + 5] = 0 if on_windows else 3
    path.write_bytes(content)
    return path


def _shown(pictures: list[Picture]) -> list[tuple[str, str]]:
    return [(picture.label, picture.path.name) for picture in pictures]


def test_a_project_of_teachable_machine_gives_its_pictures(
    tmp_path: Path, store: ExampleStore, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("Rock-!-0.jpg", "Rock-!-1.jpg", "Paper white-!-0.jpg")
    project = _zip(tmp_path / "project.tm", *names, manifest=True)
    assert is_picture_zip(project)
    report = import_pictures(store, CountingEmbedder(), find_zipped_pictures(project))
    assert (report.added, report.problems) == (3, [])
    assert store.counts == {"Paper white": 1, "Rock": 2}
    assert next(iter(store)).source == "project.tm/Paper white-!-0.jpg"
    assert "passed over" not in caplog.text


@pytest.mark.parametrize("root", ["", "teach/", "a/b/"])
def test_packed_label_folders_go_in_like_a_folder(
    root: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{root}{name}" for name in ("cat/1.jpg", "dog/2.jpg", "notes.txt")]
    packed = _zip(tmp_path / "x.zip", *names, "x.csv", "__MACOSX/cat/._1.jpg", f"{root}.thumbnails/3.jpg")
    assert _shown(find_zipped_pictures(packed)) == [("cat", "1.jpg"), ("dog", "2.jpg")]
    assert "2 other files passed over (notes.txt, x.csv)" in caplog.text


def test_a_zip_is_opened_once_for_all_its_pictures(tmp_path: Path) -> None:
    packed = _zip(tmp_path / "x.zip", "cat/0.jpg", "cat/1.jpg")
    first, second = find_zipped_pictures(packed)
    assert first.source() == _jpeg(0)
    packed.unlink()
    assert second.source() == _jpeg(1)


def test_pictures_are_known_by_content_as_in_a_folder(tmp_path: Path, store: ExampleStore) -> None:
    packed = _zip(tmp_path / "x.zip", "cat/photo", "cat/1.data", "dog/IMG_2")
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("dog/notes", "no picture")
    assert is_picture_zip(packed)
    report = import_pictures(store, CountingEmbedder(), find_zipped_pictures(packed))
    assert (store.counts, report.problems) == ({"cat": 2, "dog": 1}, [])


def test_a_damaged_file_that_is_no_picture_stops_nothing(tmp_path: Path) -> None:
    packed = _zip(tmp_path / "x.zip", "cat/1.jpg")
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/notes", "x" * 500)
        data = archive.getinfo("cat/notes").header_offset + 30 + len("cat/notes")
    content = bytearray(packed.read_bytes())
    content[data] |= 0b110  # a kind of block that does not exist
    packed.write_bytes(content)
    assert _shown(find_zipped_pictures(packed)) == [("cat", "1.jpg")]


def test_an_invalid_label_is_left_out(tmp_path: Path) -> None:
    packed = _zip(tmp_path / "x.tm", "C#-!-0.jpg", "D-!-0.jpg")
    report = ImportReport()
    assert _shown(find_zipped_pictures(packed, (), ImportLabels(report))) == [("D", "D-!-0.jpg")]
    assert "'C#'" in report.problems[0]
    renamed = find_zipped_pictures(packed, (), ImportLabels(report, {"C#": "C sharp"}))
    assert [label for label, _ in _shown(renamed)] == ["C sharp", "D"]
    with pytest.raises(LabelError, match="C#"):
        find_zipped_pictures(_zip(tmp_path / "y.tm", "C#-!-0.jpg"))


def test_a_damaged_picture_costs_that_picture(tmp_path: Path, store: ExampleStore) -> None:
    packed = _zip(tmp_path / "x.zip", "cat/1.jpg", "cat/2.jpg")
    content = bytearray(packed.read_bytes())
    content[content.find(b"\xff\xd8\xff") + 400] ^= 0xFF
    packed.write_bytes(content)
    report = import_pictures(store, CountingEmbedder(), find_zipped_pictures(packed))
    assert report.added == 1
    assert "x.zip/cat/1.jpg is damaged" in report.problems[0]


@pytest.mark.parametrize("names", [["0.jpg", "1.jpg"], ["cat/inner/0.jpg", "dog/1.txt"]])
def test_pictures_in_no_label_folder_are_refused(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="holds no pictures in label folders"):
        find_zipped_pictures(_zip(tmp_path / "x.zip", *names))


def test_an_exported_or_damaged_archive_is_not_a_zip_of_pictures(tmp_path: Path, store: ExampleStore) -> None:
    store.add(unit(0), "cat", thumbnail=_jpeg(1))
    write_archive(store, tmp_path / "ours.zip")
    assert not is_picture_zip(tmp_path / "ours.zip")
    (tmp_path / "damaged.zip").write_bytes(b"PK\3\4" + bytes(500))
    assert not is_picture_zip(tmp_path / "damaged.zip")
    with pytest.raises(ArchiveError, match="it is no zip"):
        find_zipped_pictures(tmp_path / "damaged.zip")


def test_an_entry_that_leaves_the_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="points outside"):
        find_zipped_pictures(_zip(tmp_path / "x.zip", "../cat/1.jpg"))


@pytest.mark.parametrize("offset", [10**6, 2**64 - 1])
def test_an_entry_that_lies_outside_the_file_is_refused(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("cat/1.jpg", b"x")
        packed.getinfo("cat/1.jpg").header_offset = offset
    with pytest.raises(ArchiveError, match=r"'cat/1\.jpg' lies outside the file"):
        find_zipped_pictures(path)
    assert not is_picture_zip(path)


def test_names_are_read_as_zip_macos_and_powershell_write_them(tmp_path: Path, store: ExampleStore) -> None:
    packed = _zip(tmp_path / "x.zip", "Käse/1.jpg", "Ka\u0308se/2.jpg", "ねこ/3.jpg", "dog/4.jpg")
    assert is_picture_zip(_renamed(packed, b"dog/4", b"dog\\4"))
    found = find_zipped_pictures(packed, (), ImportLabels(renames={"Ka\u0308se": "Käse"}))
    assert import_pictures(store, CountingEmbedder(), found).problems == []
    assert store.counts == {"dog": 1, "Käse": 2, "ねこ": 1}
    assert {example.source for example in store} >= {"dog/4.jpg"}


def test_a_backslash_in_a_name_of_unix_makes_no_label(tmp_path: Path) -> None:
    packed = _zip(tmp_path / "x.zip", "cat/a#b.jpg", "dog/1.jpg")
    found = find_zipped_pictures(_renamed(packed, b"a#b", b"a\\b", on_windows=False))
    assert _shown(found) == [("cat", "a\\b.jpg"), ("dog", "1.jpg")]
    outside = _zip(tmp_path / "y.zip", "cat/..#..#1.jpg")
    with pytest.raises(ArchiveError, match="points outside"):
        find_zipped_pictures(_renamed(outside, b"..#..#", b"..\\..\\", on_windows=False))


def test_two_entries_of_one_path_are_refused(tmp_path: Path) -> None:
    packed = _renamed(_zip(tmp_path / "x.zip", "cat/1.jpg", "cat#1.jpg"), b"cat#1", b"cat\\1")
    with pytest.raises(ArchiveError, match=r"'cat/1\.jpg' is in it 2 times"):
        find_zipped_pictures(packed)


def test_a_colon_in_a_name_is_no_drive(tmp_path: Path) -> None:
    packed = _zip(tmp_path / "x.zip", "cat/Mon Jan 1 12:30:45 2024.jpg", "size: big/1.jpg")
    assert [label for label, _ in _shown(find_zipped_pictures(packed))] == ["cat", "size: big"]
    with pytest.raises(ArchiveError, match="points outside"):
        find_zipped_pictures(_zip(tmp_path / "y.zip", "C:/cat/1.jpg"))


def test_a_class_of_a_project_with_a_slash_is_not_the_part_before_it(tmp_path: Path) -> None:
    project = _zip(tmp_path / "x.tm", "on/off-!-0.jpg", "dog-!-0.jpg", manifest=True)
    report = ImportReport()
    assert [label for label, _ in _shown(find_zipped_pictures(project, (), ImportLabels(report)))] == ["dog"]
    assert "'on/off'" in report.problems[0]
    sorted_by_hand = _zip(tmp_path / "y.zip", "dog/dog-!-0.jpg", manifest=True)
    assert [label for label, _ in _shown(find_zipped_pictures(sorted_by_hand))] == ["dog"]


@pytest.mark.parametrize("missing", ["", "manifest.json", "embeddings.f32"])
@pytest.mark.parametrize("root", ["", "export/"])
def test_an_archive_that_was_packed_again_is_not_a_zip_of_pictures(
    root: str, missing: str, tmp_path: Path
) -> None:
    names = {"manifest.json", "embeddings.f32", "thumbnails/000000.jpg"} - {missing}
    assert not is_picture_zip(_zip(tmp_path / "x.zip", *(f"{root}{name}" for name in sorted(names))))


@pytest.mark.parametrize(
    "names",
    [
        ["cat/0.jpg", "dog/0.jpg", "thumbnails/0.jpg", "manifest.json"],
        ["cat/0.jpg", "dog/0.jpg", "index/embeddings.f32"],
        ["cat/0.jpg", "cat/thumbnails/0.jpg", "dog/0.jpg", "site/manifest.json"],
        ["set/cat/0.jpg", "set/dog/0.jpg", "set/thumbnails/0.jpg", "set/manifest.json", "embeddings.f32"],
    ],
)
def test_files_with_names_of_an_archive_do_not_make_label_folders_one(
    names: list[str], tmp_path: Path
) -> None:
    packed = _zip(tmp_path / "x.zip", *names)
    assert is_picture_zip(packed)
    assert {"cat", "dog"} <= {label for label, _ in _shown(find_zipped_pictures(packed))}
