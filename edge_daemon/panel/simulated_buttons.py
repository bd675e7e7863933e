"""Simulated buttons and LEDs on gpiozero's mock pins, for the demo and the tests."""

from __future__ import annotations

from typing import Any

from edge_daemon.panel.pin_factory import mock_factory


class SimulatedButtons:
    """Presses buttons and reads LEDs on gpiozero's mock pins; pass `factory` to the GpioPins to control.

    `press` and `release` call into the panel's inbox from the calling thread, as a pin library does from its
    own.
    """

    def __init__(self, factory: Any = None) -> None:
        self.factory = mock_factory() if factory is None else factory

    def press(self, pin: int) -> None:
        """Close the switch: it pulls the line away from its resistor."""
        self._drive(pin, closed=True)

    def release(self, pin: int) -> None:
        """Open the switch: the resistor pulls the line back."""
        self._drive(pin, closed=False)

    def is_lit(self, pin: int) -> bool:
        """Return whether the pin drives an LED and the LED is lit."""
        line = self.factory.pin(pin)
        return bool(line.function == "output" and line.state)

    def _drive(self, pin: int, *, closed: bool) -> None:
        line = self.factory.pin(pin)
        if (line.pull == "up") == closed:
            line.drive_low()
        else:
            line.drive_high()
