"""Exponential back-off with jitter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_STABLE_S = 30.0


class Backoff:
    """Pauses between attempts, which double from `first_s` to `max_s` seconds.

    With `random`, up to half of each pause is taken off, so that many devices spread out. An attempt that
    held for less than 30 s counts as failed: a broker that accepts and then disconnects, or a second device
    with the same id, is not tried at full speed.
    """

    def __init__(self, first_s: float = 0.5, max_s: float = 30.0, random: Random | None = None) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._random = random
        self._next_s = first_s

    def next_s(self, held_s: float = 0.0) -> float:
        """Return the pause after an attempt that held for `held_s` seconds, 0 for a failed one."""
        if held_s >= _STABLE_S:
            self.reset()
        pause_s = min(self._next_s, self._max_s)
        self._next_s = min(2 * pause_s, self._max_s)
        return pause_s if self._random is None else pause_s * self._random.uniform(0.5, 1.0)

    def reset(self, first_s: float | None = None) -> None:
        """Start over with the shortest pause, or with `first_s`."""
        self._next_s = self._first_s if first_s is None else first_s
