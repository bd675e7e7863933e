"""How familiar a query looks, from four views of the examples; unknown things score low.

No single score rejects both what is quite different from everything taught (far) and a new class of
the same kind (near). This sum comes close to the best single one at each or passes it, on every set and
model measured (docs/unknown.md):

- the cosine to the nearest example (kNN distance: Sun et al., "Out-of-Distribution Detection with
  Deep Nearest Neighbors", ICML 2022), and the L1 distance to the same example;
- the likelihood ratio of a taught class against a new one (PLDA, see plda.py);
- the cosine to a class's mean pattern of strong activations (pruning as in Djurisic et al.,
  "Extremely Simple Activation Shaping for Out-of-Distribution Detection", ICLR 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_daemon.learning.example_set import Codes, ExampleSet, Floats, Query
from edge_daemon.learning.plda import Plda, fit_plda

RATIO_WEIGHT = 1.3
PATTERN_WEIGHT = 0.45
DISTANCE_WEIGHT = 0.45
STRONG = 1.0
"""An activation is strong when it is so many standard deviations above the embedding's mean."""


@dataclass(frozen=True, slots=True)
class ClassModel:
    """What is fitted to the classes: the likelihood ratios and the mean patterns (classes x size)."""

    plda: Plda | None
    patterns: Floats

    def likeness(self, vector: Floats) -> float:
        """Return how much one unit vector is like its best class."""
        kept, length = strong(vector)
        scores: Floats = self.patterns.dot(kept)
        scores /= length
        if self.plda is not None:
            scores += self.plda.ratios(vector)
        return scores.item(scores.argmax())

    def likeness_of(self, vectors: Floats) -> Floats:
        """Return the same for many vectors (rows)."""
        scores = _strong_rows(vectors) @ self.patterns.T
        if self.plda is not None:
            scores += self.plda.ratios_of(vectors)
        best: Floats = scores.max(axis=1)
        return best


def fit_classes(vectors: Floats, codes: Codes, classes: int, rank: int) -> ClassModel:
    """Fit to unit vectors (rows) and their classes; scores of another `rank` can't be compared."""
    belongs = codes == np.arange(classes)[:, None]
    sums = belongs.astype(np.float32) @ _strong_rows(vectors)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    patterns = (PATTERN_WEIGHT * sums / np.maximum(lengths, 1e-12)).astype(np.float32)
    return ClassModel(fit_plda(vectors, codes, classes, rank, RATIO_WEIGHT), patterns)


def familiarity(examples: ExampleSet, model: ClassModel, query: Query) -> float:
    """Score one query; the higher, the more familiar. Comparable only with scores of the same examples."""
    row = int(query.similarities.argmax())
    near = nearness(query.similarities.item(row), query.vector, examples.matrix[row])
    return near + model.likeness(query.vector)


def nearness(similarity: float, vector: Floats, nearest: Floats) -> float:
    """Join cosine and L1 distance to the nearest example; L1 over root of size is free of the size."""
    difference = vector - nearest
    np.abs(difference, out=difference)
    return similarity - DISTANCE_WEIGHT * float(np.add.reduce(difference)) / math.sqrt(len(vector))


def strong(vector: Floats) -> tuple[Floats, float]:
    """Keep a unit vector's strong activations, zero elsewhere; return them and their length."""
    size = len(vector)
    mean = float(np.add.reduce(vector)) / size
    deviation = math.sqrt(max(1 / size - mean * mean, 0.0))
    kept = vector * (vector > mean + STRONG * deviation)
    return kept, math.sqrt(float(kept.dot(kept))) or 1.0


def _strong_rows(vectors: Floats) -> Floats:
    return np.stack([kept / np.float32(length) for kept, length in map(strong, vectors)])
