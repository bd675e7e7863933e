from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_daemon.domain.errors import ArchiveError
from edge_daemon.system.atomic_file import fresh_file


def test_the_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    with fresh_file(tmp_path / "out.zip") as file:
        file.write(b"whole")
        file.flush()
        assert list(tmp_path.iterdir()) == []
    assert (tmp_path / "out.zip").read_bytes() == b"whole"
    assert not (tmp_path / "out.zip").stat().st_mode & 0o111


def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom edge_daemon.system.atomic_file import fresh_file\n"
        "with fresh_file(Path(sys.argv[1])) as file:\n"
        "    file.write(bytes(10**6)); file.flush(); print('half', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out.zip")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), fresh_file(tmp_path / "out.zip") as file:
        file.write(bytes(1 // 0))
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_overwritten_though_it_came_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    with pytest.raises(ArchiveError, match="exists already"), fresh_file(path):
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    with pytest.raises(ArchiveError, match="exists already"), fresh_file(path):
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
    with fresh_file(tmp_path / "out.zip") as file:
        file.write(b"whole")
    assert [each.name for each in tmp_path.iterdir()] == ["out.zip"]
    assert (tmp_path / "out.zip").read_bytes() == b"whole"
