from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_daemon.example_store.process_lock import StoreLock


def test_locks_of_one_process_share_the_file_and_a_release_frees_it(
    tmp_path: Path,
) -> None:
    first, second = StoreLock(tmp_path / "s"), StoreLock(tmp_path / "s")
    assert first.acquire() is None
    assert second.acquire() is None
    assert (first.held, second.held) == (True, False)
    first.release()
    first.release()
    assert second.acquire() is None
    assert second.held


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_link_in_the_place_of_the_lock_file_is_not_written_through(tmp_path: Path, make: object) -> None:
    (tmp_path / "passwords").write_text("secret")
    assert callable(make)
    make(tmp_path / "passwords", tmp_path / "s.lock")
    lock = StoreLock(tmp_path / "s")
    assert lock.acquire() is None
    assert not lock.held
    assert (tmp_path / "passwords").read_text() == "secret"


def test_a_folder_that_is_not_there_is_neither_a_lock_nor_a_failure(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path / "nowhere" / "s")
    assert lock.acquire() is None
    assert not lock.held
