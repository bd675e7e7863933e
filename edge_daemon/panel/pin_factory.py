"""gpiozero's pin factory: choice, faults and devices. No other file of the daemon imports gpiozero."""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_daemon.board.gpio import header_chip
from edge_daemon.domain.errors import PanelError
from edge_daemon.system.file_owner import user_name

log = logging.getLogger(__name__)

_PANEL = "buttons and LEDs"


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


def mock_factory() -> Any:
    """Return gpiozero's mock pins, for SimulatedButtons."""
    from gpiozero.pins.mock import MockFactory

    return MockFactory()


def input_device(pin: int, factory: Any, *, pull_up: bool) -> Any:
    """Claim a pin as an input with a pull resistor, such as a button."""
    from gpiozero import InputDevice

    return InputDevice(pin, pull_up=pull_up, pin_factory=factory)


def output_device(pin: int, factory: Any) -> Any:
    """Claim a pin as an output that is low, such as an LED or a relay."""
    from gpiozero import DigitalOutputDevice

    return DigitalOutputDevice(pin, pin_factory=factory)


def servo_device(pin: int, factory: Any) -> Any:
    """Claim a pin for a servo, which goes to its near end. Raises PanelError for pins without pulses."""
    from gpiozero import PinPWMUnsupported, Servo

    try:
        with _mock_pulses(factory):
            return Servo(pin, initial_value=-1, pin_factory=factory)
    except PinPWMUnsupported as exc:
        raise PanelError(
            "the pin library of GPIOZERO_PIN_FACTORY makes no pulses for a servo; unset it to use lgpio"
        ) from exc


@contextmanager
def _mock_pulses(factory: Any) -> Iterator[None]:
    """Make the pins that are claimed meanwhile able to pulse, if they are gpiozero's mock."""
    from gpiozero.pins.mock import MockFactory, MockPWMPin

    if not isinstance(factory, MockFactory):
        yield
        return
    pin_class, factory.pin_class = factory.pin_class, MockPWMPin
    try:
        yield
    finally:
        factory.pin_class = pin_class


def _reason(exc: Exception) -> str:
    """Return an error's text; some of gpiozero's errors have only a name."""
    return str(exc) or type(exc).__name__


@contextmanager
def claiming_pin(pin: int, owner: str) -> Iterator[None]:
    """Turn any error into a PanelError with the pin's name: each pin library raises its own errors."""
    try:
        yield
    except Exception as exc:
        raise PanelError(f"{owner} can't use BCM {pin}: {_reason(exc)}") from exc


@contextmanager
def explaining_chip(user: str = _PANEL) -> Iterator[None]:
    """Turn any error into a PanelError with the likely fault of the chip."""
    try:
        yield
    except PanelError:
        raise
    except Exception as exc:
        raise PanelError(f"{user} can't be used: {gpio_fault() or _reason(exc)}") from exc


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
