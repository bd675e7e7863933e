"""The panel thread, its inbox and its pins: buttons become commands, and events become LED patterns."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from edge_daemon.config.panel import ButtonOptions, PanelOptions
from edge_daemon.domain.commands import AddExample, Command
from edge_daemon.domain.errors import PanelError
from edge_daemon.domain.events import (
    Button,
    Classified,
    CommandReply,
    ConfirmPending,
    Event,
    PanelLost,
    PanelRestored,
)
from edge_daemon.domain.interfaces import Clock
from edge_daemon.panel.gestures import ButtonDecoder, GestureResult
from edge_daemon.panel.leds import Leds
from edge_daemon.panel.wiring_check import WiringCheck
from edge_daemon.system.worker import Worker

log = logging.getLogger(__name__)

WAKE_S = 0.25
"""Longest sleep of the loop: a stop or a lost chip is noticed within it."""

RETRY_S = 1.0
"""Time between two attempts to open lost pins."""

MAX_QUEUED = 256

OnEdge: TypeAlias = Callable[[int, bool, float], None]
"""Callback for an edge: pin, true if its button is down, age of the edge in seconds."""


class Pins(Protocol):
    """GPIO lines: inputs that report edges, and outputs that drive LEDs.

    A PanelError of any method after `open` means that the pins are lost; `close` and `open` may restore them.
    """

    def open(
        self, buttons: Sequence[ButtonOptions], leds: Iterable[int], on_edge: OnEdge
    ) -> Mapping[int, bool]:
        """Claim the pins and return which buttons are down. Raises PanelError.

        From then on a thread of the pin library calls `on_edge(pin, pressed, age_s)`.
        """

    def pressed(self, pin: int) -> bool:
        """Return whether the button is down now. Raises PanelError."""

    def light(self, pin: int, on: bool) -> None:
        """Switch an LED. Raises PanelError."""

    def health_check(self) -> None:
        """Raise PanelError if the pins are lost; no pin library reports that by itself."""

    def close(self) -> None:
        """Switch the LEDs off and release the pins; harmless if they are closed or lost."""


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


@dataclass(frozen=True, slots=True)
class Outage:
    """The pins are lost since `since_s` and opened again at `retry_s`, both monotonic seconds."""

    since_s: float
    reason: str
    retry_s: float


class Panel:
    """A service with its own thread, and a sink of events.

    `submit` accepts a command and returns False when the queue is full; `emit` accepts the events of button
    presses. Both are called from the panel thread and must not block. `first_region` is the region of buttons
    without one.
    """

    name = "panel"

    def __init__(
        self,
        buttons: Sequence[ButtonOptions],
        options: PanelOptions,
        *,
        submit: Callable[[Command], bool],
        emit: Callable[[Event], None],
        on_crash: Callable[[BaseException], None],
        clock: Clock,
        pins: Pins,
        first_region: str,
    ) -> None:
        self._buttons = buttons
        self._options = options
        self._submit = submit
        self._emit = emit
        self._clock = clock
        self._pins = pins
        self._inbox = Inbox(clock)
        self._leds = Leds(buttons, options.leds, first_region)
        self._lit: frozenset[int] = frozenset()
        self._decoder = ButtonDecoder(buttons, options, {}, _new_group)
        self._wiring = WiringCheck(buttons, {}, clock.monotonic())
        self._outage: Outage | None = None
        self._pending_commands: deque[Command] = deque(maxlen=MAX_QUEUED)
        self._queue_full = False
        self._edges_lost = False
        self._worker = Worker(self.name, self.run, on_crash)
        self.turns = 0
        """Turns of the loop; that they go on shows that the pin library does not hang."""

    def start(self) -> None:
        """Open the pins and start the thread. Raises PanelError."""
        self.open()
        self._worker.start()

    def stop(self) -> None:
        """End the thread, switch the LEDs off and release the pins, unless the thread hangs among them.

        A thread that only was late releases them at its end.
        """
        self._worker.stop()
        if not self._worker.runs:
            self._pins.close()

    def open(self) -> None:
        """Open the pins without a thread, for a caller of `run_once`. Raises PanelError."""
        pressed = self._pins.open(self._buttons, self._leds.pins, self._inbox.put_edge)
        for button in self._buttons:
            if pressed[button.pin]:
                log.warning(
                    "button '%s' (BCM %d) is down at the start; check its wiring and `pull: %s`",
                    button.name,
                    button.pin,
                    button.pull,
                )
        self._decoder = ButtonDecoder(self._buttons, self._options, pressed, _new_group)
        self._wiring = WiringCheck(self._buttons, pressed, self._clock.monotonic())
        self._lit = frozenset()

    def handle(self, event: Event) -> None:
        """Queue an event, from any thread. The panel's own events are ignored."""
        if not isinstance(event, Classified | Button | ConfirmPending | PanelLost | PanelRestored):
            self._inbox.put_event(event)

    def run(self, stop: threading.Event) -> None:
        """Process edges and events until `stop` is set."""
        try:
            while not stop.is_set():
                self.run_once(WAKE_S)
                self.turns += 1
        finally:
            self._pins.close()

    def run_once(self, timeout_s: float) -> None:
        """Wait for an edge, an event or a deadline, at most `timeout_s`, and process everything pending."""
        pending = self._inbox.pop_pending(self._wait_s(timeout_s))
        for event in pending.events:
            self._apply(event, pending.at_s)
        try:
            if self._outage is None:
                self._process_edges(pending)
                self._update_leds(pending.at_s)
                self._pins.health_check()
            elif pending.at_s >= self._outage.retry_s:
                self.open()
                self._emit(PanelRestored(pending.at_s - self._outage.since_s))
                self._outage = None
        except PanelError as exc:
            self._enter_outage(str(exc), pending.at_s)

    def _enter_outage(self, reason: str, now: float) -> None:
        """Close the pins and schedule a retry; the pipeline goes on without buttons.

        They are closed at once: until then lgpio's thread reads the lost chip in a busy loop and logs each
        failure. The kernel also keeps the chip's number in use, and a chip that returns needs that number.
        """
        self._pins.close()
        if self._outage is None or reason != self._outage.reason:
            self._emit(PanelLost(reason))
        since_s = now if self._outage is None else self._outage.since_s
        self._outage = Outage(since_s, reason, now + RETRY_S)

    def _process_edges(self, pending: PendingItems) -> None:
        now = pending.at_s
        for edge in pending.edges:
            self._wiring.record_movement(edge.pin)
            self._dispatch(self._decoder.update(edge.pin, edge.pressed, edge.at_s), now)
        if pending.lost_edges:
            self._resync_levels(now)
        self._edges_lost = pending.lost_edges
        self._dispatch(self._decoder.advance(now), now)
        for fault in self._wiring.faults(now):
            log.warning("%s", fault)

    def _resync_levels(self, now: float) -> None:
        """Read the level of every button, since its last edge may be among the lost ones."""
        if not self._edges_lost:
            log.warning("more edges than can be read; a button's wire is loose or its `pull` is wrong")
        for button in self._buttons:
            self._dispatch(self._decoder.update(button.pin, self._pins.pressed(button.pin), now), now)

    def _wait_s(self, timeout_s: float) -> float:
        if self._outage is not None:
            return timeout_s
        now = self._clock.monotonic()
        deadlines = (self._decoder.next_deadline, self._leds.next_deadline(now))
        return min([timeout_s, *(max(0.0, deadline - now) for deadline in deadlines if deadline is not None)])

    def _apply(self, event: Event, now: float) -> None:
        if isinstance(event, CommandReply) and event.command in self._pending_commands:
            self._pending_commands.remove(event.command)
        self._leds.handle(event, now)

    def _dispatch(self, results: Iterable[GestureResult], now: float) -> None:
        for result in results:
            if isinstance(result, Button) and result.gesture in ("press", "chord"):
                self._wiring.count_press()
            if isinstance(result, Button | ConfirmPending):
                self._leds.handle(result, now)
                self._emit(result)
            elif not self._burst_pending(result):
                self._send(result, now)

    def _burst_pending(self, command: Command) -> bool:
        """Return whether an example of the burst is pending: both would show the same frame."""
        if not isinstance(command, AddExample) or not command.group:
            return False
        return any(
            isinstance(other, AddExample) and other.group == command.group for other in self._pending_commands
        )

    def _send(self, command: Command, now: float) -> None:
        accepted = self._submit(command)
        if accepted:
            self._pending_commands.append(command)
        else:
            self._leds.show_error(now)
            if not self._queue_full:
                log.warning("presses are refused: more commands wait than can be carried out")
        self._queue_full = not accepted

    def _update_leds(self, now: float) -> None:
        self._leds.busy = bool(self._pending_commands)
        lit = self._leds.lit(now)
        for pin in lit ^ self._lit:
            self._pins.light(pin, pin in lit)
        self._lit = lit


def _new_group() -> str:
    return uuid.uuid4().hex
