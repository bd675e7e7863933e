"""Status of the daemon: log lines of notable events, and the service manager's status line."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from edge_daemon.board.power import describe
from edge_daemon.daemon.boot_marks import BootMarks
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.domain import events
from edge_daemon.domain.types import region_prefix

log = logging.getLogger(__name__)

SYNCED = "the clock is synchronised"
NOT_SYNCED = "the clock is not synchronised: times in messages may be wrong until it is; see `timedatectl`"


class StatusReporter:
    """A sink that logs the events that users notice and keeps the status line current.

    Belongs to the main thread. Most events, such as the result of a frame, cost one dictionary lookup.
    A camera that is lost for `expected_reason` needs no warning: nobody has given a picture yet.
    """

    def __init__(
        self, notifier: Notifier, marks: BootMarks | None = None, expected_reason: str | None = None
    ) -> None:
        self._notifier = notifier
        self._marks = marks
        self._expected_reason = expected_reason
        self._activity = "starting"
        self._lost: dict[str, str] = {}
        self._not_kept_reason = ""
        self._ready = False
        self._handlers: dict[type[events.Event], Callable[[Any], None]] = {
            events.Ready: self._report_ready,
            events.LabelChanged: _log_label,
            events.CameraLost: self._report_camera_lost,
            events.CameraRestored: self._report_camera_restored,
            events.PanelLost: self._report_panel_lost,
            events.PanelRestored: self._report_panel_restored,
            events.PowerLow: _log_low_power,
            events.PowerOk: _log_good_power,
            events.ClockChanged: _log_clock,
            events.ExamplesNotKept: self._report_not_kept,
            events.ExamplesKept: self._report_kept,
        }

    @property
    def camera_works(self) -> bool:
        """True after the first classified frame, unless the camera has been lost since."""
        return self._ready and "camera" not in self._lost

    def handle(self, event: events.Event) -> None:
        """Log the event and update the status line, if the event is notable."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _report_ready(self, event: events.Ready) -> None:
        self._ready = True
        log.info("ready: the first frame was classified")
        if self._marks is not None:
            self._marks.note("first_label")
            self._marks.write()
        self._activity = "seeing"
        self._notifier.ready(self._status)

    def _report_camera_lost(self, event: events.CameraLost) -> None:
        self._mark_lost("camera", event.reason)
        # Ready nevertheless: an unplugged camera is a state, and must not let the start time out.
        self._notifier.ready(self._status)

    def _report_camera_restored(self, event: events.CameraRestored) -> None:
        self._activity = "seeing"
        self._mark_restored("camera")

    def _report_panel_lost(self, event: events.PanelLost) -> None:
        self._mark_lost("panel", event.reason)
        self._notifier.status(self._status)

    def _report_panel_restored(self, event: events.PanelRestored) -> None:
        log.info("panel restored after %.0f s", event.outage_s)
        self._mark_restored("panel")

    def _report_not_kept(self, event: events.ExamplesNotKept) -> None:
        log.warning("%s", event.reason)
        self._not_kept_reason = event.reason
        self._notifier.status(self._status)

    def _report_kept(self, event: events.ExamplesKept) -> None:
        log.info("examples are kept again")
        self._not_kept_reason = ""
        self._notifier.status(self._status)

    @property
    def _status(self) -> str:
        faults = [f"{part} lost: {reason}" for part, reason in self._lost.items()]
        return "; ".join([*faults, *filter(None, [self._not_kept_reason])]) or self._activity

    def _mark_lost(self, part: str, reason: str) -> None:
        level = logging.INFO if reason == self._expected_reason else logging.WARNING
        log.log(level, "%s lost: %s", part, reason)
        self._lost[part] = reason

    def _mark_restored(self, part: str) -> None:
        self._lost.pop(part, None)
        self._notifier.status(self._status)


def _log_label(event: events.LabelChanged) -> None:
    share = f" ({event.confidence * 100:.0f} %)" if event.confidence else ""
    log.info("%s%s%s", region_prefix(event.region), event.label, share)


def _log_low_power(event: events.PowerLow) -> None:
    log.warning("power: %s; see docs/board.md", describe(event.flags))


def _log_good_power(event: events.PowerOk) -> None:
    log.info("power: the board is no longer throttled, after %.0f s", event.low_s)


def _log_clock(event: events.ClockChanged) -> None:
    log.info(SYNCED if event.synced else NOT_SYNCED)
