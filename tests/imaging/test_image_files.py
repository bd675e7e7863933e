"""Search for picture files in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_daemon.imaging.image_files import find_images, first_names, is_hidden
from tests.harness.example_pictures import noise, save


@pytest.mark.parametrize(
    "name",
    [
        ".ipynb_checkpoints",
        ".thumbnails",
        "@eaDir",
        "__MACOSX",
        "#recycle",
        "@Recently-Snapshot",
        "$RECYCLE.BIN",
        "LOST.DIR",
        "Thumbs.db",
        "._cat.jpg",
    ],
)
def test_files_of_the_operating_system_are_hidden(name: str) -> None:
    assert is_hidden(name)


@pytest.mark.parametrize("name", ["cat", "_cat", "@home", "5$", "IMG_1.HEIC"])
def test_files_of_the_user_are_not_hidden(name: str) -> None:
    assert not is_hidden(name)


def test_pictures_are_found_by_content_or_by_suffix(tmp_path: Path) -> None:
    for name in ("a.jfif", "b.HEIC", "c", "d.txt"):
        noise(1).save(tmp_path / name, "JPEG")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "notes.md").write_text("BM and P5 begin lines here")
    (tmp_path / "BMW.csv").write_text("BMW,1\nP3,2\n")
    os.mkfifo(tmp_path / "pipe.jpg")
    save(tmp_path / "inner" / "e.png", noise(2))
    save(tmp_path / "@eaDir" / "f.png", noise(3))
    found = find_images(tmp_path)
    assert [path.name for path in found.images] == ["a.jfif", "b.HEIC", "broken.png", "c", "d.txt"]
    assert [path.name for path in found.others] == ["BMW.csv", "inner", "notes.md", "pipe.jpg"]
    within = find_images(tmp_path, recursive=True)
    assert "e.png" in [path.name for path in within.images]
    assert "f.png" not in [path.name for path in within.images]
    with pytest.raises(FileNotFoundError):
        find_images(tmp_path / "nowhere", recursive=True)


def test_a_message_names_the_first_few() -> None:
    assert first_names([Path("a"), Path("b")]) == "a, b"
    assert first_names([Path(letter) for letter in "abcde"]) == "a, b, c, …"
