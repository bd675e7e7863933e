"""Which buttons look wrongly wired, by how they move: pure, the caller brings the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edge_daemon.config.panel import ButtonOptions

STUCK_S = 30.0
"""A button that is down at the start and for so long is not held by a finger."""

OTHERS_PRESSED = 20
"""A button that has not moved while others were pressed so often may never move."""


class WiringCheck:
    """Names each fault once. Owned by the panel thread; `pressed` is how the buttons are at the start."""

    def __init__(self, buttons: Sequence[ButtonOptions], pressed: Mapping[int, bool], now: float) -> None:
        self._buttons = {button.pin: button for button in buttons}
        self._stuck = [pin for pin, down in pressed.items() if down]
        self._stuck_at_s = now + STUCK_S
        # A light barrier moves all day, without a finger that could press the others.
        self._silent = {button.pin for button in buttons if button.action != "trigger"}
        self._presses = 0

    def move(self, pin: int, pressed: bool) -> None:
        """Take one edge."""
        if pin in self._stuck:
            self._stuck.remove(pin)
        self._silent.discard(pin)
        if pressed and self._buttons[pin].action != "trigger":
            self._presses += 1

    def faults(self, now: float) -> Iterator[str]:
        """Yield what has become plain by `now`."""
        if self._stuck and now >= self._stuck_at_s:
            for pin in self._stuck:
                self._silent.discard(pin)
                yield (
                    f"button {self._name(pin)} is down since the start, {STUCK_S:g} s ago, and does nothing: "
                    f"its contact is closed, or `pull: {self._buttons[pin].pull}` is wrong"
                )
            self._stuck = []
        if self._silent and self._presses >= OTHERS_PRESSED:
            for pin in sorted(self._silent):
                yield (
                    f"button {self._name(pin)} has never moved, others were pressed {self._presses} times; "
                    "if it was pressed too, check its wire and the number of its pin"
                )
            self._silent = set()

    def _name(self, pin: int) -> str:
        return f"'{self._buttons[pin].name}' (BCM {pin})"
