"""Queues from other threads to the panel thread: edges and events."""

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
"""Callback for an edge: pin, true if its button is down, age of the edge in seconds."""


@dataclass(frozen=True, slots=True)
class RawEdge:
    """The level of a button's pin at `at_s` (monotonic), before debouncing."""

    pin: int
    pressed: bool
    at_s: float


@dataclass(frozen=True, slots=True)
class PendingItems:
    """The contents of the queues at `at_s`, in order of arrival; no edge is later.

    `lost_edges` is true if edges did not fit into their queue.
    """

    edges: list[RawEdge]
    events: list[Event]
    lost_edges: bool
    at_s: float


class Inbox:
    """Two bounded queues and one condition, so that a floating pin's edges displace no event.

    Any thread may put; only the panel thread pops. A full queue of edges drops the new one, and the panel
    then reads the levels of all pins. A full queue of events drops the oldest.
    """

    def __init__(self, clock: Clock, max_queued: int = MAX_QUEUED) -> None:
        self._clock = clock
        self._max_queued = max_queued
        self._changed = threading.Condition()
        self._edges: deque[RawEdge] = deque()
        self._events: deque[Event] = deque(maxlen=max_queued)
        self._lost_edges = False

    def put_edge(self, pin: int, pressed: bool, age_s: float = 0.0) -> None:
        """Add an edge that happened `age_s` ago."""
        with self._changed:
            if len(self._edges) < self._max_queued:
                self._edges.append(RawEdge(pin, pressed, self._clock.monotonic() - age_s))
            else:
                self._lost_edges = True
            self._changed.notify()

    def put_event(self, event: Event) -> None:
        """Add an event."""
        with self._changed:
            self._events.append(event)
            self._changed.notify()

    def pop_pending(self, timeout_s: float) -> PendingItems:
        """Wait for an item, at most `timeout_s`, and return the contents of both queues."""
        with self._changed:
            self._changed.wait_for(lambda: self._edges or self._events, timeout_s)
            now = self._clock.monotonic()
            pending = PendingItems(list(self._edges), list(self._events), self._lost_edges, now)
            self._edges.clear()
            self._events.clear()
            self._lost_edges = False
            return pending
