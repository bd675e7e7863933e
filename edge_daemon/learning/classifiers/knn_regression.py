"""KNN regression: numeric labels, interpolated predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from edge_daemon.domain.errors import ConfigError, LabelError
from edge_daemon.domain.types import Interpolation, Prediction
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.search_result import SearchResult, k_nearest

_EPSILON = 1e-3
"""Added to a distance before it is inverted: an identical example decides nearly alone."""


class KNNRegressor:
    """Averages the numbers of the `k` nearest examples, weighted by the inverse of their distance.

    Inverse distance weighting: D. Shepard, "A two-dimensional interpolation function for
    irregularly-spaced data", 1968. The distance is 1 - cosine. The label is the number with three
    significant digits; the confidences are the weights of the taught numbers. The confidence of the label is
    the weight of the two taught numbers on either side of it: 1 where the nearest examples agree.
    """

    def __init__(self, examples: EmbeddingIndex, k: int = 3) -> None:
        if k < 1:
            raise ConfigError(f"k must be at least 1, got {k}")
        self._examples = examples
        self._k = k

    def predict(self, query: SearchResult) -> Prediction:
        """Interpolate between the nearest examples. Raises LabelError for a label that is not a number."""
        examples = self._examples
        rows = k_nearest(query, examples.class_ids, self._k)
        similarities = query.similarities[rows]
        weights = 1.0 / (np.maximum(1.0 - similarities, 0.0) + _EPSILON)
        shares = np.bincount(examples.class_ids[rows], weights / weights.sum(), len(examples.labels)).tolist()
        weight_of: dict[float, float] = {}
        for label, share in zip(examples.labels, shares, strict=True):
            if share:  # labels such as 10 and 10.0 are one number
                weight_of[number(label)] = weight_of.get(number(label), 0.0) + share
        value = sum(weight * taught for taught, weight in weight_of.items())
        found = Interpolation(value, _weight_beside(value, weight_of))
        confidences = dict(zip(examples.labels, shares, strict=True))
        return Prediction(found.label, confidences, float(similarities[0]), interpolation=found)


def _weight_beside(value: float, weight_of: Mapping[float, float]) -> float:
    """Return the weight of the nearest taught numbers below and above a value."""
    below = max((each for each in weight_of if each <= value), default=None)
    above = min((each for each in weight_of if each >= value), default=None)
    return min(1.0, sum(weight_of[each] for each in {below, above} if each is not None))


def number(label: str) -> float:
    """Return a label as a finite number, or raise LabelError."""
    try:
        value = float(label)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LabelError(f"label '{label}' is not a number; classifier.type regression learns from numbers")
    return value
