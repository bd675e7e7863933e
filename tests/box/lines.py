"""Buttons and LEDs on the simulated GPIO lines of the gpio-sim driver."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CHIP = Path("/sys/kernel/config/gpio-sim/pi")

# Longer than the debounce time.
PRESS_S = 0.3


class Lines:
    """GPIO lines of the simulated chip, by BCM number."""

    def press(self, pin: int, held_s: float = PRESS_S) -> None:
        """Close the switch to ground for `held_s` seconds."""
        self.hold(pin)
        time.sleep(held_s)
        self.release(pin)

    def hold(self, pin: int) -> None:
        """Close the switch to ground."""
        (self._line(pin) / "pull").write_text("pull-down")

    def release(self, pin: int) -> None:
        """Open the switch: the pull-up raises the line."""
        (self._line(pin) / "pull").write_text("pull-up")

    def is_lit(self, pin: int) -> bool:
        """Return whether the line drives its LED."""
        return (self._line(pin) / "value").read_text().strip() == "1"

    @contextmanager
    def chip_removed(self) -> Iterator[None]:
        """Remove the chip from the machine, then restore it with all switches open."""
        (_CHIP / "live").write_text("0")
        try:
            yield
        finally:
            (_CHIP / "live").write_text("1")
            for pull in self._folder().glob("sim_gpio*/pull"):
                pull.write_text("pull-up")

    def _line(self, pin: int) -> Path:
        return self._folder() / f"sim_gpio{pin}"

    def _folder(self) -> Path:
        device, chip = (_CHIP / "dev_name").read_text(), (_CHIP / "bank/chip_name").read_text()
        return Path("/sys/devices/platform") / device.strip() / chip.strip()
