"""The pins of a Raspberry Pi through gpiozero, which no other file of the daemon imports."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edge_daemon.errors import PanelError
from edge_daemon.panel.gpio_chip import gpio_trouble, lgpio_home
from edge_daemon.panel.options import ButtonOptions

log = logging.getLogger(__name__)


class GpioPins:
    """Fulfils panel.Pins. `factory` is a gpiozero pin factory; None takes gpiozero's own choice.

    `$GPIOZERO_PIN_FACTORY` steers that choice; lgpio comes first in it.
    """

    def __init__(self, factory: Any = None) -> None:
        self._factory = factory
        self._lines: dict[int, _Line] = {}
        self._leds: dict[int, Any] = {}

    def open(
        self, buttons: Sequence[ButtonOptions], leds: Iterable[int], on_edge: Callable[[int, bool], None]
    ) -> dict[int, bool]:
        """Claim every pin and return which buttons are down. Raises PanelError and then holds none."""
        factory = self._factory if self._factory is not None else _default_factory()
        try:
            for button in buttons:
                with _claiming(button.pin, f"button '{button.name}'"):
                    self._lines[button.pin] = _Line(button, factory, on_edge)
            for pin in sorted(leds):
                with _claiming(pin, "an LED"):
                    self._leds[pin] = _led(pin, factory)
        except PanelError:
            self.close()
            raise
        return {pin: line.pressed for pin, line in self._lines.items()}

    def pressed(self, pin: int) -> bool:
        """Whether the button is down right now."""
        return self._lines[pin].pressed

    def light(self, pin: int, on: bool) -> None:
        """Switch an LED."""
        self._leds[pin].value = on

    def close(self) -> None:
        """Release the pins, which become inputs: LEDs go dark. Harmless when not open."""
        for line in self._lines.values():
            line.close()
        for led in self._leds.values():
            led.close()
        self._lines.clear()
        self._leds.clear()


class _Line:
    """One button's input. gpiozero keeps a weak reference to the callback alone, so this must live."""

    def __init__(self, button: ButtonOptions, factory: Any, on_edge: Callable[[int, bool], None]) -> None:
        from gpiozero import InputDevice

        self._number = button.pin
        self._pull_up = button.pull == "up"
        self._on_edge = on_edge
        self._device: Any = InputDevice(button.pin, pull_up=self._pull_up, pin_factory=factory)
        self._device.pin.when_changed = self._changed

    @property
    def pressed(self) -> bool:
        return bool(self._device.is_active)

    def close(self) -> None:
        self._device.pin.when_changed = None  # lgpio's pin would go on calling after its close
        self._device.close()

    def _changed(self, _ticks: float, state: int) -> None:
        """Runs in the library's thread. Its ticks have no fixed origin, so the taker stamps the time."""
        self._on_edge(self._number, bool(state) != self._pull_up)


def mock_factory() -> Any:
    """Return gpiozero's own double of a Pi's pins: nothing is wired, a program presses."""
    from gpiozero.pins.mock import MockFactory

    return MockFactory()


def _led(pin: int, factory: Any) -> Any:
    from gpiozero import DigitalOutputDevice

    return DigitalOutputDevice(pin, pin_factory=factory)


@contextmanager
def _claiming(pin: int, owner: str) -> Iterator[None]:
    """Name the pin in whatever goes wrong: each pin library behind gpiozero has errors of its own."""
    try:
        yield
    except Exception as exc:
        raise PanelError(f"{owner} can't use BCM {pin}: {exc}") from exc


def _default_factory() -> Any:
    try:
        from gpiozero import Device
    except ImportError as exc:
        raise PanelError("the Python module gpiozero is missing; pip install gpiozero") from exc
    try:
        with lgpio_home(), warnings.catch_warnings(record=True) as fallbacks:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", DeprecationWarning)  # lgpio's bindings on Python 3.13
            Device.ensure_pin_factory()
    except Exception as exc:
        raise PanelError(f"buttons and LEDs can't be used: {gpio_trouble() or exc}") from exc
    for fallback in fallbacks:
        log.warning("%s", str(fallback.message).splitlines()[0])
    return Device.pin_factory
