from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_daemon.domain.errors import OutputError
from edge_daemon.system.atomic_file import check_new_file, new_file, replacing_file


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


def test_a_disk_without_nameless_files_gets_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, **options: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return whole(path, flags, mode, **options)

    monkeypatch.setattr(os, "open", refuse)
    with new_file(tmp_path / "out.zip") as file:
        file.write(b"whole")
    assert [each.name for each in tmp_path.iterdir()] == ["out.zip"]
    assert (tmp_path / "out.zip").read_bytes() == b"whole"


def test_what_would_be_refused_is_known_before_the_work(tmp_path: Path) -> None:
    check_new_file(tmp_path / "out.zip")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "out.zip").touch()
    for name, words in (("out.zip", "exists"), ("link", "exists"), ("none/out.zip", "there is no folder")):
        with pytest.raises(OutputError, match=words):
            check_new_file(tmp_path / name)
        with pytest.raises(OutputError), new_file(tmp_path / name):
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
