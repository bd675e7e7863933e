"""Faults that installers print, with the system's Python, before a change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_daemon.board.__main__ import main
from tests.board.storage import CARD, OVERLAY_ON_CARD, lay_memory, lay_mounts

ROOT = Path(__file__).parents[2]
FOLDERS = ["/opt/edge-daemon", "/var/lib/edge_daemon"]


def test_each_fault_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay_mounts(tmp_path, *OVERLAY_ON_CARD)
    lay_memory(tmp_path, controllers="cpu pids")
    main(FOLDERS, tmp_path)
    program, state, limit = capsys.readouterr().out.splitlines()
    assert program.startswith("nothing in /opt/edge-daemon survives a reboot")
    assert state.startswith("nothing in /var/lib/edge_daemon survives a reboot")
    assert limit.startswith("MemoryMax= has no effect")


def test_a_board_without_faults_prints_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lay_mounts(tmp_path, CARD)
    lay_memory(tmp_path)
    main(FOLDERS, tmp_path)
    assert capsys.readouterr().out == ""


def test_it_needs_nothing_but_the_standard_library() -> None:
    """-S leaves out every installed package."""
    command = [sys.executable, "-S", "-B", "-m", "edge_daemon.board", *FOLDERS]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def test_both_installers_ask_it() -> None:
    for script in ("scripts/install", "packaging/debian/postinst"):
        assert "-m edge_daemon.board" in (ROOT / script).read_text()
