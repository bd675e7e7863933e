"""Novelty score of a query: nearest-neighbour similarity, L1 distance and a PLDA likelihood ratio.

No single score rejects both objects that differ from every taught class (far OOD) and a new class of the
same kind (near OOD). This sum equals or nearly equals the best single score for each, on every data set
and model measured (docs/unknown.md):

- the mean cosine to the two nearest examples (kNN distance: Sun et al., "Out-of-Distribution Detection
  with Deep Nearest Neighbors", ICML 2022);
- the L1 distance to the nearest example;
- the likelihood ratio of the taught classes against a new class (PLDA, see plda.py).

The sign is that of scikit-learn's `score_samples`: the higher the score, the more normal the query.
"""

from __future__ import annotations

import math

import numpy as np

from edge_daemon.learning.classifiers.plda import Plda
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Doubles, Floats
from edge_daemon.learning.search_result import SearchResult

NEIGHBOURS = 2
"""Number of nearest examples in the mean. The second one lowers the variance; a third adds nothing."""

RATIO_WEIGHT = 1.3
DISTANCE_WEIGHT = 0.45


class NoveltyScorer:
    """Scores queries; low scores are unknown. Scores of different examples are not comparable."""

    def __init__(self, examples: EmbeddingIndex, plda: Plda | None) -> None:
        """Use the two nearest-neighbour terms alone if `plda` is None."""
        self._examples = examples
        self._plda = plda
        size = examples.matrix.shape[1]
        # A product with equal weights is several times faster than a sum over few numbers.
        self._weights = np.full(size, DISTANCE_WEIGHT / math.sqrt(size), np.float32)

    def __call__(self, query: SearchResult) -> float:
        """Return the score of one query."""
        vector = query.vector
        rows, similarities = query.top_k(NEIGHBOURS)
        difference = vector - self._examples.matrix[rows[0]]
        np.abs(difference, out=difference)
        similarity = sum(similarities[:NEIGHBOURS]) / min(NEIGHBOURS, len(rows))
        score = similarity - float(difference.dot(self._weights))
        if self._plda is None:
            return score
        return score + RATIO_WEIGHT * self._plda.ratio(vector) / self._plda.rank


def knn_score(similarities: Floats, vectors: Floats, nearest: Floats) -> Doubles:
    """Return the nearest-neighbour terms of many vectors (rows).

    `similarities` are the largest cosines of each vector, minus infinity where there are fewer examples;
    `nearest` is the nearest example of each vector.
    """
    known = np.isfinite(similarities)
    similarity = np.where(known, similarities, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    distance = np.abs(vectors - nearest).sum(axis=1) / math.sqrt(vectors.shape[1])
    score: Doubles = similarity - DISTANCE_WEIGHT * distance
    return score


def plda_score(plda: Plda, vectors: Floats | Doubles) -> Doubles:
    """Return the likelihood-ratio term of many vectors (rows)."""
    weighted: Doubles = plda.ratio_batch(vectors) * (RATIO_WEIGHT / plda.rank)
    return weighted
