"""Progress on stderr of long work and of transfers, shown only on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TextIO, TypeVar

_T = TypeVar("_T")
_WIDTH = 30
_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of an iteration. Nothing is written if `stream` is not a terminal."""

    what: str
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Callable[[], float] = time.monotonic

    def __call__(self, items: Iterable[_T], total: int) -> Iterator[_T]:
        """Yield the items and draw the bar; clear the line at the end."""
        if not self.stream.isatty() or total < 1:
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
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def _draw(self, done: int, total: int, elapsed_s: float) -> None:
        filled = min(_WIDTH, _WIDTH * done // total)
        bar = "#" * filled + "." * (_WIDTH - filled)
        left = f", {elapsed_s / done * (total - done):.0f} s left" if done else ""
        self.stream.write(f"\r\x1b[K{self.what} [{bar}] {done}/{total}{left}")
        self.stream.flush()


def draw_transfer(name: str, done: int, total: int) -> None:
    """Print the progress of a transfer; erase it at the end."""
    if sys.stderr.isatty():
        line = "" if done >= total else f"{name} {100 * done // total:3d} % of {total / 1e6:.1f} MB"
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
