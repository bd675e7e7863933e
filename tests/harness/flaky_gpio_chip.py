"""gpiozero's mock pins on a chip that can be pulled out; a file stands for its device node."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from gpiozero.pins.mock import MockFactory, MockPin


class LoosePin(MockPin):  # type: ignore[misc]
    """Fails in all that asks the chip, its close too, once the chip has gone."""

    def close(self) -> None:
        if not self.factory.closed:
            self.factory.ask()
            super().close()

    def _get_state(self) -> Any:
        self.factory.ask()
        return super()._get_state()

    def _set_state(self, value: Any) -> None:
        self.factory.ask()
        super()._set_state(value)

    def _disable_event_detect(self) -> None:
        self.factory.ask()
        super()._disable_event_detect()


class LooseChip(MockFactory):  # type: ignore[misc]
    """A factory as that of lgpio: its constructor opens the chip, which it has lost for ever when that goes.

    Derive a class for each test, with a `node` of its own.
    """

    node: ClassVar[Path]
    opened: ClassVar[list[LooseChip]]
    _serials = count(1)

    def __init__(self) -> None:
        self._serial = self.node.read_text()
        super().__init__(pin_class=LoosePin)
        self.closed = False
        self.opened.append(self)

    @classmethod
    def plug(cls) -> None:
        """Put a chip in, as another one than was there before."""
        cls.node.write_text(str(next(cls._serials)))

    @classmethod
    def unplug(cls) -> None:
        """Take the chip out."""
        cls.node.unlink()

    def ask(self) -> None:
        """Do what every use of a line does first. Raises OSError when the chip that was opened has gone."""
        if self.closed or not self.node.exists() or self.node.read_text() != self._serial:
            raise OSError(19, "No such device")

    def close(self) -> None:
        super().close()
        self.closed = True


def loose_chip(folder: Path) -> type[LooseChip]:
    """Return a kind of factory whose chip is there; its device node lies in the folder."""

    class Chip(LooseChip):
        node = folder / "gpiochip0"
        opened: ClassVar[list[LooseChip]] = []

    Chip.plug()
    return Chip
