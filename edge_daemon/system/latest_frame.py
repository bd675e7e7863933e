"""The latest frame for whoever watches. Costs the pipeline one reference a frame."""

from __future__ import annotations

import threading

from edge_daemon.domain.types import Frame


class LatestFrame:
    """Holds the latest frame; any thread may wait for a later one. Encoding is the watcher's work."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None

    def offer(self, frame: Frame) -> None:
        """Take the frame that was just classified."""
        with self._changed:
            self._frame = frame
            self._changed.notify_all()

    def wait(self, after_seq: int, timeout_s: float) -> Frame | None:
        """Return a frame later than `after_seq`, waiting for it; None when none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None and self._frame.seq > after_seq, timeout_s)
            return self._frame if self._frame is not None and self._frame.seq > after_seq else None
