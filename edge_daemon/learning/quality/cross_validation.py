"""Cross-validated PLDA scores of the examples (grouped k-fold)."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.classifiers.plda import fit_plda, subspace
from edge_daemon.learning.classifiers.plda_classifier import classification_rank
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.quality.evaluation import centroid_scores
from edge_daemon.learning.quality.leave_one_out import LeaveOneOutScores
from edge_daemon.learning.sampling import Doubles, assign_folds, balanced_sample, unique

SAMPLE = 200
"""Number of examples, balanced over classes, that are scored. Others get class-mean scores."""

REFIT_GROWTH = 1.05
"""Growth or shrinkage of the number of examples at which all scores are recomputed."""


class CrossValidationScores:
    """Scores for the evaluation of classifiers that learn a discriminant subspace.

    Exact leave-one-out needs one fit per example. Reusing a single fit leaks the held-out example into the
    subspace: with 5 to 20 examples per class the estimate is then 87-100 % at any true accuracy. The
    directions of the largest variance, which do not depend on the classes, are computed once for all folds.
    Scores are cached between refits; newer examples are scored against the class means.
    """

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._examples = examples
        self._count = 0
        self._labels: tuple[str, ...] = ()
        self._scores: dict[tuple[int, int], Doubles] = {}

    def __call__(self, loo: LeaveOneOutScores) -> Doubles:
        """Return scores (n x C) whose maximum is the class that the classifier would predict."""
        count, labels = len(loo.class_ids), tuple(self._examples.labels)
        if labels != self._labels or not self._count / REFIT_GROWTH < count < self._count * REFIT_GROWTH:
            self._refit(loo)
            self._count, self._labels = count, labels
        scores = centroid_scores(loo)
        for row, key in enumerate(self._keys(loo)):
            if key in self._scores:
                scores[row] = self._scores[key]
        return scores

    def _keys(self, loo: LeaveOneOutScores) -> list[tuple[int, int]]:
        """Return the cache keys: id and class, since an example may get another label."""
        return list(zip(self._examples.ids[loo.first_row :], loo.class_ids.tolist(), strict=True))

    def _refit(self, loo: LeaveOneOutScores) -> None:
        classes = len(self._examples.labels)
        rows = balanced_sample(loo.class_ids, classes, SAMPLE)
        self._scores = {}
        if not len(rows):
            return
        keys, class_ids = self._keys(loo), loo.class_ids[rows]
        folds = assign_folds(class_ids, loo.burst_ids[rows])
        rank = classification_rank(classes)
        coordinates = subspace(self._examples.matrix[loo.first_row :][rows], rank).coordinates
        for fold in unique(folds):
            held_out = folds == fold
            plda = fit_plda(coordinates[~held_out], class_ids[~held_out], classes, rank)
            if plda is not None:
                vectors = coordinates[held_out].astype(np.float32)
                for row, vector in zip(rows[held_out].tolist(), vectors, strict=True):
                    self._scores[keys[row]] = plda.ratios(vector).astype(np.float64)
