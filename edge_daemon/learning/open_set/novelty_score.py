"""How familiar a query looks, from three views of the examples; unknown things score low.

No single score rejects both what is quite different from everything taught (far) and a new class of
the same kind (near). This sum comes close to the best single one at each or passes it, on every set and
model measured (docs/unknown.md):

- the mean cosine to the two nearest examples (kNN distance: Sun et al., "Out-of-Distribution Detection
  with Deep Nearest Neighbors", ICML 2022);
- the L1 distance to the nearest;
- the likelihood ratio of the taught classes against a new one (PLDA, see plda.py).
"""

from __future__ import annotations

import math

import numpy as np

from edge_daemon.learning.classifiers.plda import Doubles, Plda
from edge_daemon.learning.embedding_index import EmbeddingIndex, Floats, SearchResult

NEAREST = 2
"""So many nearest examples are asked: a second one steadies the first, a third adds nothing."""

RATIO_WEIGHT = 1.3
DISTANCE_WEIGHT = 0.45


class NoveltyScorer:
    """Scores queries; the higher, the more familiar. Comparable only with scores of the same examples."""

    def __init__(self, examples: EmbeddingIndex, plda: Plda | None) -> None:
        """Without `plda` nearness alone counts."""
        self._examples = examples
        self._plda = plda
        size = examples.matrix.shape[1]
        # A product with equal weights adds up several times faster than a sum of so few numbers.
        self._weights = np.full(size, DISTANCE_WEIGHT / math.sqrt(size), np.float32)

    def __call__(self, query: SearchResult) -> float:
        """Score one query."""
        vector = query.vector
        rows, similarities = query.top_k(NEAREST)
        difference = vector - self._examples.matrix[rows[0]]
        np.abs(difference, out=difference)
        similar = sum(similarities[:NEAREST]) / min(NEAREST, len(rows))
        score = similar - float(difference.dot(self._weights))
        if self._plda is None:
            return score
        return score + RATIO_WEIGHT * self._plda.ratio(vector) / self._plda.rank


def knn_score(similarities: Floats, vectors: Floats, nearest: Floats) -> Doubles:
    """Return the first two views of many vectors (rows), each with its largest similarities and nearest.

    Similarities of minus infinity stand for examples that there are not.
    """
    known = np.isfinite(similarities)
    near = np.where(known, similarities, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    far = np.abs(vectors - nearest).sum(axis=1) / math.sqrt(vectors.shape[1])
    score: Doubles = near - DISTANCE_WEIGHT * far
    return score


def plda_score(plda: Plda, vectors: Floats | Doubles) -> Doubles:
    """Return the third view of many vectors (rows)."""
    weighted: Doubles = plda.ratio_of(vectors) * (RATIO_WEIGHT / plda.rank)
    return weighted
