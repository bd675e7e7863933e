"""Motion detection by background subtraction, for one region of a fixed camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.imaging.median import median

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image
    from edge_daemon.imaging.cell_bits import CellMask
    from edge_daemon.imaging.scene_sampling import Planes

Profile: TypeAlias = npt.NDArray[np.float64]
"""Share of the foreground in each line across the motion."""

WARMUP_FRAMES = 15
"""Number of pictures whose median is the first background: an object that passes leaves no ghost."""

_MAX_CELLS = 80
"""Largest number of sampled pixels a side."""

# A cell is foreground if it differs by _MIN_DIFFERENCE levels of 255 plus _DEVIATIONS mean deviations.
_MIN_DIFFERENCE = 18.0
_DEVIATIONS = 3.0

# Time constants of the adaptation to changes of light.
_BACKGROUND_TIME_S = 10.0
_FOREGROUND_TIME_S = 1800.0

_MAX_STEP_S = 1.0
"""Longest time between two pictures that the adaptation counts."""

_FILLED_SHARE = 0.7
"""Foreground's share of the region from which on the background may be another one."""

_RELEARN_S = 20.0
"""Time for which the region is filled before the background is learnt again."""

_MIN_COVERAGE = 0.04
"""Share of the foreground across the motion above which a line belongs to an object."""


@dataclass(frozen=True, slots=True)
class Foreground:
    """Foreground of one picture; all numbers are 0 to 1.

    `zone_share` and `share` are the foreground's shares of the zone and of the region. `object_share` is the
    length of the object nearest to the zone, as a share of the region. `object_position` is its centre along
    the direction of motion, 0.5 without foreground.
    """

    zone_share: float
    share: float
    object_share: float
    object_position: float


class MotionDetector:
    """Background model of one region. Pure: the caller passes the time.

    Each picture is sampled at up to 80 cells a side, in colour, since a red object can be as bright as a
    grey belt. A cell is foreground if it differs by more than 18 of 255 plus three mean deviations, so a
    moving patterned belt is background. The model follows slow changes of light with a time constant of ten
    seconds in the background and half an hour in the foreground, so that a stopped object stays foreground.
    If most of the region differs for 20 s (a lamp, a moved camera), the background is learnt again.
    `zone` is the width of the zone in the region's middle, as a share of the region along the motion.
    """

    def __init__(self, *, vertical: bool = False, zone: float = 0.15) -> None:
        self._vertical = vertical
        self._zone = zone
        self._warmup_frames: list[Planes] = []
        self._background: Planes | None = None
        self._deviation: Planes = np.empty(0, np.float32)
        self._shape: tuple[int, ...] = ()
        self._last_s = 0.0
        self._filled_s: float | None = None

    def reset(self) -> None:
        """Discard the background, as after a move of the region."""
        self._background = None
        self._warmup_frames.clear()
        self._filled_s = None

    def update(self, image: Image, now: float) -> Foreground | None:
        """Process an RGB uint8 HWC picture captured at `now` (monotonic); None during the warm-up."""
        cells = _downsample(image)
        if cells.shape != self._shape:
            self.reset()
            self._shape = cells.shape
        if self._background is None:
            self._learn(cells, now)
            return None
        difference = np.abs(cells - self._background)
        differs = difference > _MIN_DIFFERENCE + _DEVIATIONS * self._deviation
        mask: CellMask = differs[0] | differs[1] | differs[2]
        self._adapt(self._background, cells, difference, mask, now)
        foreground = self._measure(mask)
        self._relearn_if_filled(foreground.share, now)
        return foreground

    def _learn(self, cells: Planes, now: float) -> None:
        self._warmup_frames.append(cells)
        self._last_s = now
        if len(self._warmup_frames) == WARMUP_FRAMES:
            stack = np.stack(self._warmup_frames)
            self._background = median(stack)
            self._deviation = median(np.abs(stack - self._background))
            self._warmup_frames.clear()

    def _adapt(
        self, background: Planes, cells: Planes, difference: Planes, mask: CellMask, now: float
    ) -> None:
        step_s = min(max(now - self._last_s, 0.0), _MAX_STEP_S)
        self._last_s = now
        background_rate = np.float32(step_s / _BACKGROUND_TIME_S)
        foreground_rate = np.float32(step_s / _FOREGROUND_TIME_S)
        background += (cells - background) * np.where(mask, foreground_rate, background_rate)
        self._deviation += (difference - self._deviation) * np.where(mask, np.float32(0), background_rate)

    def _measure(self, mask: CellMask) -> Foreground:
        profile = mask.mean(axis=1 if self._vertical else 0)
        length = len(profile)
        width = max(1, round(length * self._zone))
        first = (length - width) // 2
        run = _run_around(profile, length // 2)
        covered = float(profile[run].sum())
        position = (
            float((np.arange(length)[run] + 0.5) @ profile[run]) / (covered * length) if covered else 0.5
        )
        zone_share = float(profile[first : first + width].mean())
        return Foreground(zone_share, float(profile.mean()), covered / length, position)

    def _relearn_if_filled(self, share: float, now: float) -> None:
        if share < _FILLED_SHARE:
            self._filled_s = None
        elif self._filled_s is None:
            self._filled_s = now
        elif now - self._filled_s > _RELEARN_S:
            self.reset()


def _run_around(profile: Profile, place: int) -> slice:
    """Return the contiguous run of foreground nearest to `place`; empty without foreground."""
    covered = np.flatnonzero(profile > _MIN_COVERAGE)
    if not len(covered):
        return slice(0, 0)
    runs = np.split(covered, np.flatnonzero(np.diff(covered) > 1) + 1)
    nearest = min(runs, key=lambda run: int(np.abs(run - place).min()))
    return slice(int(nearest[0]), int(nearest[-1]) + 1)


def _downsample(image: Image) -> Planes:
    step = min(-(-max(image.shape[:2]) // _MAX_CELLS), *image.shape[:2])
    sampled = image[step // 2 :: step, step // 2 :: step]
    return np.ascontiguousarray(sampled.transpose(2, 0, 1), np.float32)
