"""The daemon's loop: the main thread owns the pipeline; workers bring frames, presses and requests."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from edge_daemon.board.power import describe
from edge_daemon.daemon.boot_marks import BootMarks
from edge_daemon.daemon.capture import Capture
from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.domain.events import (
    CameraLost,
    CameraRestored,
    ClockChanged,
    Event,
    ExamplesKept,
    ExamplesNotKept,
    LabelChanged,
    PanelLost,
    PanelRestored,
    PowerLow,
    PowerOk,
    Ready,
)
from edge_daemon.domain.interfaces import Clock, Sink
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.system.worker import Worker

log = logging.getLogger(__name__)

WAKE_S = 0.25
"""The longest the loop sleeps; a signal is noticed within it."""


SYNCED = "the clock is synchronised"
NOT_SYNCED = "the clock is not synchronised: times in messages may be wrong until it is; see `timedatectl`"


def _ignore() -> None:
    return


class Outcome(enum.Enum):
    """Why the loop ended."""

    STOPPED = "stopped"
    RELOAD = "reload"
    SOURCE_ENDED = "source ended"


class Service(Protocol):
    """Something with threads or sockets of its own that starts and stops with the daemon."""

    def start(self) -> None:
        """Begin; must not block on anything outside the machine."""

    def stop(self) -> None:
        """End within two seconds."""


class SinkService(Sink, Service, Protocol):
    """A service that takes the events."""


class Daemon:
    """Runs until stopped, reloaded, crashed or, with `once`, until a finite source ends.

    `run` belongs to the main thread; `stop` and `reload` may be called from a signal handler.
    """

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        capture: Capture,
        mailbox: Mailbox,
        outlets: Sequence[SinkService],
        inputs: Sequence[Service] = (),
        preview: LatestFrame | None = None,
        clock: Clock,
        notifier: Notifier,
        once: bool = False,
        marks: BootMarks | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._capture = capture
        self._mailbox = mailbox
        self._outlets = outlets
        self._inputs = inputs
        self._preview = preview
        self._clock = clock
        self._notifier = notifier
        self._once = once
        self._marks = marks
        self._outcome: Outcome | None = None
        self._progress_s = clock.monotonic()
        self._doing = "starting"
        self._lost: dict[str, str] = {}
        self._not_kept = ""
        self._classified = False
        self._on_classified: Callable[[], None] = _ignore
        self.frame_size: tuple[int, int] | None = None
        """Width and height of the last frame in pixels; any thread may ask."""

    @property
    def sees(self) -> bool:
        """Whether the camera works: a frame came, and it was not lost since."""
        return self._classified and "camera" not in self._lost

    def stop(self) -> None:
        """Ask the loop to end."""
        self._outcome = Outcome.STOPPED

    def reload(self) -> None:
        """Ask the loop to end so that another daemon can take its place."""
        self._outcome = self._outcome or Outcome.RELOAD

    def close(self) -> None:
        """Release what building the daemon took, for one that does not run."""
        self._pipeline.close()

    def run(self, on_classified: Callable[[], None] = _ignore) -> Outcome:
        """Work. Raises what a worker crashed with; everything is stopped and closed either way.

        `on_classified` is called after the first classified frame: model, camera and regions fit together.
        """
        self._on_classified = on_classified
        capture = Worker("capture", self._capture.run, self._mailbox.crashed)
        started: list[Service] = []
        try:
            for part in (*self._outlets, *self._inputs, capture):
                part.start()
                started.append(part)
            return self._loop()
        finally:
            for part in reversed(started):
                part.stop()
            self._pipeline.close()

    def _loop(self) -> Outcome:
        self._publish([self._pipeline.examples(), self._pipeline.settings()])
        while self._outcome is None:
            mail = self._mailbox.take(WAKE_S)
            if mail.crash is not None:
                raise mail.crash
            self._publish(mail.events)
            self._publish(self._pipeline.proceed(mail.frame, mail.instructions))
            if mail.frame is not None:
                height, width = mail.frame.image.shape[:2]
                self.frame_size = width, height
                if self._preview is not None:
                    self._preview.offer(mail.frame)
            self._keep_watch(saw_frame=mail.frame is not None)
            if mail.quit:
                return Outcome.STOPPED
            if mail.ended and self._once:
                return Outcome.SOURCE_ENDED
        return self._outcome

    def _publish(self, happened: Iterable[Event]) -> None:
        for event in happened:
            self._note(event)
            for outlet in self._outlets:
                outlet.handle(event)

    def _note(self, event: Event) -> None:
        """Log what a person would notice and keep the service manager's status line true."""
        match event:
            case Ready():
                self._classified = True
                self._on_classified()
                log.info("ready: the first frame was classified")
                if self._marks is not None:
                    self._marks.note("first_label")
                    self._marks.write()
                self._doing = "seeing"
                self._notifier.ready(self._status)
            case CameraLost(reason):
                self._lose("camera", reason)
                # Ready even so: an unplugged camera is a state, and must not make the start time out.
                self._notifier.ready(self._status)
            case CameraRestored():
                self._doing = "seeing"
                self._regain("camera")
            case PanelLost(reason):
                self._lose("panel", reason)
                self._notifier.status(self._status)
            case PanelRestored(outage_s):
                log.info("panel restored after %.0f s", outage_s)
                self._regain("panel")
            case PowerLow(flags):
                log.warning("power: %s; see docs/board.md", describe(flags))
            case PowerOk(low_s):
                log.info("power: nothing holds the board back any more, after %.0f s", low_s)
            case ClockChanged(synced):
                log.info(SYNCED if synced else NOT_SYNCED)
            case ExamplesNotKept(reason):
                log.warning("%s", reason)
                self._not_kept = reason
                self._notifier.status(self._status)
            case ExamplesKept():
                log.info("what is taught is kept again")
                self._not_kept = ""
                self._notifier.status(self._status)
            case LabelChanged():
                where = "" if event.region == WHOLE_FRAME else f"{event.region}: "
                log.info("%s%s (%.0f %%)", where, event.label, event.confidence * 100)

    @property
    def _status(self) -> str:
        faults = [f"{part} lost: {reason}" for part, reason in self._lost.items()]
        return "; ".join([*faults, *filter(None, [self._not_kept])]) or self._doing

    def _lose(self, part: str, reason: str) -> None:
        log.warning("%s lost: %s", part, reason)
        self._lost[part] = reason

    def _regain(self, part: str) -> None:
        self._lost.pop(part, None)
        self._notifier.status(self._status)

    def _keep_watch(self, *, saw_frame: bool) -> None:
        """Pet the watchdog for progress: a frame was classified, or the camera is known to be lost.

        A capture thread that hangs inside the driver is neither, so the manager restarts us.
        """
        now = self._clock.monotonic()
        if saw_frame or self._capture.waiting:
            self._progress_s = now
        if self._notifier.watchdog_s is not None and now - self._progress_s < self._notifier.watchdog_s / 2:
            self._notifier.pet()
