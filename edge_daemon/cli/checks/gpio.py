"""The doctor's check of buttons and LEDs: the chip, the holders of lines, the wiring of each button."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from edge_daemon.board.gpio import Chip, header_chip, holder_of, processes_with_lines
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.panel import LedOptions, pins_in_use
from edge_daemon.config.schema import Config
from edge_daemon.panel.gpio import GpioPins
from edge_daemon.panel.pin_factory import gpio_fault, lgpio_home, uses_lgpio

GPIO_HINT = "lgpio needs a writable folder: $RUNTIME_DIRECTORY, else the folder for temporary files"

_OTHER_HOLDER = (
    "end that program, take its overlay out of /boot/firmware/config.txt, or give the button another pin"
)
_WIRING = "check the wire, the pin (a BCM number) and `pull` (down for a button that goes to 3.3 V)"


def check_gpio(config: Config, watch_s: float = 0.0, root: Path = Path("/")) -> Check:
    """Check the header's chip, the holders of the lines in use, and buttons that are down or never move.

    Free lines are claimed during the check; buttons are watched for `watch_s` seconds.
    """
    if not config.buttons and config.panel.leds == LedOptions():
        return Check("gpio", "ok", "no buttons configured")
    if not uses_lgpio():
        return _check_wiring(config, f"pins of gpiozero's '{os.environ['GPIOZERO_PIN_FACTORY']}'", watch_s)
    if fault := gpio_fault(root / "dev"):
        what, _, remedy = fault.partition("; ")
        return Check("gpio", "failed", what, remedy)
    with lgpio_home():
        pass
    chip = header_chip(root)
    where = _where(chip)
    holders = _holders(config, chip, root)
    if chip is not None and holders:
        return _held(f"{where}; {_listed(config, holders)}", chip, root)
    return _check_wiring(config, f"{where}; {_listed(config, holders)}", watch_s)


def _where(chip: Chip | None) -> str:
    if chip is None:
        return "no chip has the label of a Raspberry Pi's header; gpiozero picks one"
    return f"{chip.label} (/dev/{chip.name}, {chip.lines} lines)"


def _holders(config: Config, chip: Chip | None, root: Path) -> dict[int, str]:
    """Return the holders of the lines in use, by pin."""
    if chip is None:
        return {}
    asked = {pin: holder_of(chip, pin, root) for pin in pins_in_use(config.buttons, config.panel.leds)}
    return {pin: holder for pin, holder in asked.items() if holder is not None}


def _listed(config: Config, holders: Mapping[int, str]) -> str:
    owners = pins_in_use(config.buttons, config.panel.leds)
    return ", ".join(
        f"BCM {pin} {owner}" + (f" held by '{holders[pin]}'" if pin in holders else "")
        for pin, owner in sorted(owners.items())
    )


def _held(detail: str, chip: Chip, root: Path) -> Check:
    """Return the check for lines that are held; lines of the running service are ok."""
    processes = processes_with_lines(chip, root)
    if any(name.startswith("edge-daemon") for _, name in processes):
        return Check("gpio", "ok", f"{detail}; the running service has them")
    if processes:
        detail += f"; open in {', '.join(f'{name} (process {pid})' for pid, name in processes)}"
    return Check("gpio", "failed", detail, _OTHER_HOLDER)


def _check_wiring(config: Config, detail: str, watch_s: float) -> Check:
    """Claim the buttons and find those that are down and those that never move. Raises PanelError."""
    names = {button.pin: f"'{button.name}' (BCM {button.pin})" for button in config.buttons}
    moved: set[int] = set()
    all_moved = threading.Event()

    def note(pin: int, _pressed: bool, _age_s: float) -> None:
        moved.add(pin)
        if moved >= names.keys():
            all_moved.set()

    pins = GpioPins()
    try:
        down = [pin for pin, pressed in pins.open(config.buttons, [], note).items() if pressed]
        if watch_s and names:
            print(f"press each button within {watch_s:g} s: {', '.join(names.values())}", file=sys.stderr)
            all_moved.wait(watch_s)
    finally:
        pins.close()
    if down:
        text = ", ".join(names[pin] for pin in down)
        return Check("gpio", "warning", f"{detail}; down without a press: {text}", _WIRING)
    if watch_s and (still := [name for pin, name in names.items() if pin not in moved]):
        return Check("gpio", "warning", f"{detail}; never moved: {', '.join(still)}", _WIRING)
    return Check("gpio", "ok", detail)
