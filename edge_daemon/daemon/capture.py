"""The capture thread: frames from the source into the mailbox, through every outage."""

from __future__ import annotations

import threading

from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.domain.commands import CameraFailed
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import FrameSource
from edge_daemon.system.backoff import Backoff

SLOT_WAIT_S = 0.2


class Capture:
    """Owns the frame source. A lost camera is reported, waited for and reopened without end.

    Without `patient` its loss ends the daemon instead; with `needs_frame` one before the first frame does.
    """

    def __init__(
        self,
        source: FrameSource,
        mailbox: Mailbox,
        backoff: Backoff | None = None,
        *,
        patient: bool = True,
        needs_frame: bool = False,
    ) -> None:
        self._source = source
        self._mailbox = mailbox
        self._backoff = backoff or Backoff()
        self._patient = patient
        self._needs_frame = needs_frame
        self.waiting = False
        """True while the camera is known to be lost and the next try is due."""

    def run(self, stop: threading.Event) -> None:
        """Deliver frames until `stop` is set or the source ends."""
        while not stop.is_set():
            try:
                self._source.open()
                ended = self._deliver(stop)
            except CameraError as exc:
                if not self._patient or self._needs_frame:
                    raise
                self._wait_out(exc, stop)
            else:
                if ended:
                    self._end()
                return
            finally:
                self._source.close()

    def _deliver(self, stop: threading.Event) -> bool:
        """Hand on frames; True at the end of a finite source, False when asked to stop."""
        while not stop.is_set():
            frame = self._source.read()
            if frame is None:
                return True
            self.waiting = self._needs_frame = False
            self._backoff.reset()
            if not self._source.lossless:
                self._mailbox.put_frame(frame)
                continue
            while not stop.is_set() and not self._mailbox.put_frame(frame, wait_s=SLOT_WAIT_S):
                pass
        return False

    def _end(self) -> None:
        """A source that has ended shows nothing more: for a daemon that runs on, an outage for ever."""
        self.waiting = True
        if self._patient:
            self._mailbox.submit(CameraFailed("the source has ended"))
        self._mailbox.end()

    def _wait_out(self, exc: CameraError, stop: threading.Event) -> None:
        self.waiting = True
        self._source.close()
        self._mailbox.submit(CameraFailed(str(exc)))
        stop.wait(self._backoff.next())
