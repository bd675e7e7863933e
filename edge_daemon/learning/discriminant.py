"""The discriminant head: which taught class explains the query best, under PLDA (see plda.py)."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.centroid import CentroidHead, name, softmax
from edge_daemon.learning.example_set import ExampleSet, Query
from edge_daemon.learning.plda import Plda, fit_plda
from edge_daemon.learning.sample import newest
from edge_daemon.types import Prediction

RANK = 64
"""Naming gains from more directions than rejecting does."""

SAMPLE = 400
"""So many of the newest examples, evenly over the classes, are fitted: a bound on the time of a press."""

SHARPNESS = 20.0
"""Confidences are the softmax of this times the ratios per direction, calibrated on four sets."""


class DiscriminantHead:
    """Fitted in closed form after a change; by the class means until two classes have an example to spare."""

    def __init__(self, examples: ExampleSet) -> None:
        self._examples = examples
        self._version = -1
        self._plda: Plda | None = None
        self._first = CentroidHead(examples)

    def predict(self, query: Query) -> Prediction:
        """Name the class with the largest likelihood ratio."""
        if self._version != self._examples.version:
            self._fit()
        if self._plda is None:
            return self._first.predict(query)
        sharpness = np.float32(SHARPNESS / self._plda.rank)
        return name(self._examples, softmax(sharpness * self._plda.ratios(query.vector)), query)

    def _fit(self) -> None:
        examples = self._examples
        classes = len(examples.labels)
        rows = newest(examples.codes, classes, SAMPLE)
        self._plda = fit_plda(examples.matrix[rows], examples.codes[rows], classes, RANK)
        self._version = examples.version
