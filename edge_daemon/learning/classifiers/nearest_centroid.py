"""Nearest class mean: one prototype a class, as in Snell et al., "Prototypical Networks", NeurIPS 2017."""

from __future__ import annotations

import numpy as np

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.base import softmax, to_prediction
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Floats
from edge_daemon.learning.search_result import SearchResult

SHARPNESS = 20.0
"""Factor of the cosines in the softmax: a lead of 0.1 gives confidences of 7 to 1."""


class NearestCentroid:
    """Predicts the class whose mean direction is nearest. The means are updated after a change."""

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._examples = examples
        self._version = -1
        self._means: Floats = np.empty((0, 0), np.float32)

    def predict(self, query: SearchResult) -> Prediction:
        """Compare the query with the mean of each class; a tie goes to the first in class order."""
        if self._version != self._examples.version:
            self._means = class_means(self._examples)
            self._version = self._examples.version
        scores = self._means.dot(query.vector)
        return to_prediction(self._examples, softmax(SHARPNESS * scores), query)


def class_means(examples: EmbeddingIndex) -> Floats:
    """Return the unit-length mean of each class (C x d), in class order."""
    class_ids = range(len(examples.labels))
    means = np.stack([examples.matrix[examples.class_ids == class_id].sum(axis=0) for class_id in class_ids])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    unit_means: Floats = means / np.maximum(lengths, np.float32(1e-12))
    return unit_means
