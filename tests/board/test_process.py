"""The running daemon, found by its lock of the store."""

from __future__ import annotations

import os
from pathlib import Path

from edge_daemon.board.process import daemon_process, peak_memory, process_writes
from tests.board.layout import write
from tests.board.storage import lay_daemon


def test_a_running_daemon_is_found_with_its_figures(tmp_path: Path) -> None:
    store = tmp_path / "state/examples.sqlite"
    lay_daemon(tmp_path, store)
    process = daemon_process(store, tmp_path)
    assert process == 812
    assert process_writes(process, tmp_path) == 4_096_000
    assert peak_memory(process, tmp_path) == 100 * 2**20


def test_the_lock_of_a_daemon_that_has_ended_is_ignored(tmp_path: Path) -> None:
    store = tmp_path / "state/examples.sqlite"
    lay_daemon(tmp_path, store)
    write(tmp_path, "proc/812/cmdline", "/usr/sbin/sshd\0")
    assert daemon_process(store, tmp_path) is None
    assert daemon_process(tmp_path / "other.sqlite", tmp_path) is None
    assert process_writes(99, tmp_path) is None


def test_figures_of_this_process_are_readable() -> None:
    assert (peak_memory(os.getpid()) or 0) > 1_000_000
    assert process_writes(os.getpid()) is not None
