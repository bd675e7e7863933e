"""From a device's messages to switches: whatever happens, nothing stays on."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from edge_daemon.actuators.keys import HeldKeys
from edge_daemon.actuators.sorting import Sorting
from edge_daemon.domain.interfaces import Clock
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.subscriber import ConnectionState, ReconnectingSubscriber
from edge_daemon.mqtt.topics import Topics

log = logging.getLogger(__name__)

TICK_S = 0.2


class Plan(Protocol):
    """What should be on."""

    def active(self, now: float) -> frozenset[str]:
        """Return the names of what is on at `now` (monotonic)."""

    def next_change(self, now: float) -> float | None:
        """Return when that changes next without a message."""

    def abandon(self) -> None:
        """Switch everything off and forget what was planned."""


class Reader(Protocol):
    """Understands a device's messages and keeps a plan."""

    plan: Plan

    def read(self, message: Incoming, now: float) -> None:
        """Take one message at `now` (monotonic)."""


class SortingReader:
    """Plans an ejection for every `object` event of `region`; None takes all regions.

    `clock` must agree with the device's, by NTP or by being the same machine's: events carry UTC.
    """

    def __init__(self, topics: Topics, sorting: Sorting, clock: Clock, region: str | None = None) -> None:
        self.plan: Plan = sorting
        self._topics = topics
        self._sorting = sorting
        self._clock = clock
        self._region = region

    def read(self, message: Incoming, now: float) -> None:
        """Take one message; whatever is no object event of ours is passed over."""
        if message.topic != self._topics.event or message.retained:
            return
        try:
            event = json.loads(message.payload)
            if event["event_type"] != "object" or self._region not in (None, event["region"]):
                return
            age = _age(event, self._clock.utc())
            label, event_id = str(event["label"]), str(event["event_id"])
        except (ValueError, KeyError, TypeError, RecursionError) as exc:
            log.debug("passed over an event: %r", exc)
            return
        late = self._sorting.late
        if self._sorting.take(label, event_id, age.total_seconds(), now):
            log.info("%s: captured %.0f ms ago", label, age.total_seconds() * 1000)
        elif self._sorting.late > late:
            log.warning("%s: heard of too late, %.1f s after its capture", label, age.total_seconds())


class KeyReader:
    """Holds the key of a region's label; its results are the sign of life."""

    def __init__(self, topics: Topics, keys: HeldKeys, region: str) -> None:
        self.plan: Plan = keys
        self._topics = topics
        self._keys = keys
        self._region = region

    def read(self, message: Incoming, now: float) -> None:
        """Take one message; what the broker had stored is no sign of life."""
        if message.topic == self._topics.label(self._region):
            self._keys.show(message.payload.decode("utf-8", "replace"))
        elif message.topic == self._topics.result(self._region) and not message.retained:
            self._keys.hear(now)


class Drive:
    """Follows one device and switches what its plan says. Belongs to one thread.

    When the connection or the device goes, everything is switched off at once and planned anew after.
    """

    def __init__(
        self, topics: Topics, reader: Reader, switch: Callable[[str, bool], None], clock: Clock
    ) -> None:
        self._topics = topics
        self._reader = reader
        self._switch = switch
        self._clock = clock
        self._on: frozenset[str] = frozenset()

    def run(self, follower: ReconnectingSubscriber, stopped: Callable[[], bool]) -> None:
        """Work until `stopped`; nothing is on afterwards, however it ends."""
        try:
            while not stopped():
                self.take(follower.receive(self._wait_s()))
        finally:
            self._reader.plan.abandon()
            self._apply(frozenset())

    def take(self, heard: Incoming | ConnectionState | None) -> None:
        """Take what came, or that nothing did, and switch what is due."""
        now = self._clock.monotonic()
        if isinstance(heard, ConnectionState):
            log.log(logging.INFO if heard.connected else logging.WARNING, "%s", heard.text)
            self._reader.plan.abandon()
        elif heard is not None and heard.topic == self._topics.availability:
            self._notice(heard.payload)
        elif heard is not None:
            self._reader.read(heard, now)
        self._apply(self._reader.plan.active(now))

    def _notice(self, availability: bytes) -> None:
        if availability != b"online":
            log.warning("the device is offline")
            self._reader.plan.abandon()

    def _wait_s(self) -> float:
        now = self._clock.monotonic()
        due_s = self._reader.plan.next_change(now)
        return TICK_S if due_s is None else min(TICK_S, max(0.0, due_s - now))

    def _apply(self, wanted: frozenset[str]) -> None:
        """Switch off before on: two keys or flaps are never on for one object."""
        for name in sorted(self._on - wanted):
            self._switch(name, False)
        for name in sorted(wanted - self._on):
            self._switch(name, True)
        self._on = wanted


def _age(event: dict[str, str], now: datetime) -> timedelta:
    """Return the time since the capture.

    Up to the event it is the device's latency, from its monotonic clock: when its wall clock is set between
    capture and event, the age stays right.
    """
    if "latency_ms" in event and "at" in event:
        return now - datetime.fromisoformat(event["at"]) + timedelta(milliseconds=float(event["latency_ms"]))
    return now - datetime.fromisoformat(event["captured_at"])
