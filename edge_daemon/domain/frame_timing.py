"""The time that a camera takes for a frame, measured, and the waits that follow from it."""

from __future__ import annotations

from collections import deque

MAX_PERIOD_S = 5.2
"""Longest period that a wait allows for: a network camera without a picture for 4.5 s counts as lost."""

FRAME_WAIT_S = 5.0
"""Longest wait for a frame of a camera with a frame every two seconds or more often; without one for as long,
such a camera is lost."""

WAIT_PERIODS = 2.5
"""The same in periods of a slower camera: a frame begins up to a period late, and takes as long to arrive."""

MAX_FRAME_WAIT_S = WAIT_PERIODS * MAX_PERIOD_S

_FRAMES = 4


class FrameTiming:
    """Measures the latest frames: the interval between two, and the delay from capture to arrival.

    Times are monotonic. Owned by the pipeline thread.
    """

    def __init__(self) -> None:
        self._captured_s: float | None = None
        self._periods_s: deque[float] = deque(maxlen=_FRAMES)

    def add(self, captured_s: float, now: float) -> None:
        """Measure a frame that arrived at `now`."""
        if self._captured_s is not None:
            self._periods_s.append(max(captured_s - self._captured_s, now - captured_s))
        self._captured_s = captured_s

    @property
    def period_s(self) -> float:
        """Longest interval or delay of the latest frames; MAX_PERIOD_S is its limit and first value."""
        return min(max(self._periods_s, default=MAX_PERIOD_S), MAX_PERIOD_S)

    @property
    def lost_after_s(self) -> float:
        """Time without a frame after which the camera counts as lost; before the second one, FRAME_WAIT_S.

        The shortest period counts: an outage that has just ended makes no slow camera of a fast one.
        """
        period_s = min(self._periods_s, default=0.0)
        return max(FRAME_WAIT_S, WAIT_PERIODS * min(period_s, MAX_PERIOD_S))

    @property
    def frame_wait_s(self) -> float:
        """Longest time from a press to the arrival of the first frame captured after it."""
        return max(FRAME_WAIT_S, WAIT_PERIODS * self.period_s)
