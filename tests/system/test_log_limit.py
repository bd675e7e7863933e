"""The limit of log records per line of code."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from edge_daemon.system.log_limit import MAX_LINES, PERIOD_S, LogLimit
from edge_daemon.system.testing import ManualClock

log = logging.getLogger("tests.system.test_log_limit")


class Journal:
    """A handler with the limit, and its lines."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._text = io.StringIO()
        self.handler = logging.StreamHandler(self._text)
        self.handler.addFilter(LogLimit(self.clock.monotonic))

    @property
    def lines(self) -> list[str]:
        return self._text.getvalue().splitlines()


@pytest.fixture
def journal() -> Iterator[Journal]:
    made = Journal()
    log.addHandler(made.handler)
    log.setLevel(logging.DEBUG)
    yield made
    log.removeHandler(made.handler)
    log.setLevel(logging.NOTSET)


def test_a_slow_stream_of_records_is_logged_whole(journal: Journal) -> None:
    for number in range(500):
        log.info("label %d", number)
        journal.clock.advance(2 * PERIOD_S / MAX_LINES)
    assert journal.lines == [f"label {number}" for number in range(500)]


def test_a_line_with_every_frame_is_counted_instead(journal: Journal) -> None:
    for frame in range(901):
        journal.clock.advance(PERIOD_S if frame == 900 else 0.0)
        log.info("label %d", frame)
    assert len(journal.lines) == MAX_LINES + 1
    assert journal.lines[-2].endswith("(further lines like this are left out for a minute)")
    assert journal.lines[-1] == f"label 900 ({900 - MAX_LINES} lines like this were left out)"


def test_another_line_is_not_held_back(journal: Journal) -> None:
    for _ in range(200):
        log.info("often")
    log.warning("rare")
    assert journal.lines[-1] == "rare"


def test_debugging_is_not_limited(journal: Journal) -> None:
    for _ in range(200):
        log.debug("a frame")
    assert len(journal.lines) == 200
