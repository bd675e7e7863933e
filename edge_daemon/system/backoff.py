"""How long to wait before trying again."""

from __future__ import annotations


class Backoff:
    """Doubling waits from `first_s` to `most_s`; `reset` after a success."""

    def __init__(self, first_s: float = 0.5, most_s: float = 30.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def next(self) -> float:
        """Return the wait before the next try, in seconds."""
        wait_s = self._next_s
        self._next_s = min(self._next_s * 2, self._most_s)
        return wait_s

    def reset(self) -> None:
        """Start from the shortest wait again."""
        self._next_s = self._first_s
