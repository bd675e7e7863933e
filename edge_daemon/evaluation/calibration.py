"""Reliability diagram and expected calibration error (Guo et al., ICML 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions of similar confidence: their number, mean confidence and accuracy, 0 to 1."""

    count: int
    confidence: float
    accuracy: float


def reliability(confidences: Sequence[float], correct: Sequence[bool]) -> list[ReliabilityBin]:
    """Return BINS bins of equal width over the confidence, lowest first, without the empty ones."""
    shares, hits = np.asarray(confidences, float), np.asarray(correct, float)
    numbers = np.minimum((shares * BINS).astype(np.intp), BINS - 1)
    masks = (numbers == number for number in range(BINS))
    return [
        ReliabilityBin(int(mask.sum()), float(shares[mask].mean()), float(hits[mask].mean()))
        for mask in masks
        if mask.any()
    ]


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean difference of confidence and accuracy over the bins, weighted by their counts."""
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.confidence - each.accuracy) for each in bins) / total
