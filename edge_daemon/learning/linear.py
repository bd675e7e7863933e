"""The linear head: softmax regression on the embeddings, refitted a little with every frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_daemon.learning.centroid import name, softmax
from edge_daemon.learning.example_set import ExampleSet, Query
from edge_daemon.learning.sample import newest
from edge_daemon.learning.softmax_fit import ROUNDS, SoftmaxFit, Weights
from edge_daemon.types import Prediction

WORK_A_FRAME = 2e7
"""Multiply-adds spent on fitting while a frame waits: about a millisecond here, ten on a small board."""

SAMPLE = 2000
"""So many of the newest examples, evenly over the classes, are fitted."""


class LinearHead:
    """Fits at once from a cold start; after a change it goes on from the weights it has.

    A change is spread over the next frames in steps of bounded work, so no frame waits for a whole
    fit and no thread is needed: 100 examples of 1,280 numbers and 10 classes take 8 frames.
    """

    def __init__(self, examples: ExampleSet) -> None:
        self._examples = examples
        self._version = -1
        self._labels: Sequence[str] = ()
        self._weights: Weights | None = None
        self._fit: SoftmaxFit | None = None
        self._rounds = ROUNDS

    def predict(self, query: Query) -> Prediction:
        """Do a bounded step of fitting if there is one to do, then classify."""
        weights = self._advance()
        return name(self._examples, softmax(weights.scores(query.vector)), query)

    @property
    def settled(self) -> bool:
        """True when the weights are those of the present examples."""
        return self._version == self._examples.version and self._fit is None

    def _advance(self) -> Weights:
        if self._version != self._examples.version:
            self._begin()
        if self._weights is None or self._fit is not None:
            fit = self._fit or self._begin()
            self._weights = fit.advance(self._rounds)
            if fit.rounds >= ROUNDS:
                self._fit = None
        return self._weights

    def _begin(self) -> SoftmaxFit:
        """Start a fit to the present examples, from the weights of the classes that stay."""
        examples = self._examples
        classes = len(examples.labels)
        rows = newest(examples.codes, classes, SAMPLE)
        start = None if self._weights is None else self._carried_over(self._weights)
        work = 2 * len(rows) * classes * examples.matrix.shape[1]
        self._rounds = ROUNDS if start is None else max(1, int(WORK_A_FRAME / work))
        self._fit = SoftmaxFit(examples.matrix[rows], examples.codes[rows], classes, start)
        self._version, self._labels = examples.version, list(examples.labels)
        return self._fit

    def _carried_over(self, old: Weights) -> Weights | None:
        """Give each present class the weights it had, a new one zeros; None for other embeddings."""
        size = self._examples.matrix.shape[1]
        if len(old.centre) != size:
            return None
        matrix = np.zeros((len(self._examples.labels), size), np.float32)
        bias = np.zeros(len(matrix), np.float32)
        for code, label in enumerate(self._examples.labels):
            if label in self._labels:
                row = self._labels.index(label)
                matrix[code], bias[code] = old.matrix[row], old.bias[row]
        return Weights(matrix, bias, old.centre)
