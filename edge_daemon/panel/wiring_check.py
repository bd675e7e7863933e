"""Detection of wrongly wired buttons by their edges. Pure; the caller passes the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edge_daemon.config.panel import ButtonOptions

STUCK_S = 30.0
"""Time after which a button that is down since the start counts as stuck."""

OTHERS_PRESSED = 20
"""Presses of other buttons after which a button that has not moved counts as dead."""


class WiringCheck:
    """Reports each fault once. Owned by the panel thread; `pressed` gives the levels at the start."""

    def __init__(self, buttons: Sequence[ButtonOptions], pressed: Mapping[int, bool], now: float) -> None:
        self._buttons = {button.pin: button for button in buttons}
        self._stuck = [pin for pin, down in pressed.items() if down]
        self._stuck_at_s = now + STUCK_S
        # A light barrier may move all day while no one presses a button, and the other way round.
        self._unmoved = {button.pin for button in buttons if button.action != "trigger"}
        self._presses = 0

    def record_movement(self, pin: int) -> None:
        """Record an edge of a button's pin, before debouncing."""
        if pin in self._stuck:
            self._stuck.remove(pin)
        self._unmoved.discard(pin)

    def count_press(self) -> None:
        """Count a debounced press of any button: contacts that bounce make many edges of one press."""
        self._presses += 1

    def faults(self, now: float) -> Iterator[str]:
        """Yield the faults detected by `now` that were not reported before, with a remedy."""
        if self._stuck and now >= self._stuck_at_s:
            for pin in self._stuck:
                self._unmoved.discard(pin)
                yield (
                    f"button {self._name(pin)} is down since the start, {STUCK_S:g} s ago, and does nothing: "
                    f"its contact is closed, or `pull: {self._buttons[pin].pull}` is wrong"
                )
            self._stuck = []
        if self._unmoved and self._presses >= OTHERS_PRESSED:
            for pin in sorted(self._unmoved):
                yield (
                    f"button {self._name(pin)} has never moved, others were pressed {self._presses} times; "
                    "if it was pressed too, check its wire and the number of its pin"
                )
            self._unmoved = set()

    def _name(self, pin: int) -> str:
        return f"'{self._buttons[pin].name}' (BCM {pin})"
