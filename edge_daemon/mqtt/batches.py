"""How often events that wait for the broker are written to disk: each write wears a card."""

from __future__ import annotations

FIRST_S = 1.0
LONGEST_S = 30.0
"""The most of an outage that a power cut can take away."""


class Batches:
    """The pace of the writes in one outage: the longer it lasts, the more events each write holds.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._pause_s = FIRST_S
        self._next_s = float("-inf")

    def due(self, now_s: float) -> bool:
        """Whether it is time to write."""
        return now_s >= self._next_s

    def written(self, now_s: float) -> None:
        """Note a write."""
        self._next_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_S)
