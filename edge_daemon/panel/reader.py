"""From raw levels of all buttons to what was meant: debouncing and gestures in the order of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edge_daemon.panel.debounce import Debouncer, Edge
from edge_daemon.panel.gestures import Gestures, Meaning
from edge_daemon.panel.options import ButtonOptions, PanelOptions


class ButtonReader:
    """Pure: takes levels with their times and returns meanings.

    Times are those of the edges, not of the call, so a caller that was held up for seconds still
    reads a short press as a short press. `pressed` is how the buttons stand at the start; one that
    is down then counts as pressed only after it was released.
    """

    def __init__(
        self,
        buttons: Sequence[ButtonOptions],
        options: PanelOptions,
        pressed: Mapping[int, bool],
        new_group: Callable[[], str],
    ) -> None:
        settle_s = options.debounce_ms / 1000
        self._debouncers = {pin: Debouncer(pressed=down, settle_s=settle_s) for pin, down in pressed.items()}
        self._gestures = Gestures(buttons, options, new_group)

    @property
    def next_deadline(self) -> float | None:
        """When `advance` should be called next at the latest; None while everything rests."""
        deadlines = [debouncer.next_deadline for debouncer in self._debouncers.values()]
        deadlines.append(self._gestures.next_deadline)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def update(self, pin: int, pressed: bool, at_s: float) -> list[Meaning]:
        """Take the raw level of one button as it was at `at_s`.

        It may be older than the last `advance`, when the machine held the edge up, but no older than the
        button's last edge.
        """
        meanings = self.advance(at_s)
        edge = self._debouncers[pin].update(pressed, at_s)
        return meanings if edge is None else [*meanings, *self._settle(pin, edge)]

    def advance(self, now: float) -> list[Meaning]:
        """Return what has settled or fallen due by `now`."""
        settled = [(pin, debouncer.advance(now)) for pin, debouncer in self._debouncers.items()]
        edges = [(pin, edge) for pin, edge in settled if edge is not None]
        meanings: list[Meaning] = []
        for pin, edge in sorted(edges, key=lambda each: each[1].settled_s):
            meanings += self._gestures.advance(edge.settled_s)
            meanings += self._settle(pin, edge)
        return [*meanings, *self._gestures.advance(now)]

    def _settle(self, pin: int, edge: Edge) -> list[Meaning]:
        return self._gestures.press(pin, edge.first_s) if edge.pressed else self._gestures.release(pin)
