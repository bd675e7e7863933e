"""The camera's outages: when they begin, why, and how long they last."""

from __future__ import annotations

import logging

from edge_daemon.domain.events import CameraLost, CameraRestored
from edge_daemon.domain.interfaces import Clock

log = logging.getLogger(__name__)


class CameraOutage:
    """State of the camera: it is lost when its thread reports so, or without a frame for some seconds.

    The time of arrival counts, not that of capture: a network camera's picture may be seconds old.

    `began_s` is the monotonic time at which it was lost; None while it works.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_frame_s: float | None = None
        self._reason = ""
        self.began_s: float | None = None

    def record_frame(self) -> CameraRestored | None:
        """Record the arrival of a frame; return the event if it ends an outage."""
        self._last_frame_s = self._clock.monotonic()
        if self.began_s is None:
            return None
        outage_s = self._last_frame_s - self.began_s
        self.began_s = None
        log.info("camera restored after %.1f s", outage_s)
        return CameraRestored(outage_s)

    def stale_reason(self, now: float, lost_after_s: float) -> str:
        """Return the reason for an outage that begins at `now` (monotonic); empty if none begins.

        `lost_after_s` is the time without a frame after which one does.
        """
        if self.began_s is not None or self._last_frame_s is None:
            return ""
        return "" if now - self._last_frame_s <= lost_after_s else f"no frame for {lost_after_s:.0f} s"

    def begin(self, reason: str) -> CameraLost | None:
        """Begin an outage, or change its reason; return the event, None if it is reported already."""
        if self.began_s is not None and reason == self._reason:
            return None
        self._reason = reason
        self.began_s = self._clock.monotonic() if self.began_s is None else self.began_s
        return CameraLost(reason)
