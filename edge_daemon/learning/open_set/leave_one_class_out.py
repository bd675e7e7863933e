"""Leave-one-class-out scores, and the classes that have enough views to calibrate a threshold."""

from __future__ import annotations

import math

import numpy as np

from edge_daemon.learning.classifiers.plda import fit_plda
from edge_daemon.learning.embedding_index import NEAR_DUPLICATE
from edge_daemon.learning.open_set.novelty_score import NEIGHBOURS, knn_score, plda_score
from edge_daemon.learning.quality.leave_one_out import LeaveOneOutScores
from edge_daemon.learning.sampling import Doubles, Flags, Floats, Ints, dense_rank, unique

MAX_HELD_OUT = 8
"""Number of classes that are held out in turn at most. Each costs a fit of a millisecond."""

BETWEEN_CLASSES_SD = 1.25
"""Distance, in standard deviations, of the least threshold of single views below the mean similarity between
the classes. With 1, two per cent more of the known views are rejected; with 2, hardly more new things."""

ENOUGH_VIEWS = 3
"""A class with fewer views is new if another class has as many. The examples of a burst are one view."""


def held_out_class_scores(
    matrix: Floats, coordinates: Doubles, class_ids: Ints, classes: int, rank: int
) -> list[float]:
    """Score the examples (rows) of each class against a model of the other classes.

    `coordinates` are the examples in a subspace that holds their variance. `rank` is the rank of the model
    whose scores these are compared with; a held-out model has a slightly lower rank if it has few examples.
    The list is empty if too few examples are left: with two classes, or two examples of each.
    """
    scores: list[float] = []
    present = unique(class_ids)
    for held_out in present[:: -(-len(present) // MAX_HELD_OUT)]:
        own = class_ids == held_out
        others, rest = matrix[~own], class_ids[~own]
        held_out_rank = min(rank, len(rest) - 1)
        if held_out_rank * 2 < rank:
            continue
        plda = fit_plda(coordinates[~own], rest, classes, held_out_rank)
        if plda is None:
            continue
        scores += (_knn_scores(matrix[own], others) + plda_score(plda, coordinates[own])).tolist()
    return scores


def other_class_scores(matrix: Floats, class_ids: Ints) -> list[float]:
    """Score the examples (rows) of each class by their nearest neighbours of the other classes alone.

    These replace `held_out_class_scores` where no model of the other classes can be fitted: a ratio of 0
    stands for a query that is as probable under a taught class as under a new one.
    """
    scores: list[float] = []
    for held_out in unique(class_ids):
        own = class_ids == held_out
        if not own.all():
            scores += _knn_scores(matrix[own], matrix[~own]).tolist()
    return scores


def _knn_scores(queries: Floats, others: Floats) -> Doubles:
    similarities = queries @ others.T
    nearest = others[similarities.argmax(axis=1)]
    return knn_score(-np.sort(-similarities, axis=1)[:, :NEIGHBOURS], queries, nearest)


def classes_with_enough_views(loo: LeaveOneOutScores, classes: int) -> Flags:
    """Return for each class whether it has ENOUGH_VIEWS, or as many views as any class.

    A class whose examples are all older than those in `loo` has enough.
    """
    ranks = dense_rank(loo.burst_ids)
    class_of_burst = np.zeros(ranks.max(initial=-1) + 1, np.intp)
    class_of_burst[ranks] = loo.class_ids
    views = np.bincount(class_of_burst, minlength=classes)
    enough: Flags = (views >= min(ENOUGH_VIEWS, views.max(initial=0))) | (views == 0)
    return enough


def mean_by_burst(scores: Doubles, burst_ids: Ints) -> Doubles:
    """Return the mean score of each burst."""
    if not len(scores):
        return scores
    ranks = dense_rank(burst_ids)
    means: Doubles = np.bincount(ranks, scores) / np.bincount(ranks)
    return means


def between_burst_similarities(matrix: Floats, burst_ids: Ints, class_ids: Ints) -> Doubles:
    """Return the cosines of all pairs of examples (rows) of one class and two bursts."""
    pairs = (class_ids[:, None] == class_ids) & (burst_ids[:, None] < burst_ids)
    similarities: Doubles = (matrix @ matrix.T)[pairs].astype(np.float64)
    return similarities


def between_class_similarity(loo: LeaveOneOutScores) -> float:
    """Return the cosine that most views have to the nearest other class.

    It is the mean less BETWEEN_CLASSES_SD standard deviations. A new class is as near to the taught ones. One
    view that was taught as two classes does not count. The result is -inf without another class.
    """
    similarities, nearest = loo.neighbour_similarities[:, 0], loo.neighbour_rows[:, 0]
    counted = np.isfinite(similarities) & (similarities < NEAR_DUPLICATE)
    counted &= loo.class_ids[nearest] != loo.class_ids
    views = mean_by_burst(similarities[counted].astype(np.float64), loo.burst_ids[counted])
    return float(views.mean() - BETWEEN_CLASSES_SD * views.std()) if len(views) else -math.inf
