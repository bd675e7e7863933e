"""Label ages: received labels, without those of the warm-up."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.benchmark.end_to_end import summarize_ages
from edge_daemon.benchmark.listener import ReceivedLabel, read_log
from edge_daemon.benchmark.sources import WARM_UP
from edge_daemon.domain.errors import EdgeError


def test_ages_leave_out_the_warm_up() -> None:
    received = [ReceivedLabel(seq, 50.0, 60.0) for seq in range(WARM_UP)]
    ages = summarize_ages([*received, ReceivedLabel(WARM_UP, 5.0, 6.0)])
    assert (ages.labelled.p99, ages.received.p99, ages.frames) == (5.0, 6.0, 1)


def test_too_few_received_labels_are_an_error() -> None:
    with pytest.raises(EdgeError, match=f"received {WARM_UP} labels.*try again"):
        summarize_ages([ReceivedLabel(seq, 5.0, 6.0) for seq in range(WARM_UP)])


def test_a_record_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("[1, 2.5, 3.5]\n[2, 2.5, 3")
    assert read_log(log) == [ReceivedLabel(1, 2.5, 3.5)]
