"""Cross-validated PLDA scores of the examples (grouped k-fold)."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.classifiers.plda import fit_plda, subspace
from edge_daemon.learning.classifiers.plda_classifier import classification_rank
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.quality.evaluation import centroid_scores
from edge_daemon.learning.quality.leave_one_out import LeaveOneOutScores
from edge_daemon.learning.quality.leave_one_session_out import LeaveOneSessionOutScores
from edge_daemon.learning.sampling import Doubles, Ints, balanced_sample, unique

SAMPLE = 200
"""Number of examples, balanced over classes, that are scored. Others get class-mean scores."""

REFIT_GROWTH = 1.05
"""Growth or shrinkage of the number of examples at which all scores are recomputed."""


class CrossValidationScores:
    """Scores for the evaluation of classifiers that learn a discriminant subspace.

    Exact leave-one-out needs one fit per example. Reusing a single fit leaks the held-out example into the
    subspace: with 5 to 20 examples per class the estimate is then 87-100 % at any true accuracy. The
    directions of the largest variance, which do not depend on the classes, are computed once for all folds.
    Scores are cached between refits; newer examples are scored against the class means. Where whole sessions
    are left out, no fold splits a session.
    """

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._examples = examples
        self._count = 0
        self._labels: tuple[str, ...] = ()
        self._by_session = False
        self._keys: Ints = np.empty(0, np.intp)
        self._scores: Doubles = np.empty((0, 0))

    def __call__(self, loo: LeaveOneOutScores) -> Doubles:
        """Return scores (n x C) whose maximum is the class that the classifier would predict."""
        count, labels = len(loo.class_ids), tuple(self._examples.labels)
        by_session = isinstance(loo, LeaveOneSessionOutScores)
        is_new = labels != self._labels or by_session != self._by_session
        if is_new or not self._count / REFIT_GROWTH < count < self._count * REFIT_GROWTH:
            self._refit(loo)
            self._count, self._labels, self._by_session = count, labels, by_session
        scores = centroid_scores(loo)
        if len(self._keys):
            keys = self._present_keys(loo)
            cached = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            is_cached = self._keys[cached] == keys
            scores[is_cached] = self._scores[cached[is_cached]]
        return scores

    def _present_keys(self, loo: LeaveOneOutScores) -> Ints:
        """Return the cache keys: id and class, since an example may get another label."""
        ids = np.array(self._examples.ids[loo.first_row :], np.intp)
        return ids * len(self._examples.labels) + loo.class_ids

    def _refit(self, loo: LeaveOneOutScores) -> None:
        classes = len(self._examples.labels)
        rows = balanced_sample(loo.class_ids, classes, SAMPLE)
        scores = np.full((len(rows), classes), -np.inf)
        if len(rows):
            class_ids, folds = loo.class_ids[rows], loo.folds(rows)
            rank = classification_rank(classes)
            coordinates = subspace(self._examples.matrix[loo.first_row :][rows], rank).coordinates
            for fold in unique(folds).tolist():
                held_out = folds == fold
                plda = fit_plda(coordinates[~held_out], class_ids[~held_out], classes, rank)
                if plda is not None:
                    vectors = coordinates[held_out].astype(np.float32)
                    scores[held_out] = [plda.ratios(vector) for vector in vectors]
        # Rows without a fit, and rows whose class is in one fold alone, keep the scores of the class means.
        scored = np.flatnonzero(np.isfinite(scores[np.arange(len(rows)), loo.class_ids[rows]]))
        keys = self._present_keys(loo)[rows[scored]]
        order = np.argsort(keys)
        self._keys, self._scores = keys[order], scores[scored[order]]
