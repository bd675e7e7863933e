"""The real panel on gpiozero's mock pins, with a manual clock."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from edge_daemon.config.panel import ButtonOptions, LedOptions, PanelOptions
from edge_daemon.domain.commands import AddExample, Clear, Command, Undo
from edge_daemon.domain.events import Button, CommandReply, Event
from edge_daemon.domain.interfaces import Clock
from edge_daemon.panel.gpio import GpioPins
from edge_daemon.panel.panel import Panel, Pins
from edge_daemon.panel.simulated_buttons import SimulatedButtons
from edge_daemon.system.testing import ManualClock

START = datetime(2025, 1, 1, tzinfo=UTC)
CAT, DOG, UNDO = 17, 27, 22
CAT_LED, DOG_LED, READY, CAPTURED, BUSY, ERROR = 5, 6, 13, 19, 26, 21
BUTTONS = (
    ButtonOptions(pin=CAT, label="cat", led=CAT_LED),
    ButtonOptions(pin=DOG, label="dog", led=DOG_LED, pull="down"),
    ButtonOptions(pin=UNDO, action="undo"),
)
OPTIONS = PanelOptions(
    debounce_ms=20,
    hold_s=0.5,
    burst_per_s=4,
    long_press_s=1.5,
    leds=LedOptions(ready=READY, captured=CAPTURED, busy=BUSY, error=ERROR),
)


class PanelHarness:
    """A panel with simulated buttons; records its commands and events. The test runs it, without a thread."""

    def __init__(
        self, buttons: Sequence[ButtonOptions] = BUTTONS, pins: Pins | None = None, clock: Clock | None = None
    ) -> None:
        self.clock = ManualClock(100.0)
        self.buttons = SimulatedButtons()
        self.submitted = threading.Event()
        self.commands: list[Command] = []
        self.events: list[Event] = []
        self.crashes: list[BaseException] = []
        self.full = False
        self.panel = Panel(
            buttons,
            OPTIONS,
            submit=self._submit,
            emit=self.events.append,
            on_crash=self.crashes.append,
            clock=clock or self.clock,
            pins=pins or GpioPins(self.buttons.factory),
            first_region="frame",
        )

    def wait(self, seconds: float) -> None:
        """Advance the clock, running the panel every millisecond."""
        for _ in range(round(seconds * 1000)):
            self.clock.advance(0.001)
            self.panel.run_once(0)

    def click(self, pin: int, seconds: float = 0.1) -> None:
        """Press and release a button whose contacts bounce for a few milliseconds."""
        self.bounce(pin)
        self.buttons.press(pin)
        self.wait(seconds)
        self.bounce(pin)
        self.buttons.release(pin)
        self.wait(0.1)

    def bounce(self, pin: int) -> None:
        for _ in range(4):
            self.buttons.press(pin)
            self.wait(0.002)
            self.buttons.release(pin)
            self.wait(0.001)

    def reply_to_all(self) -> None:
        """Reply to every command so far that it was executed."""
        for command in self.commands:
            self.panel.handle(CommandReply(command))
        self.wait(0.001)

    def gestures(self) -> list[tuple[str, str]]:
        return [(event.name, event.gesture) for event in self.events if isinstance(event, Button)]

    def taught_labels(self) -> list[str]:
        return [command.label for command in self.commands if isinstance(command, AddExample)]

    def _submit(self, command: Command) -> bool:
        assert isinstance(command, AddExample | Undo | Clear)
        if not self.full:
            self.commands.append(command)
        self.submitted.set()
        return not self.full
