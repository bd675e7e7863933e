"""The latest frame, for viewers. Costs the pipeline one reference per frame."""

from __future__ import annotations

import threading

from edge_daemon.domain.types import Frame

STALLED_S = 1.5


class LatestFrame:
    """Holds the latest frame; any thread may wait for a later one. Viewers encode it themselves."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._interval_s = 0.0

    def set(self, frame: Frame) -> None:
        """Store the frame that was just classified."""
        with self._changed:
            if self._frame is not None:
                self._interval_s = frame.captured_s - self._frame.captured_s
            self._frame = frame
            self._changed.notify_all()

    def wait(self, after_seq: int, timeout_s: float) -> Frame | None:
        """Wait for a frame later than `after_seq` and return it; None after the timeout."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None and self._frame.seq > after_seq, timeout_s)
            return self._frame if self._frame is not None and self._frame.seq > after_seq else None

    def is_stalled(self, now_s: float) -> bool:
        """Return whether there is no frame, or none for STALLED_S and three times the last interval.

        `now_s` is the monotonic clock. A camera may give a picture every ten seconds.
        """
        with self._changed:
            if self._frame is None:
                return True
            return now_s - self._frame.captured_s > max(STALLED_S, 3 * self._interval_s)
