from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_daemon.example_store.process_lock import StoreLock


def test_claims_of_one_process_get_along_and_the_second_holds_when_the_first_lets_go(tmp_path: Path) -> None:
    first, second = StoreLock(tmp_path / "s"), StoreLock(tmp_path / "s")
    assert first.take() is None
    assert second.take() is None
    assert (first.held, second.held) == (True, False)
    first.release()
    first.release()
    assert second.take() is None
    assert second.held


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_link_in_the_place_of_the_lock_file_is_not_written_through(tmp_path: Path, make: object) -> None:
    (tmp_path / "passwords").write_text("secret")
    assert callable(make)
    make(tmp_path / "passwords", tmp_path / "s.lock")
    claim = StoreLock(tmp_path / "s")
    assert claim.take() is None
    assert not claim.held
    assert (tmp_path / "passwords").read_text() == "secret"


def test_a_folder_that_is_not_there_is_no_claim_and_no_failure(tmp_path: Path) -> None:
    claim = StoreLock(tmp_path / "nowhere" / "s")
    assert claim.take() is None
    assert not claim.held
