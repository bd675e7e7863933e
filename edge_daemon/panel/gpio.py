"""The panel's pins: buttons as inputs that report edges, LEDs as outputs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from edge_daemon.config.panel import ButtonOptions
from edge_daemon.domain.errors import PanelError
from edge_daemon.panel.pin_factory import (
    choose_factory,
    claiming_pin,
    close_factory,
    explaining_chip,
    input_device,
    output_device,
)

if TYPE_CHECKING:
    from edge_daemon.panel.panel import OnEdge

log = logging.getLogger(__name__)

MAX_EDGE_AGE_S = 5.0
"""A greater age is ignored: before Linux 5.7 an edge has the time of day, not the monotonic time."""


class GpioPins:
    """Implementation of panel.Pins. `factory` is a gpiozero pin factory, which its caller closes.

    None selects gpiozero's default: `$GPIOZERO_PIN_FACTORY`, else lgpio first. That factory is closed with
    the pins, so that each `open` looks for the chip again.
    """

    def __init__(self, factory: Any = None) -> None:
        self._given = factory
        self._own: Any = None
        self._make: Callable[[], Any] = choose_factory
        self._lines: dict[int, _Line] = {}
        self._leds: dict[int, Any] = {}

    def open(self, buttons: Sequence[ButtonOptions], leds: Iterable[int], on_edge: OnEdge) -> dict[int, bool]:
        """Claim every pin and return which buttons are down. Raises PanelError, with no pin claimed."""
        factory = self._given if self._given is not None else self._make_factory()
        try:
            for button in buttons:
                with claiming_pin(button.pin, f"button '{button.name}'"):
                    self._lines[button.pin] = _Line(button, factory, on_edge)
            for pin in sorted(leds):
                with claiming_pin(pin, "an LED"):
                    self._leds[pin] = output_device(pin, factory)
        except PanelError:
            self.close()
            raise
        return {pin: self.pressed(pin) for pin in self._lines}

    def pressed(self, pin: int) -> bool:
        """Return whether the button is down now. Raises PanelError."""
        with explaining_chip():
            return self._lines[pin].is_active

    def light(self, pin: int, on: bool) -> None:
        """Switch an LED. Raises PanelError."""
        with explaining_chip():
            self._leds[pin].value = on

    def health_check(self) -> None:
        """Read one line, which takes microseconds. Raises PanelError if its chip is gone."""
        with explaining_chip():
            for device in (*self._lines.values(), *self._leds.values()):
                _ = device.is_active
                return

    def close(self) -> None:
        """Release the pins; they become inputs, so LEDs go off. Harmless if closed or without a chip."""
        for pin, device in (self._lines | self._leds).items():
            try:
                device.close()
            except Exception as exc:  # each pin library raises its own errors when the chip is gone
                log.debug("BCM %d can't be released: %s", pin, exc)
        if self._own is not None:
            close_factory(self._own)
            self._own = None
        self._lines.clear()
        self._leds.clear()

    def _make_factory(self) -> Any:
        with explaining_chip():
            self._own = self._make()
        # Choosing again could fall back to another library, while udev has not set the chip's mode yet.
        self._make = type(self._own)
        return self._own


class _Line:
    """One button's input. gpiozero keeps only a weak reference to the callback, so this object is kept."""

    def __init__(self, button: ButtonOptions, factory: Any, on_edge: OnEdge) -> None:
        self._number = button.pin
        self._pull_up = button.pull == "up"
        self._on_edge = on_edge
        self._device: Any = input_device(button.pin, factory, pull_up=self._pull_up)
        self._device.pin.when_changed = self._changed

    @property
    def is_active(self) -> bool:
        return bool(self._device.is_active)

    def close(self) -> None:
        try:
            self._device.pin.when_changed = None  # lgpio's pin calls it even after its close
        finally:
            self._device.close()

    def _changed(self, ticks: float, state: int) -> None:
        """Runs in the library's thread, which is late on a busy machine; the ticks give the delay."""
        factory = self._device.pin_factory
        age_s = factory.ticks_diff(factory.ticks(), ticks)
        down = bool(state) != self._pull_up
        self._on_edge(self._number, down, age_s if 0 <= age_s <= MAX_EDGE_AGE_S else 0.0)
