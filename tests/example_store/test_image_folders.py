from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from edge_daemon.domain.errors import ArchiveError, LabelError
from edge_daemon.example_store.archive import write_archive
from edge_daemon.example_store.image_folders import Picture, export_folders, find_pictures, import_pictures
from edge_daemon.example_store.importing import ImportLabels, ImportReport
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from tests.harness.archived_examples import jpeg
from tests.harness.example_pictures import CountingEmbedder, noise, save, write_tree
from tests.harness.unit_vectors import unit


@pytest.fixture
def store(tmp_path: Path) -> ExampleStore:
    return ExampleStore(tmp_path / "examples.db")


def _import(store: ExampleStore, root: Path, embedder: CountingEmbedder | None = None) -> ImportReport:
    return import_pictures(store, embedder or CountingEmbedder(), find_pictures(root, store.counts))


def test_a_folder_of_label_folders_becomes_examples(store: ExampleStore, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "teach", {"dog": 2, "cat": 70})
    report = _import(store, root)
    assert (report.added, report.duplicates, report.problems) == (72, 0, [])
    assert store.counts == {"cat": 70, "dog": 2}
    first = next(iter(store))
    assert (first.space, first.region, first.source) == ("colours", "frame", "cat/0.png")
    assert read_image(first.thumbnail).shape == (30, 40, 3)
    assert abs(float(np.linalg.norm(first.embedding)) - 1) < 1e-6


def test_a_class_with_one_image_is_taught(store: ExampleStore, tmp_path: Path) -> None:
    _import(store, write_tree(tmp_path / "teach", {"cat": 1, "dog": 2}))
    assert store.counts == {"cat": 1, "dog": 2}


def test_importing_again_adds_nothing_and_embeds_nothing(store: ExampleStore, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "teach", {"cat": 3})
    _import(store, root)
    again = CountingEmbedder()
    report = _import(store, root, again)
    assert (report.added, report.duplicates, again.embedded) == (0, 3, 0)


def test_duplicates_within_one_import_are_added_once(store: ExampleStore, tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / "teach" / "cat" / f"{name}.png", noise(1))
    report = _import(store, tmp_path / "teach")
    assert (report.added, report.duplicates) == (1, 1)


def test_a_picture_taught_under_another_label_is_left_out_and_reported(
    store: ExampleStore, tmp_path: Path
) -> None:
    save(tmp_path / "teach" / "cat" / "1.png", noise(1))
    save(tmp_path / "teach" / "dog" / "2.png", noise(1))
    report = _import(store, tmp_path / "teach")
    assert store.counts == {"cat": 1}
    assert len(report.problems) == 1
    assert "dog" in report.problems[0]
    assert "taught as 'cat'" in report.problems[0]


def test_the_same_folder_can_be_taught_to_another_model(store: ExampleStore, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "teach", {"cat": 3})
    _import(store, root)
    assert _import(store, root, CountingEmbedder("another")).added == 3
    assert store.spaces() == {"colours": 3, "another": 3}


def test_an_export_is_recognised_when_imported(store: ExampleStore, tmp_path: Path) -> None:
    _import(store, write_tree(tmp_path / "teach", {"cat": 3, "dog": 2}))
    assert export_folders(store, tmp_path / "new" / "out") == (5, 0)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["out"]
    assert len(list((tmp_path / "new" / "out" / "cat").glob("*.jpg"))) == 3
    assert _import(store, tmp_path / "new" / "out").duplicates == 5
    with ExampleStore(tmp_path / "other.db") as other:
        assert _import(other, tmp_path / "new" / "out").added == 5
        assert {one.thumbnail for one in other} == {one.thumbnail for one in store}


def test_export_says_how_many_have_no_picture_and_never_overwrites(
    store: ExampleStore, tmp_path: Path
) -> None:
    store.add(unit(0), "cat")
    assert export_folders(store, tmp_path / "out") == (0, 1)
    save(tmp_path / "full" / "mine.png", noise(1))
    with pytest.raises(ArchiveError, match="not an empty folder"):
        export_folders(store, tmp_path / "full")
    assert (tmp_path / "full" / "mine.png").exists()


def test_export_to_where_nothing_may_be_written_is_one_line(store: ExampleStore) -> None:
    with pytest.raises(ArchiveError, match="/proc/nowhere"):
        export_folders(store, Path("/proc/nowhere/out"))


def test_a_folder_without_label_folders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "flat" / "empty").mkdir(parents=True)
    save(tmp_path / "flat" / "1.png", noise(1))
    for root in (tmp_path / "empty", tmp_path / "flat"):
        with pytest.raises(ArchiveError, match=r"LABEL/PICTURE\.jpg"):
            find_pictures(root)
    with pytest.raises(ArchiveError, match="can't be read: No such file"):
        find_pictures(tmp_path / "nowhere")


def test_a_folder_that_may_not_be_entered_is_named(tmp_path: Path) -> None:
    pictures = write_tree(tmp_path / "pics", {"cat": 1})
    pictures.chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        with pytest.raises(ArchiveError, match=f"^folder '{pictures}' can't be read: Permission denied$"):
            find_pictures(pictures)
    finally:
        os.seteuid(user)
        pictures.chmod(0o700)


def test_an_empty_label_folder_is_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_tree(tmp_path / "teach", {"cat": 1})
    (root / "dog").mkdir()
    assert [one.label for one in find_pictures(root)] == ["cat"]
    assert "dog' holds no pictures" in caplog.text


def test_hidden_and_foreign_files_are_no_pictures(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "teach", {"cat": 1})
    (root / "cat" / "._0.png").write_bytes(b"of a Mac")
    (root / "cat" / "notes.txt").write_text("a note")
    (root / "cat" / "folder.png").mkdir()
    os.mkfifo(root / "cat" / "pipe.png")
    assert find_pictures(root) == [Picture("cat", root / "cat" / "0.png")]


def test_folders_of_systems_are_no_labels(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "teach", {"cat": 1, ".ipynb_checkpoints": 1, "@eaDir": 1, "__MACOSX": 1})
    assert [one.label for one in find_pictures(root)] == ["cat"]


def test_pictures_are_known_by_content_and_the_rest_is_counted_and_named(
    store: ExampleStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    root = write_tree(tmp_path / "teach", {"cat": 1})
    for seed, name in enumerate(("a.jfif", "b.jpe", "IMG_1.HEIC", "plain"), 20):
        noise(seed).save(root / "cat" / name, "JPEG")
    (root / "cat" / "real.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (root / "cat" / "film.mov").write_bytes(b"\0\0\0\x14ftypqt  ")
    (root / "loose.txt").write_text("a note")
    report = _import(store, root)
    assert report.added == 5
    assert "real.heic is a HEIC picture" in report.problems[0]
    assert "1 other file passed over (film.mov)" in caplog.text
    assert "1 other file passed over (loose.txt)" in caplog.text


def test_a_folder_above_the_label_folders_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_tree(tmp_path / "set" / "train", {"cat": 1})
    with pytest.raises(ArchiveError, match="holds no pictures in label folders"):
        find_pictures(tmp_path / "set")
    assert f"'{tmp_path}/set/train' holds no pictures, only folders; " in caplog.text
    assert f"is '{tmp_path}/set/train' the folder to import?" in caplog.text


def test_a_folder_whose_name_is_no_label_is_left_out_or_renamed(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "teach", {"C#": 1, "cat": 1, "Katze": 1})
    report = ImportReport()
    found = find_pictures(root, (), ImportLabels(report))
    assert [one.label for one in found] == ["Katze", "cat"]
    assert "'C#'" in report.problems[0]
    renames = {"C#": "C sharp", "Katze": "cat"}
    found = find_pictures(root, (), ImportLabels(report, renames))
    assert [one.label for one in found] == ["C sharp", "cat", "cat"]


def test_a_label_that_would_be_a_hidden_folder_is_not_exported_as_one(
    store: ExampleStore, tmp_path: Path
) -> None:
    store.add(unit(0), ".net")
    with pytest.raises(ArchiveError, match=r"'\.net' would be a hidden folder"):
        export_folders(store, tmp_path / "out")


@pytest.mark.parametrize(("first", "second"), [("Cat", "cat"), ("hot dog", "hotdog"), ("STRASSE", "straße")])
def test_labels_that_differ_only_in_case_or_spaces_are_refused(
    store: ExampleStore, tmp_path: Path, first: str, second: str
) -> None:
    root = write_tree(tmp_path / "teach", {first: 1, second: 1})
    with pytest.raises(ArchiveError, match="only in case or spaces"):
        find_pictures(root)
    store.add(unit(0), first)
    single = write_tree(tmp_path / "single", {second: 1})
    with pytest.raises(ArchiveError, match=f"'{second}'.*'{first}'"):
        find_pictures(single, store.counts)


def test_similar_labels_in_the_store_do_not_hinder_a_folder_with_other_labels(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "teach", {"dog": 1})
    assert len(find_pictures(root, ["Cat", "cat", "dog"])) == 1


def test_two_folders_that_give_one_label_are_refused(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "teach", {"cat": 1, "cat ": 1})
    with pytest.raises(ArchiveError, match="give the label 'cat'"):
        find_pictures(root)


@pytest.mark.parametrize("name", ["unknown", "a+b", "x" * 65, os.fsdecode(b"caf\xe9")])
def test_a_folder_that_can_be_no_label_is_named(tmp_path: Path, name: str) -> None:
    root = write_tree(tmp_path / "teach", {name: 1})
    with pytest.raises(LabelError, match="folder '"):
        find_pictures(root)


def test_a_bad_picture_is_reported_and_the_others_are_taught(store: ExampleStore, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "teach", {"cat": 2})
    (root / "cat" / "bad.jpg").write_bytes(b"no image")
    truncated = save(root / "cat" / "short.png", noise(9, 200, 200))
    os.truncate(truncated, 5000)
    save(root / "cat" / "black.png", PIL.Image.new("RGB", (9, 9)))
    save(root / "cat" / "huge.png", PIL.Image.new("1", (10_001, 10_000)))
    report = _import(store, root)
    assert report.added == 2
    names = ["bad.jpg", "black.png", "huge.png", "short.png"]
    assert all(name in line for name, line in zip(names, report.problems, strict=True))
    assert "megapixels" in report.problems[2]


def test_pictures_of_any_mode_and_size_are_taught_upright(store: ExampleStore, tmp_path: Path) -> None:
    cat = tmp_path / "teach" / "cat"
    save(cat / "cmyk.jpg", noise(1).convert("CMYK"))
    save(cat / "deep.png", PIL.Image.fromarray(np.full((9, 9), 40_000, np.uint16)))
    save(cat / "dot.png", PIL.Image.new("RGB", (1, 1), "red"))
    noise(3).save(cat / "moving.gif", save_all=True, append_images=[noise(4)])
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    noise(5, 60, 20).save(cat / "turned.jpg", exif=turned)
    report = _import(store, tmp_path / "teach")
    assert (report.added, report.problems) == (5, [])
    shapes = {one.source.split("/")[1]: read_image(one.thumbnail).shape for one in store}
    assert shapes["turned.jpg"] == (60, 20, 3)
    assert shapes["dot.png"] == (1, 1, 3)


def test_a_file_name_that_is_no_text_is_taught(store: ExampleStore, tmp_path: Path) -> None:
    save(tmp_path / "teach" / "cat" / os.fsdecode(b"caf\xe9.png"), noise(1))
    assert _import(store, tmp_path / "teach").added == 1
    assert next(iter(store)).source == "cat/caf\N{REPLACEMENT CHARACTER}.png"


def test_an_interrupted_import_keeps_what_was_added_and_goes_on(store: ExampleStore, tmp_path: Path) -> None:
    pictures = find_pictures(write_tree(tmp_path / "teach", {"cat": 100}))

    def interrupted() -> object:
        yield from pictures[:80]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_pictures(store, CountingEmbedder(), interrupted())  # type: ignore[arg-type]
    kept = sum(store.counts.values())
    assert 0 < kept <= 80
    report = import_pictures(store, CountingEmbedder(), pictures)
    assert (report.added, report.duplicates) == (100 - kept, kept)


def test_an_unpacked_archive_is_no_folder_of_the_label_thumbnails(
    store: ExampleStore, tmp_path: Path
) -> None:
    store.add(unit(0), "cat", thumbnail=jpeg(1))
    write_archive(store, tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        archive.extractall(tmp_path / "x")
    with pytest.raises(ArchiveError, match="is an unpacked export; import its zip"):
        find_pictures(tmp_path / "x")
