"""Which outputs of a sorter are on, and when: pure, the caller brings events and the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

_LATEST_S = 0.05
_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Ejection:
    """What a label does: `travel_s` after its frame was captured, an output is on for `hold_s`."""

    travel_s: float
    hold_s: float


@dataclass(frozen=True, slots=True)
class _Pulse:
    label: str
    start_s: float
    end_s: float


class Sorting:
    """Times ejections by when the object was captured, so that a slow network shifts none.

    An object whose moment has passed by more than 50 ms is let go, and counted in `late`: pushing then
    would hit another. An event that is delivered twice counts once.
    """

    def __init__(self, ejections: Mapping[str, Ejection]) -> None:
        self._ejections = dict(ejections)
        self._pulses: list[_Pulse] = []
        self._seen: deque[str] = deque(maxlen=_REMEMBERED)
        self.late = 0

    def take(self, label: str, event_id: str, age_s: float, now: float) -> bool:
        """Plan for an object captured `age_s` ago; False when there is nothing to do or it is too late."""
        ejection = self._ejections.get(label)
        if ejection is None or event_id in self._seen:
            return False
        self._seen.append(event_id)
        start_s = now - age_s + ejection.travel_s
        if start_s < now - _LATEST_S:
            self.late += 1
            return False
        self._pulses.append(_Pulse(label, start_s, start_s + ejection.hold_s))
        return True

    def active(self, now: float) -> frozenset[str]:
        """Return the labels whose outputs are on at `now` (monotonic)."""
        self._pulses = [pulse for pulse in self._pulses if pulse.end_s > now]
        return frozenset(pulse.label for pulse in self._pulses if pulse.start_s <= now)

    def next_change(self, now: float) -> float | None:
        """Return when `active` changes next; None when nothing is planned."""
        moments = [at for pulse in self._pulses for at in (pulse.start_s, pulse.end_s) if at > now]
        return min(moments, default=None)

    def abandon(self) -> None:
        """Forget every plan: the device or the broker is gone."""
        self._pulses.clear()
