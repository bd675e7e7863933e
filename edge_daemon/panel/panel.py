"""The panel: buttons become commands, events become light. One thread, `panel`, owns it."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_daemon.config.panel import ButtonOptions, PanelOptions
from edge_daemon.domain.commands import AddExample, Command
from edge_daemon.domain.errors import PanelError
from edge_daemon.domain.events import Button, Classified, ConfirmPending, Event, PanelLost, PanelRestored
from edge_daemon.domain.interfaces import Clock
from edge_daemon.panel.gestures import ButtonDecoder, Meaning
from edge_daemon.panel.inbox import MAX_QUEUED, Inbox, OnEdge, PendingItems
from edge_daemon.panel.leds import Leds
from edge_daemon.panel.wiring_check import WiringCheck
from edge_daemon.system.worker import Worker

log = logging.getLogger(__name__)

WAKE_S = 0.25
"""The longest the loop sleeps; a stop, and a chip that is gone, are noticed within it."""

RETRY_S = 1.0
"""How often lost pins are tried again."""


class Pins(Protocol):
    """The wires: inputs that report edges and outputs that light LEDs.

    Whatever raises PanelError after `open` has lost them; `close` and `open` may bring them back.
    """

    def open(
        self, buttons: Sequence[ButtonOptions], leds: Iterable[int], on_edge: OnEdge
    ) -> Mapping[int, bool]:
        """Claim the pins and return which buttons are down.

        From then on `on_edge(pin, pressed, age_s)` comes, from a thread of the library. Raises PanelError.
        """

    def pressed(self, pin: int) -> bool:
        """Whether the button is down right now. Raises PanelError."""

    def light(self, pin: int, on: bool) -> None:
        """Switch an LED. Raises PanelError."""

    def check(self) -> None:
        """Raise PanelError when the pins are lost; no library tells of it unasked."""

    def close(self) -> None:
        """Switch the LEDs off and release the pins; harmless when not open, or lost."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The pins are lost since `since_s` and tried again at `retry_s`, both monotonic seconds."""

    since_s: float
    reason: str
    retry_s: float


class Panel:
    """A service with a thread of its own, and a sink of events.

    `submit` takes a command, False when it can't; `emit` takes the events that presses make. Both
    are called from the panel thread and must not block. `first_region` is what buttons without a
    region teach and show.
    """

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
        self._reader = ButtonDecoder(buttons, options, {}, _new_group)
        self._wiring = WiringCheck(buttons, {}, clock.monotonic())
        self._outage: Outage | None = None
        self._unanswered: deque[Command] = deque(maxlen=MAX_QUEUED)
        self._refusing = False
        self._flooded = False
        self._worker = Worker("panel", self.run, on_crash)

    def start(self) -> None:
        """Open the pins and start the thread. Raises PanelError."""
        self.open()
        self._worker.start()

    def stop(self) -> None:
        """End the thread, switch the LEDs off and release the pins."""
        self._worker.stop()
        self._pins.close()

    def open(self) -> None:
        """Open the pins without a thread, for a caller that drives `run_once`. Raises PanelError."""
        pressed = self._pins.open(self._buttons, self._leds.pins, self._inbox.put_edge)
        for button in self._buttons:
            if pressed[button.pin]:
                log.warning(
                    "button '%s' (BCM %d) is down at the start; check its wiring and `pull: %s`",
                    button.name,
                    button.pin,
                    button.pull,
                )
        self._reader = ButtonDecoder(self._buttons, self._options, pressed, _new_group)
        self._wiring = WiringCheck(self._buttons, pressed, self._clock.monotonic())
        self._lit = frozenset()

    def handle(self, event: Event) -> None:
        """Take an event from any thread; what the panel has made itself it knows already."""
        if not isinstance(event, Classified | Button | ConfirmPending | PanelLost | PanelRestored):
            self._inbox.put_event(event)

    def run(self, stop: threading.Event) -> None:
        """Read presses and drive LEDs until `stop` is set."""
        while not stop.is_set():
            self.run_once(WAKE_S)

    def run_once(self, timeout_s: float) -> None:
        """Wait for an edge, an event or a deadline, at most `timeout_s`, and deal with all that is due."""
        mail = self._inbox.take(self._wait_s(timeout_s))
        for event in mail.events:
            self._take(event, mail.at_s)
        try:
            if self._outage is None:
                self._read(mail)
                self._show(mail.at_s)
                self._pins.check()
            elif mail.at_s >= self._outage.retry_s:
                self.open()
                self._emit(PanelRestored(mail.at_s - self._outage.since_s))
                self._outage = None
        except PanelError as exc:
            self._lose(str(exc), mail.at_s)

    def _lose(self, reason: str, now: float) -> None:
        """Rest until the pins are back: an outage is a state, and frames go on without a finger.

        They are closed at once: until then lgpio's thread reads the chip that is gone without pause,
        and logs it, and the kernel keeps its number, which a chip that comes back has to get.
        """
        self._pins.close()
        if self._outage is None or reason != self._outage.reason:
            self._emit(PanelLost(reason))
        since_s = now if self._outage is None else self._outage.since_s
        self._outage = Outage(since_s, reason, now + RETRY_S)

    def _read(self, mail: PendingItems) -> None:
        now = mail.at_s
        for edge in mail.edges:
            self._wiring.move(edge.pin, edge.pressed)
            self._mean(self._reader.update(edge.pin, edge.pressed, edge.at_s), now)
        if mail.lost_edges:
            self._look_again(now)
        self._flooded = mail.lost_edges
        self._mean(self._reader.advance(now), now)
        for fault in self._wiring.faults(now):
            log.warning("%s", fault)

    def _look_again(self, now: float) -> None:
        """Ask every button how it stands, since its last edge may be among the lost."""
        if not self._flooded:
            log.warning("more edges than can be read; a button's wire is loose or its `pull` is wrong")
        for button in self._buttons:
            self._mean(self._reader.update(button.pin, self._pins.pressed(button.pin), now), now)

    def _wait_s(self, timeout_s: float) -> float:
        if self._outage is not None:
            return timeout_s
        now = self._clock.monotonic()
        deadlines = (self._reader.next_deadline, self._leds.next_deadline(now))
        return min([timeout_s, *(max(0.0, deadline - now) for deadline in deadlines if deadline is not None)])

    def _take(self, event: Event, now: float) -> None:
        command: Command | None = getattr(event, "command", None)
        if command is not None and command in self._unanswered:
            self._unanswered.remove(command)
        self._leds.handle(event, now)

    def _mean(self, meanings: Iterable[Meaning], now: float) -> None:
        for meaning in meanings:
            if isinstance(meaning, Button | ConfirmPending):
                self._leds.handle(meaning, now)
                self._emit(meaning)
            elif not self._runs_ahead(meaning):
                self._send(meaning, now)

    def _runs_ahead(self, command: Command) -> bool:
        """Whether a burst is faster than the camera: two of its examples would show the same frame."""
        if not isinstance(command, AddExample) or not command.group:
            return False
        return any(
            isinstance(other, AddExample) and other.group == command.group for other in self._unanswered
        )

    def _send(self, command: Command, now: float) -> None:
        taken = self._submit(command)
        if taken:
            self._unanswered.append(command)
        else:
            self._leds.refuse(now)
            if not self._refusing:
                log.warning("presses are refused: more commands wait than can be carried out")
        self._refusing = not taken

    def _show(self, now: float) -> None:
        self._leds.busy = bool(self._unanswered)
        lit = self._leds.lit(now)
        for pin in lit ^ self._lit:
            self._pins.light(pin, pin in lit)
        self._lit = lit


def _new_group() -> str:
    return uuid.uuid4().hex
