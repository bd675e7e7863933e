"""State machine that locks a camera's automatic controls after they have settled, and releases them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from edge_daemon.camera.light import Light

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

Values: TypeAlias = Mapping[str, float]
"""Values of the controls by name. All are positive or zero."""

State: TypeAlias = Literal["settling", "locked", "unusable", "automatic"]
"""`unusable`: too dark or too bright to lock. `automatic`: the camera can't be locked."""

SETTLE_S = 1.5
"""Time without a change after which the controls have settled."""

MAX_SETTLE_S = 15.0
"""Time after which typical values are locked although they still change."""

MIN_READINGS = 6
"""Number of readings below which nothing is decided: new controls act some frames late."""

CHECK_S = 2.0
"""Time after a lock until the picture is compared with the one before it."""

MIN_CHANGE_S = 6.0
"""Time for which the light must differ. Objects that pass are in view for less."""

CHANGE = math.log(1.4)
"""Change of a cell's brightness that counts, as a logarithm. Pixels are gamma-encoded: 1.4 is one stop."""

CHANGED_SHARE = 0.6
"""Share of the cells that must have changed. An object covers fewer."""

CLIPPED_CHANGE = 0.2
"""Increase of the share of clipped values that counts."""

DARK, BRIGHT = 12.0, 0.8
"""Limits of a usable picture: brightness, 0 to 255, and share of clipped values."""

FIRST_WAIT_S, MAX_WAIT_S, MAX_UNUSABLE_WAIT_S = 10.0, 300.0, 60.0
"""Time between two releases: doubles with each, up to a limit that is lower for an unusable picture."""

QUIET_S = 1200.0
"""Time without a release after which the next one waits for nothing."""

MAX_FAILURES = 3
"""Number of locks in a row that may change the picture before the controls stay automatic."""

SAME_VALUES = 0.1
"""Relative difference up to which the former values are locked again: the same light, the same picture."""

FORMER_LOCKS = 4
"""Number of former locks whose values may be locked again, such as those of the day and of a lamp."""

_SMOOTHING_S = 0.5
_LARGEST_CHANGE = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Light and control values of one frame."""

    at_s: float
    light: Light
    values: Values
    searching: bool = False
    """True while the camera reports that an automatic control has not converged."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Set the controls to these values."""

    values: Values


@dataclass(frozen=True, slots=True)
class Release:
    """Make the controls automatic again."""

    reason: str


@dataclass(slots=True)
class _Reference:
    """Light at the lock, and the average since. Cells are logarithms."""

    cells: Vector
    clipped: float
    average: Vector
    average_clipped: float
    checked: bool = False

    def smooth(self, cells: Vector, clipped: float, elapsed_s: float) -> None:
        """Add a reading to the average. One reading changes a cell by at most `_LARGEST_CHANGE`."""
        share = 1 - math.exp(-max(elapsed_s, 0.0) / _SMOOTHING_S)
        limited = cells.clip(self.cells - _LARGEST_CHANGE, self.cells + _LARGEST_CHANGE)
        self.average = self.average + share * (limited - self.average)
        self.average_clipped += share * (clipped - self.average_clipped)

    def differs(self) -> bool:
        """Return whether most cells, or the clipped pixels, have changed."""
        if self.average_clipped > self.clipped + CLIPPED_CHANGE:
            return True
        changed = abs(self.average - self.cells) > CHANGE
        return bool(changed.sum() >= CHANGED_SHARE * changed.size)


class ControlLock:
    """Decides when the controls are locked and released. Called with a few readings per second.

    Settled values are locked. A light that differs from that at the lock for some seconds releases them, with
    a back-off. In an unusable picture (dark, saturated) they stay automatic.
    """

    def __init__(self) -> None:
        self.state: State = "settling"
        self._recent: deque[Reading] = deque()
        self._since_s: float | None = None
        self._reference: _Reference | None = None
        self._former: deque[Values] = deque(maxlen=FORMER_LOCKS)
        self._last_s = 0.0
        self._locked_s = 0.0
        self._differs_since_s: float | None = None
        self._released_s = -math.inf
        self._releases = 0
        self._failures = 0

    def restart(self) -> None:
        """Settle again, after the camera was opened. The former values are kept for the same light."""
        self._settle_again()
        self._failures = 0

    def update(self, reading: Reading) -> Lock | Release | None:
        """Process the next reading; return a command for the camera, if any."""
        elapsed_s, self._last_s = reading.at_s - self._last_s, reading.at_s
        if self.state == "automatic":
            return None
        if self._reference is None:
            return self._settle(reading)
        self._reference.smooth(_logarithms(reading.light), reading.light.clipped, elapsed_s)
        return self._watch(self._reference, reading)

    def _settle(self, reading: Reading) -> Lock | None:
        if self._since_s is None:
            self._since_s = reading.at_s
        settling_s = reading.at_s - self._since_s
        if not _usable(reading.light):
            self._recent.clear()
            if settling_s >= MIN_CHANGE_S:
                self.state = "unusable"
            return None
        if self.state == "unusable":
            self.state, self._since_s, settling_s = "settling", reading.at_s, 0.0
        self._recent.append(reading)
        while len(self._recent) > MIN_READINGS and reading.at_s - self._recent[1].at_s >= SETTLE_S:
            self._recent.popleft()
        if len(self._recent) < MIN_READINGS or reading.at_s - self._recent[0].at_s < SETTLE_S:
            return None
        if not _steady(self._recent) and settling_s < MAX_SETTLE_S:
            return None
        return self._lock(reading)

    def _lock(self, reading: Reading) -> Lock:
        values = _typical(self._recent)
        values = next((former for former in self._former if _same(values, former)), values)
        if values not in self._former:
            self._former.append(values)
        cells = _mean([_logarithms(each.light) for each in self._recent])
        clipped = sum(each.light.clipped for each in self._recent) / len(self._recent)
        self._reference = _Reference(cells, clipped, cells, clipped)
        self._locked_s = reading.at_s
        self._differs_since_s = None
        self._recent.clear()
        self.state = "locked"
        return Lock(values)

    def _watch(self, reference: _Reference, reading: Reading) -> Release | None:
        if not reference.checked:
            return self._check(reference, reading)
        if not reference.differs():
            self._differs_since_s = None
            return None
        if self._differs_since_s is None:
            self._differs_since_s = reading.at_s
        usable = _usable(reading.light)
        if reading.at_s - self._differs_since_s < MIN_CHANGE_S or self._wait_s(reading.at_s, usable) > 0:
            return None
        self._release(reading.at_s)
        return Release("the light changed" if usable else "the picture is too dark or too bright")

    def _check(self, reference: _Reference, reading: Reading) -> Release | None:
        """Compare the picture after the lock with that before it; a camera may not hold its values."""
        self._recent.append(reading)
        if reading.at_s - self._locked_s < CHECK_S or len(self._recent) < MIN_READINGS:
            return None
        self._recent.clear()
        if not reference.differs():
            reference.checked = True
            reference.cells, reference.clipped = reference.average, reference.average_clipped
            self._failures = 0
            return None
        self._failures += 1
        self._former.clear()
        self._release(reading.at_s)
        if self._failures < MAX_FAILURES:
            return Release("the lock changed the picture")
        self.state = "automatic"
        return Release("each lock changed the picture, so they stay automatic")

    def _wait_s(self, now_s: float, usable: bool) -> float:
        """Return the time until the next release is allowed."""
        if now_s - self._released_s > QUIET_S:
            self._releases = 0
        if not self._releases:
            return 0.0
        longest_s = MAX_WAIT_S if usable else MAX_UNUSABLE_WAIT_S
        wait_s = min(FIRST_WAIT_S * 2.0 ** min(self._releases - 1, 10), longest_s)
        return self._released_s + wait_s - now_s

    def _release(self, now_s: float) -> None:
        self._releases += 1
        self._released_s = now_s
        self._settle_again()

    def _settle_again(self) -> None:
        self.state = "settling"
        self._reference = None
        self._since_s = None
        self._recent.clear()


def _usable(light: Light) -> bool:
    return light.brightness >= DARK and light.clipped <= BRIGHT


def _logarithms(light: Light) -> Vector:
    """Return the logarithms of the cells. The offset keeps noise in dark cells small."""
    import numpy as np

    logarithms: Vector = np.log(light.cells + np.float32(4))
    return logarithms


def _mean(vectors: Sequence[Vector]) -> Vector:
    import numpy as np

    mean: Vector = np.mean(vectors, axis=0, dtype=np.float32)
    return mean


def _steady(readings: Sequence[Reading]) -> bool:
    """Return whether no control searches and each value stays within 3 %."""
    names = readings[0].values.keys()
    if any(reading.searching or reading.values.keys() != names for reading in readings):
        return False
    for name in names:
        values = [reading.values[name] for reading in readings]
        if max(values) - min(values) > 0.03 * max(values) + 0.02:
            return False
    return True


def _typical(readings: Sequence[Reading]) -> Values:
    """Return the values of the reading nearest to the medians; of those that don't search, if any."""
    candidates = [reading.values for reading in readings if not reading.searching]
    candidates = candidates or [reading.values for reading in readings]
    middle = len(candidates) // 2
    medians = {name: sorted(each.get(name, 0.0) for each in candidates)[middle] for name in candidates[0]}
    return min(candidates, key=lambda values: _difference(values, medians))


def _same(values: Values, former: Values) -> bool:
    return values.keys() == former.keys() and _difference(values, former) <= SAME_VALUES


def _difference(values: Values, others: Values) -> float:
    """Return the largest relative difference of two sets of values."""
    return max(
        (abs(values.get(name, 0.0) - other) / max(other, 0.5) for name, other in others.items()), default=0.0
    )
