"""GPIO pins of a Raspberry Pi through gpiozero. No other file of the daemon imports gpiozero."""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_daemon.board.gpio import header_chip
from edge_daemon.config.panel import ButtonOptions
from edge_daemon.domain.errors import PanelError
from edge_daemon.panel.inbox import OnEdge
from edge_daemon.system.file_owner import user_name

log = logging.getLogger(__name__)

_PANEL = "buttons and LEDs"

MAX_EDGE_AGE_S = 5.0
"""A greater age is ignored: before Linux 5.7 an edge has the time of day, not the monotonic time."""


def gpio_fault(dev: Path = Path("/dev")) -> str | None:
    """Return why the GPIO lines can't be used, with a remedy, in one line; None if no fault is found."""
    header = header_chip(dev.parent)
    chips = sorted(dev.glob("gpiochip*")) if header is None else [dev / header.name]
    if not chips:
        return (
            f"there is no GPIO chip ({dev}/gpiochip*); on a Raspberry Pi look into `dmesg`, "
            "elsewhere set GPIOZERO_PIN_FACTORY=mock to run without pins"
        )
    if not any(os.access(chip, os.R_OK | os.W_OK) for chip in chips):
        user = user_name()
        return (
            f"{user} may not open {chips[0]}; run `sudo usermod -aG gpio {user}` and log in again, "
            "or give the service SupplementaryGroups=gpio"
        )
    if importlib.util.find_spec("lgpio") is None:
        return (
            "the Python module lgpio is missing; run `sudo apt install python3-lgpio`, or pip install lgpio"
        )
    return None


def uses_lgpio() -> bool:
    """Return whether $GPIOZERO_PIN_FACTORY selects no other pin library, such as gpiozero's mock."""
    return os.environ.get("GPIOZERO_PIN_FACTORY", "lgpio").lower() == "lgpio"


@contextmanager
def lgpio_home() -> Iterator[None]:
    """Import lgpio in a temporary directory, and restore the working directory.

    On import lgpio makes a FIFO in `$LG_WD`, or else in the working directory, opens both ends, and changes
    into `$LG_WD`. Two processes in one directory would read each other's edges. The FIFO is never opened by
    name again, so it is removed with the directory.
    """
    parent = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or None
    directory, lg_wd = os.getcwd(), os.environ.get("LG_WD")
    with tempfile.TemporaryDirectory(prefix="lgpio-", dir=parent) as home:
        os.environ["LG_WD"] = home
        try:
            yield
        finally:
            os.chdir(directory)
            if lg_wd is None:
                del os.environ["LG_WD"]
            else:
                os.environ["LG_WD"] = lg_wd


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
        from gpiozero import InputDevice

        self._number = button.pin
        self._pull_up = button.pull == "up"
        self._on_edge = on_edge
        self._device: Any = InputDevice(button.pin, pull_up=self._pull_up, pin_factory=factory)
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


def mock_factory() -> Any:
    """Return gpiozero's mock pins, for SimulatedButtons."""
    from gpiozero.pins.mock import MockFactory

    return MockFactory()


def output_device(pin: int, factory: Any) -> Any:
    """Claim a pin as an output that is low, such as an LED or a relay."""
    from gpiozero import DigitalOutputDevice

    return DigitalOutputDevice(pin, pin_factory=factory)


def servo_device(pin: int, factory: Any) -> Any:
    """Claim a pin for a servo, which goes to its near end."""
    from gpiozero import Servo

    return Servo(pin, initial_value=-1, pin_factory=factory)


@contextmanager
def claiming_pin(pin: int, owner: str) -> Iterator[None]:
    """Turn any error into a PanelError with the pin's name: each pin library raises its own errors."""
    try:
        yield
    except Exception as exc:
        raise PanelError(f"{owner} can't use BCM {pin}: {exc}") from exc


@contextmanager
def explaining_chip(user: str = _PANEL) -> Iterator[None]:
    """Turn any error into a PanelError with the likely fault of the chip."""
    try:
        yield
    except PanelError:
        raise
    except Exception as exc:
        raise PanelError(f"{user} can't be used: {gpio_fault() or exc}") from exc


def choose_factory(user: str = _PANEL) -> Any:
    """Return gpiozero's pin factory for `user`, which error texts name. Raises PanelError."""
    try:
        from gpiozero import Device
    except ImportError as exc:
        raise PanelError("the Python module gpiozero is missing; pip install gpiozero") from exc
    with lgpio_home(), warnings.catch_warnings(record=True) as fallbacks:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", DeprecationWarning)  # lgpio's bindings on Python 3.13
        if Device.pin_factory is None and _is_found_by_label():
            Device.pin_factory = _header_factory_class(user)()
        Device.ensure_pin_factory()
    for fallback in fallbacks:
        log.warning("%s", str(fallback.message).splitlines()[0])
    return Device.pin_factory


def _is_found_by_label() -> bool:
    """Return whether the chip is found by label: on a Raspberry Pi, if no other library is selected."""
    return uses_lgpio() and importlib.util.find_spec("lgpio") is not None and header_chip() is not None


def _header_factory_class(user: str) -> Any:
    """Return a factory class that opens the chip by its label.

    gpiozero picks the chip's number by the board's revision: 2.0 opens 4 on every Pi 5, 2.0.1.post2 fails
    there with an import error, and 0 on a Pi 500 is another chip under an older kernel (gpiozero issue 1166).
    """
    import lgpio
    from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin

    class HeaderFactory(LGPIOFactory):  # type: ignore[misc]
        def __init__(self) -> None:
            # LGPIOFactory's constructor would open a chip by number, so it is skipped.
            super(LGPIOFactory, self).__init__()
            chip = header_chip()
            if chip is None:
                raise PanelError(f"{user} can't be used: the chip of the header is gone")
            self._handle = lgpio.gpiochip_open(chip.number)
            self._chip = chip.number
            self.pin_class = LGPIOPin
            log.info("%s are on %s (/dev/%s)", user, chip.label, chip.name)

    return HeaderFactory


def close_factory(factory: Any) -> None:
    """Close the chip. The pins are dropped first, since their close fails if the chip is gone."""
    from gpiozero import Device

    factory.pins.clear()
    factory.close()
    if Device.pin_factory is factory:
        Device.pin_factory = None
