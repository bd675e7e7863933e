"""Uncertainty sampling: the latest uncertain frames, which a late press can label."""

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
"""Margin below which a prediction is uncertain: 2 votes against 1 of 3 have a margin of 1/3."""


class UncertainSample(Struct, frozen=True):
    """An uncertain observation with a reduced picture. `number` counts up from 1."""

    number: int
    reason: str
    observation: Observation
    prediction: Prediction


def uncertainty_reason(prediction: Prediction) -> str | None:
    """Return the reason for uncertainty, rejection or a small margin; None if the prediction is certain."""
    if not prediction.confidences:
        return None
    if prediction.label == UNKNOWN:
        return f"unknown, nearest to '{prediction.ranking[0].label}'"
    if len(prediction.confidences) > 1 and prediction.margin < SMALL_MARGIN:
        first, second = prediction.ranking[:2]
        return f"'{first.label}' and '{second.label}' have nearly equal confidence"
    return None


class UncertainSamples:
    """Ring buffer of the `size` latest uncertain samples, with `gap_s` seconds between those of a region.

    A sample holds the picture of its region, reduced by `shrink`, and no frame: eight crops of 640 x 480
    would take 7 MB.
    """

    def __init__(self, shrink: Callable[[Image], Image], size: int = 8, gap_s: float = 1.0) -> None:
        self._shrink = shrink
        self._samples: deque[UncertainSample] = deque(maxlen=size)
        self._gap_s = gap_s
        self._last_s: dict[str, float] = {}
        self._number = 0

    def offer(self, observation: Observation, prediction: Prediction) -> UncertainSample | None:
        """Keep the observation if it is uncertain and `gap_s` after the last sample of its region."""
        captured_s = observation.frame.captured_s
        if captured_s - self._last_s.get(observation.region, float("-inf")) < self._gap_s:
            return None
        reason = uncertainty_reason(prediction)
        if reason is None:
            return None
        self._number += 1
        self._last_s[observation.region] = captured_s
        sample = UncertainSample(self._number, reason, self._small(observation), prediction)
        self._samples.append(sample)
        return sample

    def _small(self, observation: Observation) -> Observation:
        crop = self._shrink(observation.full_crop())
        frame = replace(observation.frame, pixels=crop)
        return replace(observation, crop=crop, frame=frame, load_full=None)

    def get(self, number: int) -> UncertainSample | None:
        """Return the sample with this number, None if it is not in the buffer."""
        return next((sample for sample in self._samples if sample.number == number), None)

    def latest(self, region: str, since_s: float) -> UncertainSample | None:
        """Return the region's latest sample captured at or after `since_s` (monotonic)."""
        for sample in reversed(self._samples):
            if sample.observation.region == region and sample.observation.frame.captured_s >= since_s:
                return sample
        return None

    def drop(self, sample: UncertainSample) -> None:
        """Remove a sample, if the buffer still holds it."""
        if self.get(sample.number) is not None:
            self._samples.remove(sample)
