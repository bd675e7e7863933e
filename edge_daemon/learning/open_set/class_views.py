"""How many views of each class were taught, and how alike they are. The examples of a burst are one view."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_daemon.learning.embedding_index import Codes, Floats, ranked
from edge_daemon.learning.quality.leave_one_out import Doubles, LeaveOneOutScores

Flags = npt.NDArray[np.bool_]

ENOUGH = 3
"""A class of fewer views, while another has as many, is a newcomer."""


def classes_with_enough_views(others: LeaveOneOutScores, classes: int) -> Flags:
    """Say of each class whether it has as many views as any, or three.

    A class whose examples are all too old to be examined was settled long ago.
    """
    ranks = ranked(others.bursts)
    class_of_burst = np.zeros(ranks.max(initial=-1) + 1, np.intp)
    class_of_burst[ranks] = others.codes
    views = np.bincount(class_of_burst, minlength=classes)
    settled: Flags = (views >= min(ENOUGH, views.max(initial=0))) | (views == 0)
    return settled


def mean_by_burst(scores: Doubles, bursts: Codes) -> Doubles:
    """Return the mean score of each burst."""
    if not len(scores):
        return scores
    ranks = ranked(bursts)
    means: Doubles = np.bincount(ranks, scores) / np.bincount(ranks)
    return means


def between_bursts(matrix: Floats, bursts: Codes, codes: Codes) -> Doubles:
    """Return how similar two views of a class are, for all pairs of examples (rows) from two bursts."""
    pairs = (codes[:, None] == codes) & (bursts[:, None] < bursts)
    similarities: Doubles = (matrix @ matrix.T)[pairs].astype(np.float64)
    return similarities
