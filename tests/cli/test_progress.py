"""Progress bar: drawn on a terminal, silent elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from edge_daemon.cli.progress import Progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _seconds(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


def test_terminal_shows_the_progress_and_the_remaining_time() -> None:
    terminal = _Terminal()
    ticks = _seconds(1)
    progress = Progress("embedding", terminal, lambda: next(ticks))
    assert list(progress("abcd", 4)) == ["a", "b", "c", "d"]
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert drawn[1] == f"embedding [{'.' * 30}] 0/4"
    # The clock is 0 at the start and 3 at the third item: 1.5 s per item, two remaining.
    assert drawn[3] == f"embedding [{'#' * 15 + '.' * 15}] 2/4, 3 s left"
    assert drawn[-1] == ""


def test_bar_is_drawn_at_most_ten_times_a_second() -> None:
    terminal = _Terminal()
    ticks = _seconds(0.01)
    list(Progress("embedding", terminal, lambda: next(ticks))(range(100), 100))
    assert terminal.getvalue().count("embedding") <= 11


def test_line_is_cleared_when_the_work_fails() -> None:
    terminal = _Terminal()

    def failing() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Progress("embedding", terminal)(failing(), 2))
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_nothing_is_written_to_a_file_or_pipe() -> None:
    stream = io.StringIO()
    assert list(Progress("embedding", stream)(range(3), 3)) == [0, 1, 2]
    assert stream.getvalue() == ""
