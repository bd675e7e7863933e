"""Switch outputs by a device's MQTT messages. All outputs are off while the broker or the device is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, TypeAlias

from edge_daemon.domain.interfaces import Clock
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.subscriber import ConnectionState
from edge_daemon.mqtt.topics import Topics

log = logging.getLogger(__name__)

MAX_WAIT_S = 0.2
"""Longest wait for a message, so that a request to stop is noticed soon."""


Receive: TypeAlias = Callable[[float], Incoming | ConnectionState | None]
"""Waits up to the given seconds for a message or a change of the connection."""


class OutputSchedule(Protocol):
    """The outputs that are on, now and next. Times are monotonic seconds."""

    def active(self, now: float) -> frozenset[str]:
        """Return the names of the outputs that are on at `now`."""

    def next_change(self, now: float) -> float | None:
        """Return when `active` changes next without a further message; None if it doesn't."""

    def all_off(self) -> None:
        """Switch every output off and drop what is planned."""


class MessageReader(Protocol):
    """Updates a schedule from a device's messages."""

    @property
    def schedule(self) -> OutputSchedule:
        """The schedule that it updates."""

    def forget(self) -> None:
        """Forget the device's state: the connection changed."""

    def read(self, message: Incoming, now: float) -> None:
        """Apply one message, received at `now` (monotonic)."""


class OutputController:
    """Keeps the outputs as the reader's schedule says. Belongs to one thread.

    `switch` sets one output; `report` is called afterwards with the same arguments. A lost connection and
    an offline device switch everything off at once and drop what was planned.
    """

    def __init__(
        self,
        topics: Topics,
        reader: MessageReader,
        switch: Callable[[str, bool], None],
        clock: Clock,
        report: Callable[[str, bool], None] = lambda name, on: None,
    ) -> None:
        self._topics = topics
        self._reader = reader
        self._switch = switch
        self._clock = clock
        self._report = report
        self._on: frozenset[str] = frozenset()

    def run(self, receive: Receive, is_stopped: Callable[[], bool]) -> None:
        """Process messages until `is_stopped`. All outputs are off afterwards."""
        try:
            while not is_stopped():
                self.process(receive(self._timeout_s()))
        finally:
            self._reader.schedule.all_off()
            self._apply(frozenset())

    def process(self, received: Incoming | ConnectionState | None) -> None:
        """Apply a message or a change of the connection, then switch what is due."""
        now = self._clock.monotonic()
        if isinstance(received, ConnectionState):
            log.log(logging.INFO if received.connected else logging.WARNING, "%s", received.text)
            self._reader.schedule.all_off()
            self._reader.forget()
        elif received is not None and received.topic == self._topics.availability:
            self._apply_availability(received.payload)
        elif received is not None:
            self._reader.read(received, now)
        self._apply(self._reader.schedule.active(now))

    def _apply_availability(self, availability: bytes) -> None:
        if availability != b"online":
            log.warning("the device is offline")
            self._reader.schedule.all_off()

    def _timeout_s(self) -> float:
        now = self._clock.monotonic()
        due_s = self._reader.schedule.next_change(now)
        return MAX_WAIT_S if due_s is None else min(MAX_WAIT_S, max(0.0, due_s - now))

    def _apply(self, wanted: frozenset[str]) -> None:
        """Switch off before on, so that two keys or flaps are never on for one object.

        Reports come last: one that fails, such as to a closed pipe, keeps no output on.
        """
        changes = [(name, False) for name in sorted(self._on - wanted)]
        changes += [(name, True) for name in sorted(wanted - self._on)]
        for name, on in changes:
            self._switch(name, on)
            self._on = self._on | {name} if on else self._on - {name}
        for name, on in changes:
            log.debug("%s %s", name, "on" if on else "off")
            self._report(name, on)
