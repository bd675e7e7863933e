"""When a store's journal is folded into its file."""

from __future__ import annotations

REST_S = 30.0
"""Without a change for so long, nobody teaches: the writes of a checkpoint delay no press."""


class Checkpoint:
    """Due once after each spell of changes. `changes` is SQLite's count of them, times are monotonic."""

    def __init__(self) -> None:
        self._seen = self._folded = 0
        self._since_s = 0.0

    def is_due(self, changes: int, now_s: float) -> bool:
        """Return whether to fold now what was changed."""
        if changes != self._seen:
            self._seen, self._since_s = changes, now_s
        if self._seen == self._folded or now_s - self._since_s < REST_S:
            return False
        self._folded = self._seen
        return True
