"""The start of this process."""

from __future__ import annotations

import time
from pathlib import Path

from edge_daemon.board.boot import process_start_s, suspended_s
from tests.board.layout import write


def test_the_start_is_field_22_for_any_name_of_the_program(tmp_path: Path) -> None:
    fields = ["S", *(str(number) for number in range(4, 22)), "1234", "23"]
    write(tmp_path, "proc/self/stat", f"815 (edge) daemon 1) {' '.join(fields)}\n")

    started_s = process_start_s(tmp_path, ticks_per_s=100)

    assert started_s is not None
    assert abs(started_s - (12.34 - suspended_s())) < 0.1


def test_this_process_began_before_now() -> None:
    started_s = process_start_s()
    assert started_s is not None
    assert started_s < time.monotonic()


def test_without_the_file_there_is_no_start(tmp_path: Path) -> None:
    assert process_start_s(tmp_path) is None
    write(tmp_path, "proc/self/stat", "1 (a) S 2\n")
    assert process_start_s(tmp_path) is None
