"""Nearest class mean: one prototype a class, as in Snell et al., "Prototypical Networks", NeurIPS 2017."""

from __future__ import annotations

import numpy as np

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.embedding_index import EmbeddingIndex, Floats, SearchResult

SHARPNESS = 20.0
"""Confidences are the softmax of the cosines times this: a lead of 0.1 is 7 to 1."""


class NearestCentroid:
    """Names the class whose mean direction is nearest; the means follow every change."""

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._examples = examples
        self._version = -1
        self._means: Floats = np.empty((0, 0), np.float32)

    def predict(self, query: SearchResult) -> Prediction:
        """Compare with each class's mean; a tie goes to the first in class order."""
        if self._version != self._examples.version:
            self._means = class_means(self._examples)
            self._version = self._examples.version
        scores = self._means.dot(query.vector)
        shares = softmax(SHARPNESS * scores)
        return name(self._examples, shares, query)


def class_means(examples: EmbeddingIndex) -> Floats:
    """Return the unit-length mean of each class, in class order."""
    classes = range(len(examples.labels))
    means = np.stack([examples.matrix[examples.codes == code].sum(axis=0) for code in classes])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    unit: Floats = means / np.maximum(lengths, np.float32(1e-12))
    return unit


def softmax(scores: Floats) -> Floats:
    """Return shares that sum to 1."""
    shares: Floats = np.exp(scores - scores.max())
    shares /= shares.sum()
    return shares


def name(examples: EmbeddingIndex, shares: Floats, query: SearchResult) -> Prediction:
    """Turn shares in class order into a prediction."""
    similarities = query.similarities
    label = examples.labels[int(shares.argmax())]
    confidences = dict(zip(examples.labels, shares.tolist(), strict=True))
    return Prediction(label, confidences, similarities.item(similarities.argmax()))
