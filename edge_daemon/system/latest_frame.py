"""The latest frame, for viewers. Costs the pipeline one reference per frame."""

from __future__ import annotations

import threading

from edge_daemon.domain.types import Frame


class LatestFrame:
    """Holds the latest frame; any thread may wait for a later one. Viewers encode it themselves."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None

    def set(self, frame: Frame) -> None:
        """Store the frame that was just classified."""
        with self._changed:
            self._frame = frame
            self._changed.notify_all()

    def wait(self, after_seq: int, timeout_s: float) -> Frame | None:
        """Wait for a frame later than `after_seq` and return it; None after the timeout."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None and self._frame.seq > after_seq, timeout_s)
            return self._frame if self._frame is not None and self._frame.seq > after_seq else None
