"""The latest frame, for viewers. Costs the pipeline one reference per frame."""

from __future__ import annotations

import threading

from edge_daemon.domain.types import Frame

STALLED_S = 1.5

MAX_KEPT = 4
"""Number of earlier frames that are kept for those who asked for them; the oldest is dropped."""


class LatestFrame:
    """Holds the latest frame, and earlier ones on request; any thread may ask. Viewers encode them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._interval_s = 0.0
        self._kept: dict[int, tuple[int, Frame | None]] = {}
        """Number of those who asked for a frame, by its `seq`, and the frame once it is set."""

    def keep(self, seq: int) -> None:
        """Keep the frame of this number, which is set later, until `take` or `release` is called as often."""
        with self._changed:
            self._kept[seq] = self._kept.pop(seq, (0, None))[0] + 1, None
            if len(self._kept) > MAX_KEPT:
                del self._kept[next(iter(self._kept))]

    def release(self, seq: int) -> None:
        """Drop a kept frame, if nobody else asked for it."""
        with self._changed:
            self._release(seq)

    def take(self, seq: int, timeout_s: float) -> Frame | None:
        """Return the frame of this number if it is kept, else a later one; None after the timeout."""
        latest = self.wait(seq - 1, timeout_s)
        with self._changed:
            kept = self._kept.get(seq, (0, None))[1]
            self._release(seq)
        return kept or latest

    def _release(self, seq: int) -> None:
        asked, frame = self._kept.pop(seq, (0, None))
        if asked > 1:
            self._kept[seq] = asked - 1, frame

    def set(self, frame: Frame) -> None:
        """Store the frame that was just classified."""
        with self._changed:
            if self._frame is not None:
                self._interval_s = frame.captured_s - self._frame.captured_s
            self._frame = frame
            if frame.seq in self._kept:
                self._kept[frame.seq] = self._kept[frame.seq][0], frame
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
