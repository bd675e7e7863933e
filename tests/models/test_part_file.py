"""Part files: resumed content, locks, and hostile files in the model folder."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.part_file import PartFile, check_model_folder
from edge_daemon.system.file_owner import as_owner_of

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
SERVICE = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that every user can access, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        yield Path(place)


@pytest.fixture
def precious(folder: Path) -> Path:
    path = folder / "precious"
    path.write_text("precious")
    return path


def write(target: Path, content: bytes = b"new") -> bytes:
    """Put a file in place; return the earlier content of its part file."""
    with PartFile(target) as part:
        part.file.seek(0)
        found = part.file.read()
        part.file.truncate(0)
        part.file.write(content)
        part.put_in_place()
    return found


def plant(kind: str, at: Path, precious: Path) -> None:
    if kind == "link":
        at.symlink_to(precious)
    elif kind == "dangling link":
        at.symlink_to(precious.with_name("absent"))
    elif kind == "second name":
        os.link(precious, at)
    elif kind == "pipe":
        os.mkfifo(at)
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(at))


@pytest.mark.parametrize("kind", ["link", "dangling link", "second name", "pipe", "socket"])
def test_a_planted_file_is_replaced_by_a_new_one(folder: Path, precious: Path, kind: str) -> None:
    plant(kind, folder / "m.tflite.part", precious)
    assert write(folder / "m.tflite") == b""
    assert (folder / "m.tflite").read_bytes() == b"new"
    assert precious.read_text() == "precious"
    assert sorted(path.name for path in folder.iterdir()) == ["m.tflite", "precious"]


def test_a_link_as_target_is_replaced_not_followed(folder: Path, precious: Path) -> None:
    (folder / "m.tflite").symlink_to(precious)
    write(folder / "m.tflite")
    assert not (folder / "m.tflite").is_symlink()
    assert precious.read_text() == "precious"


def test_a_folder_under_that_name_is_an_error(folder: Path) -> None:
    (folder / "m.tflite.part").mkdir()
    with pytest.raises(OSError, match=r"m\.tflite\.part"), PartFile(folder / "m.tflite"):
        pass


def test_the_content_of_an_earlier_attempt_is_kept(folder: Path) -> None:
    with PartFile(folder / "m.tflite") as part:
        part.file.write(b"begun")
    assert write(folder / "m.tflite") == b"begun"


def test_an_empty_attempt_leaves_no_file(folder: Path) -> None:
    with PartFile(folder / "m.tflite"):
        pass
    assert list(folder.iterdir()) == []


def test_two_at_once_do_not_mix(folder: Path) -> None:
    with (
        PartFile(folder / "m.tflite"),
        pytest.raises(ModelError, match="by another process"),
        PartFile(folder / "m.tflite"),
    ):
        pass


@needs_root
def test_root_leaves_a_file_of_the_service_user_for_any_umask(folder: Path) -> None:
    os.chown(folder, SERVICE, SERVICE)
    before = os.umask(0o077)
    try:
        write(folder / "models" / "m.tflite")
    finally:
        os.umask(before)
    for path, mode in ((folder / "models", 0o755), (folder / "models/m.tflite", 0o644)):
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (SERVICE, mode)
    assert (os.geteuid(), os.getegid()) == (0, 0)


@needs_root
def test_root_does_not_resume_another_users_file(folder: Path) -> None:
    """The owner could change the file after the check."""
    planted = folder / "m.tflite.part"
    planted.write_bytes(b"theirs")
    os.chown(planted, SERVICE, SERVICE)
    assert write(folder / "m.tflite") == b""


@needs_root
@pytest.mark.parametrize("name", ["m.tflite", "deeper/m.tflite"])
def test_a_link_as_folder_is_followed_with_its_owners_rights(folder: Path, name: str) -> None:
    """A compromised service could replace root's download folder by a link to a folder of root."""
    state, roots = folder / "state", folder / "roots"
    state.mkdir()
    roots.mkdir()
    os.chown(state, SERVICE, SERVICE)
    (state / "models").symlink_to(roots)
    os.chown(state / "models", SERVICE, SERVICE, follow_symlinks=False)
    with pytest.raises((ModelError, PermissionError)):
        write(state / "models" / name)
    assert list(roots.iterdir()) == []


@needs_root
def test_a_folder_of_root_in_the_services_folder_is_named_with_the_remedy(folder: Path) -> None:
    (folder / "models").mkdir()
    os.chown(folder, SERVICE, SERVICE)
    with pytest.raises(ModelError, match=rf"models: nobody may not write there; `chown nobody: {folder}"):
        write(folder / "models/m.tflite")
    with pytest.raises(ModelError, match=rf"models: nobody may not write there; `chown nobody: {folder}"):
        check_model_folder(folder / "models")


@needs_root
def test_rights_are_restored_after_an_error(folder: Path) -> None:
    os.chown(folder, SERVICE, SERVICE)
    groups = os.getgroups()
    with pytest.raises(PermissionError):
        _note_rights_and_fail(folder)
    assert (folder / "rights").read_text() == f"{SERVICE} {SERVICE} [{SERVICE}]"
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, groups)


def _note_rights_and_fail(folder: Path) -> None:
    with as_owner_of(folder / "absent"):
        (folder / "rights").write_text(f"{os.geteuid()} {os.getegid()} {os.getgroups()}")
        os.chown(folder, 0, 0)
