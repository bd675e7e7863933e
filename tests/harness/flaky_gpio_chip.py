"""gpiozero's mock pins on a chip that can be unplugged; a file is its device node."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from gpiozero.pins.mock import MockFactory, MockPin


class FlakyPin(MockPin):  # type: ignore[misc]
    """A pin whose operations fail after its chip was unplugged, including close."""

    def close(self) -> None:
        if not self.factory.closed:
            self.factory.check_chip()
            super().close()

    def _get_state(self) -> Any:
        self.factory.check_chip()
        return super()._get_state()

    def _set_state(self, value: Any) -> None:
        self.factory.check_chip()
        super()._set_state(value)

    def _disable_event_detect(self) -> None:
        self.factory.check_chip()
        super()._disable_event_detect()


class FlakyChip(MockFactory):  # type: ignore[misc]
    """A factory like lgpio's: its constructor opens the chip, and after an unplug it never works again.

    Each test derives a class with its own `node`.
    """

    node: ClassVar[Path]
    opened: ClassVar[list[FlakyChip]]
    _serials = count(1)

    def __init__(self) -> None:
        self._serial = self.node.read_text()
        super().__init__(pin_class=FlakyPin)
        self.closed = False
        self.opened.append(self)

    @classmethod
    def plug(cls) -> None:
        """Plug in a chip, another one each time."""
        cls.node.write_text(str(next(cls._serials)))

    @classmethod
    def unplug(cls) -> None:
        """Unplug the chip."""
        cls.node.unlink()

    def check_chip(self) -> None:
        """Raise OSError if the opened chip was unplugged, as every use of a line does."""
        if self.closed or not self.node.exists() or self.node.read_text() != self._serial:
            raise OSError(19, "No such device")

    def close(self) -> None:
        super().close()
        self.closed = True


def flaky_chip(folder: Path) -> type[FlakyChip]:
    """Return a factory class with a plugged chip, whose device node is in `folder`."""

    class Chip(FlakyChip):
        node = folder / "gpiochip0"
        opened: ClassVar[list[FlakyChip]] = []

    Chip.plug()
    return Chip
