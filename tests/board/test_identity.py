from __future__ import annotations

from pathlib import Path

from edge_daemon.board.identity import Board, read_board
from tests.board.layout import lay_model, write


def test_name_cores_and_memory_are_read(tmp_path: Path) -> None:
    lay_model(tmp_path, "Raspberry Pi Zero 2 W Rev 1.0")
    write(tmp_path, "proc/meminfo", "MemTotal:         426204 kB\n")
    board = read_board(tmp_path, cores=4)
    assert board == Board("Raspberry Pi Zero 2 W Rev 1.0", 4, 426204 * 1024)
    assert str(board) == "Raspberry Pi Zero 2 W Rev 1.0: 4 cores, 0.4 GB"


def test_a_machine_without_a_device_tree_has_no_name(tmp_path: Path) -> None:
    assert str(read_board(tmp_path, cores=1)) == "this machine: 1 core"
    assert read_board(tmp_path).cores >= 1
