"""What the discriminant head says of each example when the fifth it is in is not taught."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.classifiers.plda import RANK, fit_plda, subspace
from edge_daemon.learning.embedding_index import Codes, EmbeddingIndex, newest_balanced
from edge_daemon.learning.quality.evaluation import centroid_scores
from edge_daemon.learning.quality.leave_one_out import Doubles, LeaveOneOutScores

FOLDS = 5

SAMPLE = 200
"""So many of the newest examples, evenly over the classes, are scored so; older ones by the class means."""

GROWTH = 1.05
"""All are scored anew when there are so many times the examples of last time, or so many fewer."""


class CrossValidationScores:
    """Scores the examples for the exam of heads that learn the directions in which classes differ.

    Leaving out one example alone would cost a fit for each, and without fitting anew the directions know
    the example: on 5 to 20 examples a class, such an exam says 87 to 100 %, whatever is true. The
    directions of the largest variance, which know no classes, are found once for all folds. Between two
    times, what was scored keeps its scores, and what is new is scored by the class means.
    """

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._examples = examples
        self._count = 0
        self._labels: tuple[str, ...] = ()
        self._scores: dict[tuple[int, int], Doubles] = {}

    def __call__(self, others: LeaveOneOutScores) -> Doubles:
        """Return a score for each example and class; the best is what the head would name."""
        count, labels = len(others.codes), tuple(self._examples.labels)
        if labels != self._labels or not self._count / GROWTH < count < self._count * GROWTH:
            self._score_anew(others)
            self._count, self._labels = count, labels
        scores = centroid_scores(others)
        for row, key in enumerate(self._keys(others)):
            if key in self._scores:
                scores[row] = self._scores[key]
        return scores

    def _keys(self, others: LeaveOneOutScores) -> list[tuple[int, int]]:
        """Tell examples apart by id and class, since one may be given another label."""
        return list(zip(self._examples.ids[others.first :], others.codes.tolist(), strict=True))

    def _score_anew(self, others: LeaveOneOutScores) -> None:
        classes = len(self._examples.labels)
        rows = newest_balanced(others.codes, classes, SAMPLE)
        self._scores = {}
        if not len(rows):
            return
        keys, codes, folds = self._keys(others), others.codes[rows], _deal(others, rows)
        coordinates = subspace(self._examples.matrix[others.first :][rows], RANK).coordinates
        for fold in np.unique(folds):
            asked = folds == fold
            plda = fit_plda(coordinates[~asked], codes[~asked], classes, RANK)
            if plda is not None:
                vectors = coordinates[asked].astype(np.float32)
                for row, vector in zip(rows[asked].tolist(), vectors, strict=True):
                    self._scores[keys[row]] = plda.ratios(vector).astype(np.float64)


def _deal(others: LeaveOneOutScores, rows: Codes) -> Codes:
    """Deal each class's bursts to the folds in turn, so that no burst is split."""
    folds = np.zeros(len(rows), np.intp)
    for code in np.unique(others.codes[rows]):
        own = np.flatnonzero(others.codes[rows] == code)
        _, burst = np.unique(others.bursts[rows[own]], return_inverse=True)
        folds[own] = burst % FOLDS
    return folds
