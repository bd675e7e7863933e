"""The sample of the examples that calibrates the threshold, with its cross-validated novelty scores."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from edge_daemon.learning.classifiers.plda import RANK, Subspace, fit_plda, subspace
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.open_set.leave_one_class_out import classes_with_enough_views
from edge_daemon.learning.open_set.novelty_score import NEIGHBOURS, knn_score, plda_score
from edge_daemon.learning.quality.leave_one_out import LeaveOneOutScores
from edge_daemon.learning.sampling import Doubles, Flags, Floats, Ints, assign_folds, balanced_sample, unique

MAX_SAMPLE = 160
"""Number of examples used for calibration (a few ms), balanced over classes and even over their history."""

SUBSPACE_RANK = 2 * RANK
"""Rank of the subspace of the whole sample in which the models of all folds are fitted."""


class CalibrationSample(Struct, frozen=True):
    """A sample of the examples (n rows) with their cross-validated novelty scores.

    `rows` (n) are their rows in the index, ascending. `calibrating` (n) marks the rows whose scores set the
    threshold, `well_sampled` the classes with enough views. `rank` is the PLDA rank that every fold can have.
    """

    rows: Ints
    matrix: Floats
    class_ids: Ints
    burst_ids: Ints
    space: Subspace
    rank: int
    scores: Doubles
    calibrating: Flags
    well_sampled: Flags


def calibration_sample(examples: EmbeddingIndex, loo: LeaveOneOutScores) -> CalibrationSample:
    """Return the sample: at most MAX_SAMPLE examples, balanced over the classes."""
    classes = len(examples.labels)
    rows = balanced_sample(loo.class_ids, classes, MAX_SAMPLE)
    matrix = examples.matrix[loo.first_row :][rows]
    class_ids, burst_ids = loo.class_ids[rows], loo.burst_ids[rows]
    folds = assign_folds(class_ids, burst_ids)
    rank = _common_rank(class_ids, folds)
    space = subspace(matrix, SUBSPACE_RANK)
    scores = _knn_scores(examples, loo, rows)
    scores = scores + _plda_scores(space.coordinates, class_ids, folds, rank)
    well_sampled = classes_with_enough_views(loo, classes)
    calibrating = well_sampled[class_ids] & (loo.same_class_count[rows] > 0)
    return CalibrationSample(
        loo.first_row + rows, matrix, class_ids, burst_ids, space, rank, scores, calibrating, well_sampled
    )


def _knn_scores(examples: EmbeddingIndex, loo: LeaveOneOutScores, rows: Ints) -> Doubles:
    """Return the leave-one-out nearest-neighbour terms of the examples."""
    matrix = examples.matrix[loo.first_row :]
    nearest = matrix[loo.neighbour_rows[rows, 0]]
    return knn_score(loo.neighbour_similarities[rows, :NEIGHBOURS], matrix[rows], nearest)


def _plda_scores(coordinates: Doubles, class_ids: Ints, folds: Ints, rank: int) -> Doubles:
    """Return the cross-validated PLDA terms of the examples: zeros if `rank` is 0."""
    scores = np.zeros(len(class_ids))
    for fold in unique(folds):
        own = folds == fold
        plda = fit_plda(coordinates[~own], class_ids[~own], int(class_ids.max()) + 1, rank)
        if plda is not None:
            scores[own] = plda_score(plda, coordinates[own])
    return scores


def _common_rank(class_ids: Ints, folds: Ints) -> int:
    """Return the largest rank that the model of every fold can have, so that their scores are comparable.

    0 if a fold leaves a single class or too few examples to estimate the scatter.
    """
    rest = [class_ids[folds != fold] for fold in unique(folds)]
    class_counts = [len(unique(each)) for each in rest]
    if min(class_counts) < 2 or any(
        len(each) - count < 2 for each, count in zip(rest, class_counts, strict=True)
    ):
        return 0
    return min([RANK, *(len(each) - 1 for each in rest)])
