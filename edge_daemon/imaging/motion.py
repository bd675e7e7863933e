"""What moves before a still camera: a background model of a region, and what stands out from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

Cells: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]
Profile: TypeAlias = npt.NDArray[np.float64]

WARMUP_FRAMES = 15
"""Of so many pictures the first background is the median: what passes meanwhile leaves no ghost."""

_MOST_CELLS = 80
_LEAST_DIFFERENCE = 18.0
_DEVIATIONS = 3.0
_ADAPT_S = 10.0
_ABSORB_S = 1800.0
_FILLED = 0.7
_COVERED = 0.04
_RELEARN_S = 20.0
_LONGEST_STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Foreground:
    """What stands out: its share of the zone, and of the region; all numbers are 0 to 1.

    `object_share` is the region's share of the one thing nearest to the zone, `object_position` the place of
    its middle along the travel; 0.5 when nothing stands out.
    """

    zone_share: float
    share: float
    object_share: float
    object_position: float


class MotionDetector:
    """Compares each picture of a region with a model of the empty one. Pure: the caller brings the time.

    The picture is thinned to at most 80 cells a side, in colour, since a red thing can be as bright as a
    grey belt. A cell stands out when it differs by more than 18 of 255 and three mean deviations, so a
    patterned belt that runs below is no motion. The model follows slow changes of the light within ten
    seconds where nothing stands out, and within half an hour where something does, so that a thing that
    stops still counts as there. When most of the region differs for 20 s, the scene has changed, by a
    lamp or a nudge, and is learnt anew. `zone` is the middle share of the region along the travel.
    """

    def __init__(self, *, vertical: bool = False, zone: float = 0.15) -> None:
        self._vertical = vertical
        self._zone = zone
        self._warmup_frames: list[Cells] = []
        self._background: Cells | None = None
        self._deviation: Cells = np.empty(0, np.float32)
        self._shape: tuple[int, ...] = ()
        self._last_s = 0.0
        self._filled_s: float | None = None

    def reset(self) -> None:
        """Forget the scene, as when the region was moved."""
        self._background = None
        self._warmup_frames.clear()
        self._filled_s = None

    def update(self, image: Image, now: float) -> Foreground | None:
        """Take an RGB uint8 HWC picture captured at `now` (monotonic); None while the scene is learnt."""
        cells = _downsample(image)
        if cells.shape != self._shape:
            self.reset()
            self._shape = cells.shape
        if self._background is None:
            self._learn(cells, now)
            return None
        difference = np.abs(cells - self._background)
        mask: Mask = (difference > _LEAST_DIFFERENCE + _DEVIATIONS * self._deviation).any(axis=2)
        self._adapt(self._background, cells, difference, mask, now)
        foreground = self._measure(mask)
        self._relearn_if_filled(foreground.share, now)
        return foreground

    def _learn(self, cells: Cells, now: float) -> None:
        self._warmup_frames.append(cells)
        self._last_s = now
        if len(self._warmup_frames) == WARMUP_FRAMES:
            stack = np.stack(self._warmup_frames)
            self._background = np.median(stack, axis=0)
            self._deviation = np.median(np.abs(stack - self._background), axis=0)
            self._warmup_frames.clear()

    def _adapt(self, background: Cells, cells: Cells, difference: Cells, mask: Mask, now: float) -> None:
        step_s = min(max(now - self._last_s, 0.0), _LONGEST_STEP_S)
        self._last_s = now
        rate = np.where(mask, step_s / _ABSORB_S, step_s / _ADAPT_S).astype(np.float32)[:, :, np.newaxis]
        background += (cells - background) * rate
        calm = np.where(mask, 0.0, step_s / _ADAPT_S).astype(np.float32)[:, :, np.newaxis]
        self._deviation += (difference - self._deviation) * calm

    def _measure(self, mask: Mask) -> Foreground:
        profile = mask.mean(axis=1 if self._vertical else 0)
        length = len(profile)
        width = max(1, round(length * self._zone))
        first = (length - width) // 2
        run = _run_around(profile, length // 2)
        seen = float(profile[run].sum())
        middle = float((np.arange(length)[run] + 0.5) @ profile[run]) / (seen * length) if seen else 0.5
        zone_share = float(profile[first : first + width].mean())
        return Foreground(zone_share, float(profile.mean()), seen / length, middle)

    def _relearn_if_filled(self, share: float, now: float) -> None:
        if share < _FILLED:
            self._filled_s = None
        elif self._filled_s is None:
            self._filled_s = now
        elif now - self._filled_s > _RELEARN_S:
            self.reset()


def _run_around(profile: Profile, place: int) -> slice:
    """Return the stretch without a gap that is nearest to `place`; empty when nothing stands out."""
    covered = np.flatnonzero(profile > _COVERED)
    if not len(covered):
        return slice(0, 0)
    pieces = np.split(covered, np.flatnonzero(np.diff(covered) > 1) + 1)
    nearest = min(pieces, key=lambda piece: int(np.abs(piece - place).min()))
    return slice(int(nearest[0]), int(nearest[-1]) + 1)


def _downsample(image: Image) -> Cells:
    step = -(-max(image.shape[:2]) // _MOST_CELLS)
    return image[step // 2 :: step, step // 2 :: step].astype(np.float32)
