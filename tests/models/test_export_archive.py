from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from edge_daemon.domain.errors import ArchiveError
from edge_daemon.models.export_archive import MAX_ENTRIES, open_export


def archive(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return path


def test_a_zip_a_folder_and_a_file_are_read_alike(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "labels.txt").write_bytes(b"a\n")
    zipped = archive(tmp_path / "x.zip", {"labels.txt": b"a\n"})
    for source in (folder, zipped, folder / "labels.txt"):
        export = open_export(source)
        assert export.names == ("labels.txt",)
        assert export.read("labels.txt", 100) == b"a\n"


def test_backslashes_of_powershell_and_colons_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name in ("12:30\\labels.txt", "conv\\"):
            entry = zipfile.ZipInfo(name)
            entry.create_system = 0  # Windows
            packed.writestr(entry, b"a\n")
    export = open_export(path)
    assert export.names == ("12:30/labels.txt",)
    assert export.read("12:30/labels.txt", 100) == b"a\n"


def test_a_zip_bomb_is_read_only_up_to_the_limit(tmp_path: Path) -> None:
    export = open_export(archive(tmp_path / "bomb.zip", {"model.tflite": bytes(64 << 20)}))
    assert (tmp_path / "bomb.zip").stat().st_size < 100_000
    with pytest.raises(ArchiveError, match=r"bomb\.zip, model\.tflite: has more than 1 MiB"):
        export.read("model.tflite", 1 << 20)


def test_a_zip_bomb_with_a_wrong_size_is_read_only_up_to_the_limit(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.zip", {"model.tflite": bytes(8 << 20)})
    content = path.read_bytes()
    path.write_bytes(content.replace((8 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(ArchiveError):
        open_export(path).read("model.tflite", 50)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/passwd", "..\\evil", "C:\\evil"])
def test_an_archive_with_names_outside_it_is_refused(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "x.zip", {"model.tflite": b"x", name: b"evil"})
    with pytest.raises(ArchiveError, match="holds a file outside itself"):
        open_export(path)


def test_an_archive_with_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("model.tflite")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as target:
        target.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="holds a link"):
        open_export(tmp_path / "x.zip")


def test_a_link_in_a_folder_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "labels.txt").symlink_to(tmp_path / "secret")
    assert open_export(folder).names == ()


def test_thousands_of_files_are_no_export(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", {str(i): b"" for i in range(MAX_ENTRIES + 1)})
    with pytest.raises(ArchiveError, match="holds 1001 files"):
        open_export(path)


def test_an_encrypted_archive_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", {"model.tflite": b"x"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="is encrypted"):
        open_export(path)


def test_every_single_damaged_byte_is_an_error_or_harmless(tmp_path: Path) -> None:
    content = archive(tmp_path / "x.zip", {"labels.txt": b"cat\ndog\n" * 20}).read_bytes()
    path = tmp_path / "damaged.zip"
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            export = open_export(path)
            for name in export.names:
                export.read(name, 10_000)
        except ArchiveError:
            continue


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no such file or folder"):
        open_export(tmp_path / "absent.zip")


@pytest.mark.parametrize("offset", [10**6, 2**63, 2**64 - 1])
def test_a_file_that_lies_outside_the_archive_is_an_error(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("model.json", b"{}")
        packed.getinfo("model.json").header_offset = offset
    with pytest.raises(ArchiveError, match=r"model\.json: can't be read"):
        open_export(path).read("model.json", 100)
