"""A token bucket."""

from __future__ import annotations


class RateLimit:
    """Allows `burst` events at once and `per_s` per second in the long run; `per_s` 0 is no limit."""

    def __init__(self, per_s: float, burst: float = 1.0) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._last_s: float | None = None

    def allows(self, now_s: float) -> bool:
        """Return whether an event may happen at `now_s` (monotonic), and count it if so."""
        if self._per_s == 0:
            return True
        if self._last_s is not None:
            self._tokens = min(self._burst, self._tokens + (now_s - self._last_s) * self._per_s)
        self._last_s = now_s
        # Slack for rounding: thirty frames of 33.3 ms are one second.
        if self._tokens < 1 - 1e-6:
            return False
        self._tokens -= 1
        return True
