"""The discriminant head: which taught class explains the query best, under PLDA (see plda.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from edge_daemon.learning.centroid import CentroidHead, name, softmax
from edge_daemon.learning.example_set import ExampleSet, Query
from edge_daemon.learning.plda import Plda, fit_plda, subspace
from edge_daemon.learning.sample import newest
from edge_daemon.types import Prediction

RANK = 64
"""Naming gains from more directions than rejecting does."""

DIRECTIONS = 200
"""So many of the newest examples, evenly over the classes, give the directions: what one frame can do."""

SAMPLE = 2000
"""So many give the classes' means and scatter in these directions."""

ROWS_A_FRAME = 200
"""So many are turned into coordinates while a frame waits: one to two milliseconds on x86-64."""

SHARPNESS = 20.0
"""Confidences are the softmax of this times the ratios per direction, calibrated on four sets."""


class DiscriminantHead:
    """Fitted in closed form after a change; by the class means until two classes have an example to spare.

    Up to 200 examples are fitted in the frame that asks. More take a dozen frames at most, in which the
    old fit answers, or the class means if there is none.
    """

    def __init__(self, examples: ExampleSet) -> None:
        self._examples = examples
        self._version = -1
        self._labels: Sequence[str] = ()
        self._plda: Plda | None = None
        self._work: Iterator[None] | None = None
        self._first = CentroidHead(examples)

    def predict(self, query: Query) -> Prediction:
        """Do a bounded part of the fitting if there is any to do; name the class of the largest ratio."""
        if self._version != self._examples.version:
            self._begin()
        if self._work is not None:
            self._advance(self._work)
        if self._plda is None:
            return self._first.predict(query)
        sharpness = np.float32(SHARPNESS / self._plda.rank)
        return name(self._examples, softmax(sharpness * self._plda.ratios(query.vector)), query)

    @property
    def settled(self) -> bool:
        """True when the fit is one to the present examples."""
        return self._version == self._examples.version and self._work is None

    def _begin(self) -> None:
        """Start a fit to the present examples; do all of it if they are few."""
        self._plda = self._carried_over()
        self._version, self._labels = self._examples.version, list(self._examples.labels)
        self._work = self._do()
        while self._work is not None and len(self._examples) <= DIRECTIONS:
            self._advance(self._work)

    def _advance(self, work: Iterator[None]) -> None:
        try:
            next(work)
        except StopIteration:
            self._work = None

    def _do(self) -> Iterator[None]:
        """Fit, in steps of some milliseconds each. The examples stay as they are until it is done."""
        examples = self._examples
        classes = len(examples.labels)
        space = subspace(examples.matrix[newest(examples.codes, classes, DIRECTIONS)], RANK)
        rows = newest(examples.codes, classes, SAMPLE)
        coordinates = np.empty((len(rows), space.directions.shape[1]))
        yield
        for start in range(0, len(rows), ROWS_A_FRAME):
            part = slice(start, start + ROWS_A_FRAME)
            coordinates[part] = space.project(examples.matrix[rows[part]])
            yield
        plda = fit_plda(coordinates, examples.codes[rows], classes, RANK) if coordinates.size else None
        self._plda = None if plda is None else plda.lifted(space)

    def _carried_over(self) -> Plda | None:
        """Give each present class what it had, none to a new one; None where there is nothing to go by."""
        old, labels = self._plda, self._examples.labels
        if old is None or old.basis.shape[1] != self._examples.size:
            return None
        weights = np.zeros((len(labels), old.weights.shape[1]), np.float32)
        weights[:, -1] = -np.inf
        for code, label in enumerate(labels):
            if label in self._labels:
                weights[code] = old.weights[self._labels.index(label)]
        taught = int(np.isfinite(weights[:, -1]).sum())
        return replace(old, weights=weights, taught=taught) if taught else None
