"""A limit on how often something may happen."""

from __future__ import annotations


class RateLimit:
    """A token bucket: at most `burst` at once and `per_s` a second in the long run; 0 is no limit."""

    def __init__(self, per_s: float, burst: float = 1.0) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._last_s: float | None = None

    def allows(self, now_s: float) -> bool:
        """Return whether it may happen at `now_s` (monotonic), and count it if so."""
        if self._per_s == 0:
            return True
        if self._last_s is not None:
            self._tokens = min(self._burst, self._tokens + (now_s - self._last_s) * self._per_s)
        self._last_s = now_s
        # A hair of slack: thirty frames of 33.3 ms make a second but for rounding.
        if self._tokens < 1 - 1e-6:
            return False
        self._tokens -= 1
        return True
