"""Cohort: embeddings of unrelated photos that calibrate similarities in sessions without examples.

In another light and place all similarities fall, those to the taught classes and those to anything else.
There a query is known if it is nearer to a taught class than to each photo of the cohort, as speaker
verification normalizes its scores by a cohort of other speakers. The rule needs no threshold of the examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.learning.sampling import Floats, unique

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector
    from edge_daemon.learning.embedding_index import EmbeddingIndex

MARGIN = 0.06
"""Cosine by which a known query is nearer to a class than to the cohort (docs/measurements/unknown.md)."""

_EPSILON = 1e-9


class Cohort:
    """Embeddings of unrelated photos, made by the model whose queries are judged."""

    def __init__(self, embeddings: Floats) -> None:
        """`embeddings` (n x d) are the photos' unit embeddings."""
        self._mean: Floats = embeddings.mean(axis=0)
        self._rows = self._centred(embeddings)

    @property
    def embedding_size(self) -> int:
        """Length of the embeddings."""
        return len(self._mean)

    def class_means(self, examples: EmbeddingIndex) -> Floats:
        """Return the mean of each class, centred on the cohort, at unit length (C x d)."""
        present = unique(examples.class_ids).tolist()
        means = [examples.matrix[examples.class_ids == class_id].mean(axis=0) for class_id in present]
        return self._centred(np.stack(means))

    def contains(self, vector: Vector, class_means: Floats) -> bool:
        """Return whether a query at unit length is rather one of the unrelated photos than of a class."""
        centred = self._centred(vector[None])[0]
        return float((class_means @ centred).max() - (self._rows @ centred).max()) < MARGIN

    def _centred(self, rows: Floats) -> Floats:
        centred = rows - self._mean
        lengths = np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), _EPSILON)
        return np.ascontiguousarray(centred / lengths, np.float32)
