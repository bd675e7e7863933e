"""Debouncing: the level of a bouncing switch becomes clean edges. Pure; the caller passes the time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edge:
    """A settled change of a switch, in monotonic seconds.

    `first_s` is the first movement of the contacts; `settled_s` is the end of the quiet time after the last.
    """

    pressed: bool
    first_s: float
    settled_s: float


class Debouncer:
    """Reports a change once the level has not moved for `settle_s`.

    Compared with reporting the first edge, waiting for quiet costs `settle_s` of delay. In exchange a spike
    on a long wire is ignored, and a floating line that hums is never a press. The edge keeps the time of the
    first movement, so the time of a press is exact. Two presses are at least twice `settle_s` apart. The next
    `update` corrects a missed edge.
    """

    def __init__(self, *, pressed: bool, settle_s: float) -> None:
        self.pressed = pressed
        self._settle_s = settle_s
        self._raw = pressed
        self._first_s: float | None = None
        self._last_s = 0.0

    @property
    def next_deadline(self) -> float | None:
        """Time at which `advance` may return an edge; None while the level does not move."""
        return None if self._first_s is None else self._last_s + self._settle_s

    def update(self, level: bool, now: float) -> Edge | None:
        """Process the raw level at `now`; the same level again is not a movement."""
        earlier = self.advance(now)
        if level != self._raw:
            self._raw, self._last_s = level, now
            self._first_s = now if self._first_s is None else self._first_s
        return earlier or self.advance(now)

    def advance(self, now: float) -> Edge | None:
        """Return the change that has settled by `now`, if any."""
        deadline = self.next_deadline
        if self._first_s is None or deadline is None or now < deadline:
            return None
        first_s, self._first_s = self._first_s, None
        if self._raw == self.pressed:
            return None
        self.pressed = self._raw
        return Edge(self.pressed, first_s, deadline)
