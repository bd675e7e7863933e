"""The capture thread: moves frames from the source to the mailbox, and reconnects a lost camera."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.domain.commands import CameraFailed
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import FrameSource
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.printable import printable

SLOT_WAIT_S = 0.2

STABLE_S = 3.0
"""Time with frames after which a camera works again: the next outage begins with the shortest pause."""

MAX_ATTEMPT_S = 60.0
"""Longest time to close a lost camera, open it again and get a frame; after it, the driver hangs."""


class Capture:
    """Owns the frame source. A lost camera is reported and reopened with back-off until it works again.

    Without `reconnect`, a lost camera ends the daemon. With `needs_frame`, one that is lost before its first
    frame does. `now` is the monotonic clock.
    """

    def __init__(
        self,
        source: FrameSource,
        mailbox: Mailbox,
        backoff: Backoff | None = None,
        *,
        reconnect: bool = True,
        needs_frame: bool = False,
        end_reason: str = "the source has ended",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._mailbox = mailbox
        self._backoff = backoff or Backoff()
        self._reconnect = reconnect
        self._needs_frame = needs_frame
        self._end_reason = end_reason
        self._now = now
        self._is_lost = False
        self._attempt_s = math.inf
        """Start of the attempt to reopen the camera; infinite in the pause before it and after the end."""

    @property
    def waits_for_camera(self) -> bool:
        """True while the camera is known to be lost, unless an attempt to reopen it hangs."""
        return self._is_lost and self._now() - self._attempt_s < MAX_ATTEMPT_S

    def run(self, stop: threading.Event) -> None:
        """Deliver frames until `stop` is set or the source ends."""
        while not stop.is_set():
            self._attempt_s = self._now()
            try:
                self._source.open()
                ended = self._deliver(stop)
            except CameraError as exc:
                if not self._reconnect or self._needs_frame:
                    raise
                self._wait_before_retry(exc, stop)
            else:
                if ended:
                    self._end(stop)
                return
            finally:
                self._source.close()

    def _deliver(self, stop: threading.Event) -> bool:
        """Put frames into the mailbox; return True at the end of a finite source, False after a stop."""
        stable_s = math.inf
        while not stop.is_set():
            frame = self._source.read()
            if frame is None:
                return True
            self._is_lost = self._needs_frame = False
            stable_s = min(stable_s, frame.captured_s + STABLE_S)
            if frame.captured_s >= stable_s:
                self._backoff.reset()
            if not self._source.lossless:
                self._mailbox.put_frame(frame)
                continue
            while not stop.is_set() and not self._mailbox.put_frame(frame, wait_s=SLOT_WAIT_S):
                pass
        return False

    def _end(self, stop: threading.Event) -> None:
        """Report the end of a finite source: a daemon that runs on counts its camera as lost."""
        self._is_lost, self._attempt_s = True, math.inf
        if self._reconnect:
            self._report_lost(self._end_reason, stop)
        self._mailbox.end()

    def _wait_before_retry(self, exc: CameraError, stop: threading.Event) -> None:
        if not self._is_lost:
            self._is_lost, self._attempt_s = True, self._now()
        self._source.close()
        self._attempt_s = math.inf
        self._report_lost(printable(str(exc)), stop)  # it may have the name of a file in any bytes
        stop.wait(self._backoff.next_s())

    def _report_lost(self, reason: str, stop: threading.Event) -> None:
        """Report an outage once the last frame is taken: a frame after the report would end the outage."""
        while not stop.is_set() and not self._mailbox.wait_empty_slot(SLOT_WAIT_S):
            pass
        while not stop.is_set() and not self._mailbox.submit(CameraFailed(reason)):
            stop.wait(SLOT_WAIT_S)
