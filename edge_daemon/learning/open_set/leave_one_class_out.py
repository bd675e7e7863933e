"""How far from the taught a stranger stands: each taught class scored as if it had not been taught."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.classifiers.plda import Doubles, fit_plda
from edge_daemon.learning.embedding_index import Codes, Floats, unique
from edge_daemon.learning.open_set.novelty_score import NEAREST, knn_score, plda_score

MOST_ASKED = 8
"""So many classes at most are left out in turn: each costs a fit of a millisecond."""


def held_out_class_scores(
    matrix: Floats, coordinates: Doubles, codes: Codes, classes: int, rank: int
) -> list[float]:
    """Score the examples (rows) of each class by the examples of the other classes alone.

    `coordinates` are the examples' in a subspace that holds what they vary in. `rank` is that of the
    model whose scores these are compared with; the fewer examples of the others allow somewhat less.
    Empty where too few are left: with two classes, or two examples of each.
    """
    scores: list[float] = []
    taught = unique(codes)
    for left_out in taught[:: -(-len(taught) // MOST_ASKED)]:
        own = codes == left_out
        others, rest = matrix[~own], codes[~own]
        within = min(rank, len(rest) - 1)
        if within * 2 < rank:
            continue
        plda = fit_plda(coordinates[~own], rest, classes, within)
        if plda is None:
            continue
        similarities = matrix[own] @ others.T
        near = knn_score(
            -np.sort(-similarities, axis=1)[:, :NEAREST], matrix[own], others[similarities.argmax(axis=1)]
        )
        scores += (near + plda_score(plda, coordinates[own])).tolist()
    return scores
