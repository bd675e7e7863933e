"""Timed ejectors on GPIO: each object is pushed into its bin when it passes the ejector of its label."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from edge_daemon.actuators.device_regions import DeviceRegions
from edge_daemon.domain.errors import PanelError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.topics import Topics
from edge_daemon.panel.pin_factory import (
    choose_factory,
    claiming_pin,
    close_factory,
    explaining_chip,
    output_device,
    servo_device,
)

log = logging.getLogger(__name__)

_TOLERANCE_S = 0.05
"""Longest delay of a pulse's start, and longest lead of the device's clock, in seconds."""

_REMEMBERED_EVENTS = 256

SERVO_TRAVEL_S = 0.5
"""Time for which a servo is driven after its last move, so that it reaches its end before it is released."""


@dataclass(frozen=True, slots=True)
class EjectPulse:
    """An output is on for `hold_s`, from `travel_s` after the capture of the object's frame."""

    travel_s: float
    hold_s: float


@dataclass(frozen=True, slots=True)
class OutputPin:
    """A BCM pin and what is wired to it: a servo, or a relay, valve or magnet (`output`)."""

    pin: int
    kind: Literal["output", "servo"] = "output"


@dataclass(slots=True)
class _Interval:
    label: str
    start_s: float
    end_s: float
    has_begun: bool = False


class EjectSchedule:
    """Times each pulse from the capture of its object, so a slow network shifts none.

    An object that passed its ejector more than 50 ms ago is skipped and counted in `late`: a pulse would
    push another object. A pulse that begins late lasts as long as any other. An event that is delivered
    twice counts once.
    """

    def __init__(self, pulses: Mapping[str, EjectPulse]) -> None:
        self._pulses = dict(pulses)
        self._planned: list[_Interval] = []
        self._event_ids: deque[str] = deque(maxlen=_REMEMBERED_EVENTS)
        self.late = 0

    def plan(self, label: str, event_id: str, age_s: float, now: float) -> bool:
        """Plan the pulse of an object captured `age_s` ago; False if its label has none or it is late."""
        pulse = self._pulses.get(label)
        if pulse is None or event_id in self._event_ids:
            return False
        self._event_ids.append(event_id)
        start_s = now - age_s + pulse.travel_s
        if start_s < now - _TOLERANCE_S:
            self.late += 1
            return False
        start_s = max(start_s, now)
        self._planned.append(_Interval(label, start_s, start_s + pulse.hold_s))
        return True

    def active(self, now: float) -> frozenset[str]:
        """Return the labels whose outputs are on at `now` (monotonic); it is called at each change."""
        for interval in self._planned:
            if interval.end_s <= now and not interval.has_begun:  # this process was stopped for a while
                self.late += 1
                log.warning("%s: not ejected, due %.1f s ago", interval.label, now - interval.start_s)
        self._planned = [interval for interval in self._planned if interval.end_s > now]
        on = [interval for interval in self._planned if interval.start_s <= now]
        for interval in on:
            interval.has_begun = True
        return frozenset(interval.label for interval in on)

    def next_change(self, now: float) -> float | None:
        """Return when `active` changes next; None when nothing is planned."""
        changes = [at for interval in self._planned for at in (interval.start_s, interval.end_s)]
        return min((at for at in changes if at > now), default=None)

    def all_off(self) -> None:
        """Drop every planned pulse."""
        self._planned.clear()


class ObjectReader:
    """Plans a pulse for every `object` event of `region`; None means every region.

    Events carry UTC, so `clock` must agree with the device's: both set by NTP, or the same machine's.
    """

    def __init__(
        self, topics: Topics, schedule: EjectSchedule, clock: Clock, region: str | None = None
    ) -> None:
        self.schedule = schedule
        self._topics = topics
        self._clock = clock
        self._region = region
        self._regions = DeviceRegions(topics, region)
        self._skipping = False

    def forget(self) -> None:
        """Forget nothing: events are no state."""

    def read(self, message: Incoming, now: float) -> None:
        """Apply one message; all but `object` events of the region and `info` are ignored."""
        self._regions.read(message)
        if message.topic != self._topics.event or message.retained:
            return
        try:
            event = json.loads(message.payload)
            if event["event_type"] != "object" or self._region not in (None, event["region"]):
                return
            age_s = _age(event, self._clock.utc()).total_seconds()
            label, event_id = str(event["label"]), str(event["event_id"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as exc:
            log.debug("ignored an event: %r", exc)
            return
        if age_s < -_TOLERANCE_S:
            self._skip(f"{label}: not ejected, the device's clock is {-age_s:.1f} s ahead; set both by NTP")
        else:
            self._plan(label, event_id, age_s, now)

    def _plan(self, label: str, event_id: str, age_s: float, now: float) -> None:
        late = self.schedule.late
        if self.schedule.plan(label, event_id, age_s, now):
            log.info("%s: captured %.0f ms ago", label, age_s * 1000)
            self._skipping = False
        elif self.schedule.late > late:
            self._skip(f"{label}: not ejected, received too late, {age_s:.1f} s after its capture")

    def _skip(self, text: str) -> None:
        """Log the first of several in a row as a warning: many events arrive late after an outage."""
        log.log(logging.DEBUG if self._skipping else logging.WARNING, "%s", text)
        self._skipping = True


def _age(event: dict[str, str], now: datetime) -> timedelta:
    """Return the time since the capture.

    From the capture to the event it is the device's latency, which its monotonic clock measures: the age
    stays right when the device's wall clock is set in between.
    """
    if "latency_ms" in event and "at" in event:
        return now - datetime.fromisoformat(event["at"]) + timedelta(milliseconds=float(event["latency_ms"]))
    return now - datetime.fromisoformat(event["captured_at"])


class GpioOutputs:
    """One output per label; a context manager.

    On is high, or the servo's far end; off is low, or its near end. Leaving gives a servo half a second to
    return, and releases the pins, which become inputs and drive nothing. A killed process leaves its pins
    as they are: give a load that must not stay on a pull-down resistor and a fuse. `factory` is a gpiozero
    pin factory that stays the caller's; None takes the one that buttons use. Raises PanelError for a pin that
    can't be used, and then holds none.
    """

    def __init__(
        self,
        pins: Mapping[str, OutputPin],
        factory: Any = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`now` and `sleep` are a monotonic clock, for tests."""
        self._now = now
        self._sleep = sleep
        self._servo_moved_s = -math.inf
        self._pins = dict(pins)
        self._lent_factory = factory
        self._own_factory: Any = None
        self._devices: dict[str, Any] = {}

    def __enter__(self) -> GpioOutputs:
        factory = self._lent_factory
        if factory is None:
            with explaining_chip("outputs"):
                factory = self._own_factory = choose_factory("outputs")
        try:
            for label, output in self._pins.items():
                claim = servo_device if output.kind == "servo" else output_device
                with claiming_pin(output.pin, f"the output of '{label}'"):
                    self._devices[label] = claim(output.pin, factory)
        except PanelError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._devices:
            self._sleep(max(0.0, self._servo_moved_s + SERVO_TRAVEL_S - self._now()))
        for label, device in self._devices.items():
            try:
                device.close()
            except Exception as exc:  # each pin library raises its own errors when the chip is gone
                log.warning("the output of '%s' can't be released: %s", label, exc)
        self._devices.clear()
        if self._own_factory is not None:
            close_factory(self._own_factory)
            self._own_factory = None

    def switch(self, label: str, on: bool) -> None:
        """Switch one output. Raises PanelError."""
        off = 0
        if self._pins[label].kind == "servo":
            off, self._servo_moved_s = -1, self._now()
        with explaining_chip(f"the output of '{label}'"):
            self._devices[label].value = 1 if on else off
