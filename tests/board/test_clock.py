"""The state of the clock's synchronisation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_daemon.board.clock import boot_id, boot_time, clock_synced, is_trusted, kernel_synced
from tests.board.layout import write


def refuse() -> bool | None:
    raise AssertionError("the kernel was asked")


def test_the_file_of_timesyncd_decides_without_asking_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)

    assert clock_synced(tmp_path, refuse) is False

    write(tmp_path, "run/systemd/timesync/synchronized", "")
    assert clock_synced(tmp_path, refuse) is True


@pytest.mark.parametrize("answer", [True, False, None])
def test_without_timesyncd_the_kernel_answers(tmp_path: Path, answer: bool | None) -> None:
    assert clock_synced(tmp_path, lambda: answer) is answer


def test_the_kernel_of_this_machine_answers_or_refuses() -> None:
    assert kernel_synced() in (True, False, None)


@pytest.mark.parametrize(
    ("synced", "year", "trusted"),
    [(True, 2026, True), (False, 2030, False), (None, 1970, False), (None, 2030, True)],
)
def test_an_unset_clock_is_not_trusted(synced: bool | None, year: int, trusted: bool) -> None:
    assert is_trusted(synced, datetime(year, 7, 1, tzinfo=UTC)) is trusted


def test_the_boot_has_an_id_and_a_time_that_goes_on(tmp_path: Path) -> None:
    write(tmp_path, "proc/sys/kernel/random/boot_id", "0d6e6c4e-1111-4222-8333-944455556666\n")

    assert boot_id(tmp_path) == "0d6e6c4e-1111-4222-8333-944455556666"
    assert boot_id(tmp_path / "none") == ""
    assert 0 < boot_time().seconds <= boot_time().seconds
