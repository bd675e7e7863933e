"""Ensemble of the discriminant and the softmax regression: the weighted product of their probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.base import run_to_convergence, softmax, to_prediction
from edge_daemon.learning.classifiers.plda_classifier import PLDAClassifier
from edge_daemon.learning.classifiers.softmax_regression import SoftmaxRegression
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Flags, Floats, Ints
from edge_daemon.learning.search_result import SearchResult

PoolWeights: TypeAlias = tuple[float, float]
"""Exponents of the discriminant's and the softmax regression's probabilities."""

DEFAULT_WEIGHTS: PoolWeights = (0.5, 0.5)
"""The geometric mean."""

MAX_WEIGHT = 3.0

PRIOR = 3.0
"""Strength of the pull of fitted weights towards the geometric mean, in examples. Chosen on photos of things
and textures."""

ITERATIONS = 8
"""Newton iterations; the weights change by less than a hundredth after five."""

_LEAST_PROBABILITY = np.float32(1e-9)
"""Added to each probability, so that none is zero."""


class LogLinearEnsemble:
    """Logarithmic opinion pool of two classifiers (Genest and Zidek, Statistical Science 1986).

    The discriminant is the better one with many examples of few classes, the softmax regression with one
    example of each and with many classes. `weights` are the exponents; fitted to held-out examples, they
    make the pool as good as the better one and calibrate its confidences (docs/measurements/evaluation.md).
    Without two examples of a class, the softmax regression decides alone; until its first fit is complete,
    the discriminant does, whose first fit is completed within the first prediction.
    """

    def __init__(
        self, examples: EmbeddingIndex, discriminant: PLDAClassifier, linear: SoftmaxRegression
    ) -> None:
        self._examples = examples
        self._discriminant = discriminant
        self._linear = linear
        self._is_new = True
        self.weights = DEFAULT_WEIGHTS

    def predict(self, query: SearchResult) -> Prediction:
        """Do a bounded part of the due fits, then classify."""
        if self._is_new:
            self._is_new = False
            run_to_convergence(self._discriminant, query)
        linear = self._linear.confidences(query)
        discriminant = self._discriminant.confidences(query)
        if discriminant is None and not self._linear.is_fitted:
            return self._discriminant.predict(query)
        return to_prediction(self._examples, self._pool(discriminant, linear), query)

    @property
    def is_converged(self) -> bool:
        """True if both classifiers are fitted to the present examples."""
        return self._discriminant.is_converged and self._linear.is_converged

    def _pool(self, discriminant: Floats | None, linear: Floats) -> Floats:
        if discriminant is None:
            return linear
        if not self._linear.is_fitted:
            return discriminant
        return _pool(discriminant, linear, self.weights)


def _pool(discriminant: Floats, linear: Floats, weights: PoolWeights) -> Floats:
    """Return the pooled probabilities over the last axis."""
    scores = np.float32(weights[0]) * np.log(discriminant + _LEAST_PROBABILITY)
    scores += np.float32(weights[1]) * np.log(linear + _LEAST_PROBABILITY)
    return softmax(scores)


class PoolFit:
    """Fits the weights of the pool to held-out probabilities of both classifiers (n x C) and their classes.

    Maximises the log-likelihood, a concave function of two numbers, by Newton's method: stacking (Wolpert,
    "Stacked generalization", 1992).
    """

    def __init__(self, discriminant: Floats, linear: Floats, class_ids: Ints) -> None:
        self._probabilities = discriminant, linear
        self._class_ids = class_ids
        self.weights = DEFAULT_WEIGHTS

    def iterate(self) -> Iterator[None]:
        """Do an iteration per step, a few milliseconds with 1,000 examples of 75 classes."""
        features = [np.log(each + _LEAST_PROBABILITY) for each in self._probabilities]
        rows = np.arange(len(self._class_ids))
        expected = np.array([each[rows, self._class_ids] for each in features], np.float64).reshape(2, -1)
        for _ in range(ITERATIONS if len(rows) else 0):
            pooled = _pool(*self._probabilities, self.weights)
            means = np.array([(pooled * each).sum(axis=1) for each in features], np.float64)
            products = [[float((pooled * a * b).sum()) for a in features] for b in features]
            curvature = np.array(products) - means @ means.T + PRIOR * np.eye(2)
            pull = PRIOR * (np.array(self.weights) - DEFAULT_WEIGHTS)
            step = np.linalg.solve(curvature, (means - expected).sum(axis=1) + pull)
            first, second = np.clip(np.array(self.weights) - step, 0.0, MAX_WEIGHT).tolist()
            self.weights = first, second
            yield

    def correct(self) -> Flags:
        """Return which examples the pool classifies correctly."""
        pooled = _pool(*self._probabilities, self.weights)
        flags: Flags = pooled.argmax(axis=-1) == self._class_ids
        return flags
