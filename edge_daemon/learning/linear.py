"""The linear head: softmax regression on the embeddings, refitted a little with every frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge_daemon.learning.centroid import name, softmax
from edge_daemon.learning.example_set import ExampleSet, Query
from edge_daemon.learning.sample import newest
from edge_daemon.learning.softmax_fit import ROUNDS, SoftmaxFit, Weights
from edge_daemon.types import Prediction

WORK_A_FRAME = 2e7
"""Multiply-adds spent on fitting while a frame waits: one to two milliseconds on x86-64."""

PIECE = 5e6
"""What is not divided further; a frame may wait for so much more."""

SAMPLE = 2000
"""So many of the newest examples, evenly over the classes, are fitted."""


_NOTHING = Weights(np.empty((0, 0), np.float32), np.empty(0, np.float32), np.empty(0, np.float32))


class LinearHead:
    """Fits at once from a cold start, unless it is `patient`; after a change it goes on from its weights.

    A change is spread over the next frames in pieces of bounded work, reading the examples included, so
    no frame waits for a fit and no thread is needed: 100 examples of 1,280 numbers and 10 classes take
    8 frames, 2,000 examples some 180. Until the first round is done the old weights answer; a patient head
    has none at first, and all classes are alike to it.
    """

    def __init__(self, examples: ExampleSet, *, patient: bool = False) -> None:
        self._examples = examples
        self._patient = patient
        self._version = -1
        self._labels: Sequence[str] = ()
        self._weights = _NOTHING
        self._fit: SoftmaxFit | None = None

    def predict(self, query: Query) -> Prediction:
        """Do a bounded part of the fitting if there is any to do, then classify."""
        if self._version != self._examples.version:
            self._begin()
        if self._fit is not None:
            self._advance(self._fit)
        return name(self._examples, softmax(self._weights.scores(query.vector)), query)

    @property
    def settled(self) -> bool:
        """True when the weights are those of the present examples."""
        return self._version == self._examples.version and self._fit is None

    def _begin(self) -> None:
        """Start a fit to the present examples; without weights for any of them, do all of it."""
        examples = self._examples
        rows = newest(examples.codes, len(examples.labels), SAMPLE)
        start = self._carried_over()
        piece = math.inf if start is None else PIECE
        if self._fit is not None:
            self._fit.close()
        self._fit = SoftmaxFit(
            examples.matrix, examples.codes, len(examples.labels), start, rows=rows, piece=piece
        )
        self._weights = start or self._fit.advance(ROUNDS)
        self._version, self._labels = examples.version, list(examples.labels)

    def _advance(self, fit: SoftmaxFit) -> None:
        self._weights = fit.spend(WORK_A_FRAME) or self._weights
        if fit.rounds >= ROUNDS:
            fit.close()
            self._fit = None

    def _carried_over(self) -> Weights | None:
        """Give each present class the weights it had, a new one zeros; None where there is none to go by."""
        old, size = self._weights, self._examples.matrix.shape[1]
        if len(old.centre) != size:
            return self._blank() if self._patient else None
        matrix = np.zeros((len(self._examples.labels), size), np.float32)
        bias = np.zeros(len(matrix), np.float32)
        for code, label in enumerate(self._examples.labels):
            if label in self._labels:
                row = self._labels.index(label)
                matrix[code], bias[code] = old.matrix[row], old.bias[row]
        return Weights(matrix, bias, old.centre)

    def _blank(self) -> Weights:
        shape = (len(self._examples.labels), self._examples.matrix.shape[1])
        bias, centre = np.zeros(shape[0], np.float32), np.zeros(shape[1], np.float32)
        return Weights(np.zeros(shape, np.float32), bias, centre)
