"""Ensemble of the discriminant and the softmax regression: the geometric mean of their probabilities."""

from __future__ import annotations

import numpy as np

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.base import run_to_convergence, to_prediction
from edge_daemon.learning.classifiers.plda_classifier import PLDAClassifier
from edge_daemon.learning.classifiers.softmax_regression import SoftmaxRegression
from edge_daemon.learning.embedding_index import EmbeddingIndex, SearchResult
from edge_daemon.learning.sampling import Floats

_LEAST_PROBABILITY = np.float32(1e-9)
"""Added to each probability, so that none is zero."""


class LogLinearEnsemble:
    """Logarithmic opinion pool of two classifiers (Genest and Zidek, Statistical Science 1986).

    The discriminant is the better one with many examples of few classes, the softmax regression with one
    example of each and with many classes; the pool is as good as the better one (docs/heads.md). Without two
    examples of a class, the softmax regression decides alone; until its first fit is complete, the
    discriminant does, whose first fit is completed within the first prediction.
    """

    def __init__(
        self, examples: EmbeddingIndex, discriminant: PLDAClassifier, linear: SoftmaxRegression
    ) -> None:
        self._examples = examples
        self._discriminant = discriminant
        self._linear = linear
        self._is_new = True

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
        pooled: Floats = np.sqrt((discriminant + _LEAST_PROBABILITY) * (linear + _LEAST_PROBABILITY))
        pooled /= pooled.sum()
        return pooled
