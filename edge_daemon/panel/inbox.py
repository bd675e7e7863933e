"""Where other threads leave edges and events for the panel thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from edge_daemon.domain.events import Event
from edge_daemon.domain.interfaces import Clock

MAX_QUEUED = 256

OnEdge: TypeAlias = Callable[[int, bool, float], None]
"""Takes a pin, whether its button is down, and how many seconds ago that became so."""


@dataclass(frozen=True, slots=True)
class RawEdge:
    """The level of a button's pin as it was at `at_s`, monotonic, bouncing and all."""

    pin: int
    pressed: bool
    at_s: float


@dataclass(frozen=True, slots=True)
class PendingItems:
    """What was waiting at `at_s`, in order of arrival; no edge in it is later.

    `lost_edges` says that there were more than fit.
    """

    edges: list[RawEdge]
    events: list[Event]
    lost_edges: bool
    at_s: float


class Inbox:
    """Two bounded queues and one condition: a floating pin's flood of edges pushes no event out.

    Any thread may put; the panel thread alone takes. When full, edges are not taken, since the
    panel then asks the pins how they stand; of events the oldest makes room.
    """

    def __init__(self, clock: Clock, max_queued: int = MAX_QUEUED) -> None:
        self._clock = clock
        self._max_queued = max_queued
        self._changed = threading.Condition()
        self._edges: deque[RawEdge] = deque()
        self._events: deque[Event] = deque(maxlen=max_queued)
        self._lost_edges = False

    def put_edge(self, pin: int, pressed: bool, age_s: float = 0.0) -> None:
        """Leave a level that the line took `age_s` ago."""
        with self._changed:
            if len(self._edges) < self._max_queued:
                self._edges.append(RawEdge(pin, pressed, self._clock.monotonic() - age_s))
            else:
                self._lost_edges = True
            self._changed.notify()

    def put_event(self, event: Event) -> None:
        """Leave an event."""
        with self._changed:
            self._events.append(event)
            self._changed.notify()

    def take(self, timeout_s: float) -> PendingItems:
        """Wait until something is there, at most `timeout_s`, and take it all."""
        with self._changed:
            self._changed.wait_for(lambda: self._edges or self._events, timeout_s)
            now = self._clock.monotonic()
            mail = PendingItems(list(self._edges), list(self._events), self._lost_edges, now)
            self._edges.clear()
            self._events.clear()
            self._lost_edges = False
            return mail
