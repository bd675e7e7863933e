"""A sorter's outputs through gpiozero: a relay, valve or magnet, or a servo's flap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edge_daemon.domain.errors import PanelError


@dataclass(frozen=True, slots=True)
class Wire:
    """Where an output is: a BCM pin, and what is wired to it."""

    pin: int
    kind: Literal["output", "servo"] = "output"


class Outputs:
    """One output a label; a context manager. On means high, or the servo's far end; off low, or its near end.

    Leaving releases the pins, which become inputs: nothing is driven then. A process that is killed
    leaves its pins as they are, so wire what must not stay on with a pull-down and a fuse of its own.
    Raises PanelError for a pin that can't be used, and then holds none.
    """

    def __init__(self, wires: Mapping[str, Wire], factory: Any = None) -> None:
        self._wires = wires
        self._factory = factory
        self._devices: dict[str, Any] = {}

    def __enter__(self) -> Outputs:
        from gpiozero import OutputDevice, Servo

        for label, wire in self._wires.items():
            kind = Servo if wire.kind == "servo" else OutputDevice
            options = {"initial_value": -1} if wire.kind == "servo" else {"initial_value": False}
            try:
                self._devices[label] = kind(wire.pin, pin_factory=self._factory, **options)
            except Exception as exc:  # each pin library behind gpiozero has errors of its own
                self.__exit__()
                raise PanelError(f"the output of '{label}' can't use BCM {wire.pin}: {exc}") from exc
        return self

    def __exit__(self, *_: object) -> None:
        for device in self._devices.values():
            device.close()
        self._devices.clear()

    def switch(self, label: str, on: bool) -> None:
        """Switch one output."""
        device = self._devices[label]
        if self._wires[label].kind == "servo":
            device.value = 1 if on else -1
        else:
            device.value = on
