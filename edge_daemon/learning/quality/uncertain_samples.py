"""The last moments the device was not sure of, kept so that a late press can label the one that was wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from edge_daemon.domain.types import UNKNOWN, Observation, Prediction

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

SMALL_MARGIN = 0.34
"""Below it the first two labels are as good as even: 2 votes of 3 against 1 is a margin of 1/3."""


class UncertainSample(Struct, frozen=True):
    """One doubtful observation, its picture as small as it will be kept. `number` counts up from 1."""

    number: int
    reason: str
    observation: Observation
    prediction: Prediction


def uncertainty_reason(prediction: Prediction) -> str | None:
    """Say why a prediction is doubtful: rejected, or two labels nearly even; None if it is not."""
    if not prediction.confidences:
        return None
    if prediction.label == UNKNOWN:
        return f"like nothing taught, nearest to '{prediction.ranking[0].label}'"
    if len(prediction.confidences) > 1 and prediction.margin < SMALL_MARGIN:
        first, second = prediction.ranking[:2]
        return f"'{first.label}' and '{second.label}' are nearly even"
    return None


class UncertainSamples:
    """A ring of the last doubtful moments of each region, at most one in `gap_s` seconds.

    A moment holds its picture and no frame; `shrink` makes the picture small: eight crops of 640 x 480
    would be 7 MB.
    """

    def __init__(self, shrink: Callable[[Image], Image], size: int = 8, gap_s: float = 1.0) -> None:
        self._shrink = shrink
        self._moments: deque[UncertainSample] = deque(maxlen=size)
        self._gap_s = gap_s
        self._last_s: dict[str, float] = {}
        self._number = 0

    def consider(self, observation: Observation, prediction: Prediction) -> UncertainSample | None:
        """Keep the moment if it is doubtful and the last one of its region is long enough ago."""
        seen_s = observation.frame.captured_s
        if seen_s - self._last_s.get(observation.region, float("-inf")) < self._gap_s:
            return None
        reason = uncertainty_reason(prediction)
        if reason is None:
            return None
        self._number += 1
        self._last_s[observation.region] = seen_s
        moment = UncertainSample(self._number, reason, self._small(observation), prediction)
        self._moments.append(moment)
        return moment

    def _small(self, observation: Observation) -> Observation:
        crop = self._shrink(observation.crop)
        return replace(observation, crop=crop, frame=replace(observation.frame, image=crop))

    def get(self, number: int) -> UncertainSample | None:
        """Return the moment of this number while the ring holds it."""
        return next((moment for moment in self._moments if moment.number == number), None)

    def latest(self, region: str, since_s: float) -> UncertainSample | None:
        """Return the region's last moment captured at or after `since_s` (monotonic)."""
        for moment in reversed(self._moments):
            if moment.observation.region == region and moment.observation.frame.captured_s >= since_s:
                return moment
        return None

    def drop(self, moment: UncertainSample) -> None:
        """Forget a moment that was dealt with; the ring may have done so already."""
        if self.get(moment.number) is not None:
            self._moments.remove(moment)
