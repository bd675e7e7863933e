"""Turn the bouncing level of a switch into clean edges: pure, the caller brings the time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edge:
    """A settled change of a switch.

    `first_s` is when the contacts first moved, `settled_s` when they had been still for long
    enough to believe it; both monotonic seconds.
    """

    pressed: bool
    first_s: float
    settled_s: float


class Debouncer:
    """Reports a change once the line has stood still for `settle_s`.

    Waiting for quiet, instead of taking the first edge, costs `settle_s` of delay but lets a spike
    on a long wire pass unseen, and a floating line that hums is never a press. The time of the
    first edge is kept, so what happened at the press can still be told. Two presses are at least
    twice `settle_s` apart. A missed edge heals with the next `update`.
    """

    def __init__(self, *, pressed: bool, settle_s: float) -> None:
        self.pressed = pressed
        self._settle_s = settle_s
        self._raw = pressed
        self._first_s: float | None = None
        self._last_s = 0.0

    @property
    def next_deadline(self) -> float | None:
        """When `advance` may have something to say; None while the line rests."""
        return None if self._first_s is None else self._last_s + self._settle_s

    def update(self, level: bool, now: float) -> Edge | None:
        """Take the raw level as it is at `now`; a repeated level is no movement."""
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
