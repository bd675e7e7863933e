"""Lines that are redrawn in place on a terminal: the progress of long work and of transfers, on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TextIO, TypeVar

_T = TypeVar("_T")
_WIDTH = 30
_EVERY_S = 0.1
_COLUMNS = 80
ERASE = "\r\x1b[K"
"""Control codes that erase the line of the cursor."""


def can_redraw(stream: TextIO) -> bool:
    """Return whether a line can be erased there: on a terminal, except a dumb one."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def redraw(stream: TextIO, line: str) -> None:
    """Replace the last line, cut to the terminal's width: a wrapped one could not be erased."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        columns = 0
    stream.write(f"{ERASE}{_cut(line, (columns or _COLUMNS) - 1)}")
    stream.flush()


def _cut(line: str, columns: int) -> str:
    """Return the beginning that fits into that many columns; letters such as 猫 take two."""
    if line.isascii():
        return line[:columns]
    from unicodedata import east_asian_width  # late: hardly a line needs it

    widths = (2 if east_asian_width(each) in "WF" else 1 for each in line)
    return "".join(each for each, end in zip(line, accumulate(widths), strict=True) if end <= columns)


def erase_line(stream: TextIO) -> None:
    """Erase the last line, if `stream` can."""
    if can_redraw(stream):
        redraw(stream, "")


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of an iteration. Nothing is written if `stream` can't erase a line."""

    what: str
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.monotonic

    def __call__(self, items: Iterable[_T], total: int) -> Iterator[_T]:
        """Yield the items and draw the bar; clear the line at the end."""
        if not can_redraw(self.stream) or total < 1:
            yield from items
            return
        started = self.clock()
        shown = started - _EVERY_S
        try:
            for done, item in enumerate(items):
                now = self.clock()
                if now - shown >= _EVERY_S:
                    shown = now
                    self._draw(done, total, now - started)
                yield item
        finally:
            redraw(self.stream, "")

    def _draw(self, done: int, total: int, elapsed_s: float) -> None:
        filled = min(_WIDTH, _WIDTH * done // total)
        bar = "#" * filled + "." * (_WIDTH - filled)
        left = f", {elapsed_s / done * (total - done):.0f} s left" if done else ""
        redraw(self.stream, f"{self.what} [{bar}] {done}/{total}{left}")


@dataclass(slots=True)
class Steps:
    """Steps of long work that differ in length. Nothing is written if `stream` can't erase a line."""

    what: str
    total: int
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    number: int = 0

    def begin(self, step: str) -> None:
        """Show the next step in place of the last one; `erase_line` removes it."""
        self.number += 1
        if can_redraw(self.stream):
            redraw(self.stream, f"{self.what}: {self.number} of {self.total}, {step}")


def draw_transfer(name: str, done: int, total: int) -> None:
    """Print the progress of a transfer; erase it at the end."""
    if not can_redraw(sys.stderr):
        return
    if done >= total:
        redraw(sys.stderr, "")
    else:
        redraw(sys.stderr, f"{name} {100 * done // total:3d} % of {total / 1e6:.1f} MB")
