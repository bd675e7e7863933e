from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_daemon.domain.errors import OutputError
from edge_daemon.system.atomic_file import (
    check_rewritten_file,
    new_file,
    replacing_file,
    rewritten_file,
)
from tests.harness.small_disk import SmallDisk


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    with new_file(tmp_path / "out.zip") as file:
        file.write(b"whole")
        file.flush()
        assert list(tmp_path.iterdir()) == []
    assert (tmp_path / "out.zip").read_bytes() == b"whole"
    assert not (tmp_path / "out.zip").stat().st_mode & 0o111


def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom edge_daemon.system.atomic_file import new_file\n"
        "with new_file(Path(sys.argv[1])) as file:\n"
        "    file.write(bytes(10**6)); file.flush(); print('half', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out.zip")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "out.zip") as file:
        file.write(bytes(1 // 0))
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_overwritten_though_it_came_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    with pytest.raises(OutputError, match="exists already"), new_file(path):
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    with pytest.raises(OutputError, match="exists already"), new_file(path):
        pass


@pytest.fixture
def without_nameless_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every disk one like FAT, where a file needs a name."""
    whole = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, **options: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return whole(path, flags, mode, **options)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.usefixtures("without_nameless_files")
def test_a_disk_without_nameless_files_gets_the_whole_file(tmp_path: Path) -> None:
    with new_file(tmp_path / "out.zip") as file:
        file.write(b"whole")
    assert [each.name for each in tmp_path.iterdir()] == ["out.zip"]
    assert (tmp_path / "out.zip").read_bytes() == b"whole"


@pytest.mark.usefixtures("without_nameless_files")
def test_a_copy_that_does_not_fit_leaves_nothing_on_the_disk(small_disk: SmallDisk) -> None:
    content = bytes(2 << 20)
    path = small_disk.folder / "out.zip"
    with pytest.raises(OutputError, match=f"can't write {path}: No space left"), new_file(path) as file:
        file.write(content)
    assert list(small_disk.folder.iterdir()) == []


def test_the_name_of_a_new_file_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    whole = os.fsync

    def record(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        whole(handle)

    monkeypatch.setattr(os, "fsync", record)
    with new_file(tmp_path / "out.zip"):
        pass
    assert synced == [(tmp_path / "out.zip").stat().st_ino, tmp_path.stat().st_ino]


def test_a_new_file_is_refused_where_one_exists_or_there_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "out.zip").touch()
    for name, words in (("out.zip", "exists"), ("link", "exists"), ("none/out.zip", "No such file")):
        with pytest.raises(OutputError, match=words), new_file(tmp_path / name):
            pass


def test_a_replaced_file_is_the_old_one_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with replacing_file(path) as file:
        file.write(b"old")
    with replacing_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    with pytest.raises(ZeroDivisionError), replacing_file(path) as file:
        file.write(bytes(1 // 0))
    assert path.read_bytes() == b"new"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_a_process_killed_while_it_replaces_a_file_leaves_the_old_one(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "from edge_daemon.system.atomic_file import replacing_file\n"
        "with replacing_file(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "file"
    path.write_bytes(b"old")
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -9
    assert path.read_bytes() == b"old"
    with replacing_file(path) as file:
        file.write(b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def rewrite(path: Path, content: bytes) -> None:
    check_rewritten_file(path, b"mark")
    with rewritten_file(path, b"mark") as file:
        file.write(content)


def test_an_earlier_file_with_the_mark_is_replaced(tmp_path: Path) -> None:
    for number in range(3):
        rewrite(tmp_path / "seen.jpg", b"mark %d" % number)
        assert (tmp_path / "seen.jpg").read_bytes() == b"mark %d" % number
    assert [each.name for each in tmp_path.iterdir()] == ["seen.jpg"]


def test_a_file_without_the_mark_is_not_replaced_though_it_came_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "seen.jpg"
    with pytest.raises(OutputError, match="exists already"), rewritten_file(path, b"mark"):
        path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        rewrite(path, b"mark")
    assert path.read_bytes() == b"mine"
    assert [each.name for each in tmp_path.iterdir()] == ["seen.jpg"]


def test_no_link_is_followed_and_no_other_name_of_a_file_is_written(tmp_path: Path) -> None:
    target = tmp_path / "passwd"
    target.write_bytes(b"mark of another")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(OutputError, match="exists already"):
        rewrite(tmp_path / "link", b"mark")
    os.link(target, tmp_path / "name")
    rewrite(tmp_path / "name", b"mark new")
    assert target.read_bytes() == b"mark of another"
    with rewritten_file(tmp_path / "late", b"mark") as file:
        file.write(b"mark")
        (tmp_path / "late").symlink_to(tmp_path / "nowhere")
        (tmp_path / "late").unlink()
        os.link(target, tmp_path / "late")
    assert target.read_bytes() == b"mark of another"
    assert (tmp_path / "late").read_bytes() == b"mark"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a file of another user")
def test_a_file_of_another_user_and_a_pipe_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"mark")
    os.chown(tmp_path / "theirs", 65534, 65534)
    os.mkfifo(tmp_path / "pipe")
    for name in ("theirs", "pipe"):
        with pytest.raises(OutputError, match="exists already"):
            rewrite(tmp_path / name, b"mark")
