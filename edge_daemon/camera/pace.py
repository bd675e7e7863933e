"""Keeping a frame rate without drifting, and without running after what was missed."""

from __future__ import annotations

from collections.abc import Callable

from edge_daemon.ports import Clock


class Pace:
    """Waits so that calls of `wait` return `fps` times a second; None never waits."""

    def __init__(self, fps: float | None, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._period_s = 1 / fps if fps else 0.0
        self._clock = clock
        self._sleep = sleep
        self._due_s = float("-inf")

    def wait(self) -> None:
        """Sleep until the next frame is due. After a stall the rhythm starts anew."""
        now = self._clock.monotonic()
        if now < self._due_s:
            self._sleep(self._due_s - now)
            self._due_s += self._period_s
        else:
            late = now - self._due_s
            self._due_s = (self._due_s if late < self._period_s else now) + self._period_s
