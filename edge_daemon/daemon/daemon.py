"""The daemon's main loop: the main thread runs the pipeline; other threads deliver frames and commands."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Protocol

from edge_daemon.daemon.capture import Capture
from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.daemon.standstill import StandstillCheck
from edge_daemon.daemon.status import StatusReporter
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.domain.commands import Command
from edge_daemon.domain.events import ConfigurationChanged, Event, Ready, SettingsChanged
from edge_daemon.domain.interfaces import Clock, Sink
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.system.worker import Worker

WAKE_S = 0.25
"""Longest wait of the loop: a signal takes effect within it."""

FINISH_S = 2.0
"""Longest time for the commands that were accepted before the end of the loop."""

CAPTURE_STOP_S = 5.0
"""Longest time for the capture thread to end: a camera gives a frame at least every four seconds. While it is
read, another daemon can't open it."""

RESTARTING = "the device stops or restarts; send the request again"


def _ignore() -> None:
    return


class Outcome(enum.Enum):
    """Reason for the end of the loop."""

    STOPPED = "stopped"
    RELOAD = "reload"
    SOURCE_ENDED = "source ended"


class Service(Protocol):
    """A part with its own threads or sockets that starts and stops with the daemon."""

    def start(self) -> None:
        """Start; must not wait for anything outside the machine."""

    def stop(self) -> None:
        """Stop within two seconds."""


class SinkService(Sink, Service, Protocol):
    """A service that receives the events."""


class Daemon:
    """Runs until a stop, a reload, a crash or, with `once`, the end of a finite source.

    `run` belongs to the main thread; `stop` and `reload` may be called from a signal handler.
    """

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        capture: Capture,
        mailbox: Mailbox,
        sinks: Sequence[SinkService],
        inputs: Sequence[Service] = (),
        latest_frame: LatestFrame | None = None,
        clock: Clock,
        notifier: Notifier,
        once: bool = False,
        status: StatusReporter,
    ) -> None:
        self._pipeline = pipeline
        self._capture = capture
        self._mailbox = mailbox
        self._sinks = sinks
        self._inputs = inputs
        self._latest_frame = latest_frame
        self._clock = clock
        self._notifier = notifier
        self._once = once
        self._status = status
        self._outcome: Outcome | None = None
        self._progress_s = clock.monotonic()
        self._adjusted = self._carried_out = 0
        """Changed configurations that were taken, and those whose commands were carried out."""
        self._on_classified: Callable[[], None] = _ignore
        self.frame_size: tuple[int, int] | None = None
        """Width and height of the last frame in pixels; any thread may read it."""

    @property
    def camera_works(self) -> bool:
        """True after the first classified frame, unless the camera has been lost since."""
        return self._status.camera_works

    @property
    def settings(self) -> SettingsChanged | None:
        """Trigger and threshold in use, which requests can change; any thread may read them.

        None while a changed configuration, which sets both, is not yet carried out.
        """
        return self._pipeline.settings() if self._carried_out == self._adjusted else None

    def stop(self) -> None:
        """End the loop."""
        self._outcome = Outcome.STOPPED

    def reload(self) -> None:
        """End the loop so that another daemon can replace this one."""
        self._outcome = self._outcome or Outcome.RELOAD

    def responds(self, timeout_s: float) -> bool:
        """Return whether the loop turns within `timeout_s`, or is asked to end; any thread may call it."""
        if self._outcome is None and self._mailbox.wait_taken(timeout_s):
            return True
        return self._outcome is not None

    def adjust(self, commands: Sequence[Command], digest: str) -> bool:
        """Take a changed configuration, `digest`, by these commands, all or none; False if the queue is full.

        Any thread may call it, one at a time.
        """
        if not self._mailbox.submit(*commands):
            return False
        self._adjusted += 1
        self._mailbox.announce(ConfigurationChanged(digest))
        return True

    def close(self) -> None:
        """Release the resources of a daemon that does not run."""
        self._pipeline.close()

    def run(
        self, on_classified: Callable[[], None] = _ignore, on_started: Callable[[], None] = _ignore
    ) -> Outcome:
        """Run the loop; stop and close all parts at its end.

        Raises the exception of a crashed worker, and EdgeError if one hangs.

        `on_classified` is called after the first classified frame, which shows that model, camera and
        regions fit together; `on_started` after all parts have started, the page among them.
        """
        self._on_classified = on_classified
        capture = Worker("capture", self._capture.run, self._mailbox.crashed)
        with ExitStack() as ending:  # a part that fails to stop leaves no other one running
            ending.callback(self._pipeline.close)
            for service in (*self._sinks, *self._inputs):
                service.start()
                ending.callback(service.stop)
            capture.start()
            ending.callback(capture.stop, CAPTURE_STOP_S)
            on_started()
            outcome = self._loop()
            capture.request_stop()
            self._finish()
        return outcome

    def _loop(self) -> Outcome:
        self._publish([self._pipeline.settings()])
        standstill = StandstillCheck((*self._sinks, *self._inputs), self._clock.monotonic())
        while self._outcome is None:
            adjusted = self._adjusted  # their commands are in this batch or were in an earlier one
            batch = self._mailbox.take_all(WAKE_S)
            if batch.crash is not None:
                raise batch.crash
            self._publish(batch.events)
            self._publish(self._pipeline.process(batch.frame, batch.instructions))
            self._carried_out = adjusted
            if batch.frame is not None:
                self.frame_size = batch.frame.size
                if self._latest_frame is not None:
                    self._latest_frame.set(batch.frame)
            standstill.check(self._clock.monotonic())
            self._feed_watchdog(saw_frame=batch.frame is not None)
            if batch.quit:
                return Outcome.STOPPED
            if batch.ended and self._once:
                return Outcome.SOURCE_ENDED
        return self._outcome

    def _finish(self) -> None:
        """Run the commands that were accepted meanwhile, for `FINISH_S`; the others get an error."""
        self._mailbox.close()
        batch = self._mailbox.take_all(0)
        self._publish(batch.events)
        left = deque(batch.instructions)
        end_s = self._clock.monotonic() + FINISH_S
        while left and self._clock.monotonic() < end_s:
            self._publish(self._pipeline.process(None, [left.popleft()]))
        self._publish(self._pipeline.process(batch.frame, ()))
        self._publish(self._pipeline.reject_waiting(left, RESTARTING))

    def _publish(self, happened: Iterable[Event]) -> None:
        for event in happened:
            if isinstance(event, Ready):
                self._on_classified()
            self._status.handle(event)
            for sink in self._sinks:
                sink.handle(event)

    def _feed_watchdog(self, *, saw_frame: bool) -> None:
        """Report progress to the watchdog: a classified frame, or a camera that is known to be lost.

        A capture thread that hangs in the driver makes no progress, so the manager restarts the daemon.
        """
        now = self._clock.monotonic()
        if saw_frame or self._capture.waits_for_camera:
            self._progress_s = now
        if self._notifier.watchdog_s is not None and now - self._progress_s < self._notifier.watchdog_s / 2:
            self._notifier.watchdog()
