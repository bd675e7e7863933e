"""How far from the taught a stranger stands: each taught class scored as if it had not been taught."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.example_set import Codes, Floats
from edge_daemon.learning.familiarity import fit_classes, nearness

MOST_ASKED = 8
"""So many classes at most are left out in turn: each costs a fit of some milliseconds."""


def stranger_scores(matrix: Floats, codes: Codes, classes: int, rank: int) -> list[float]:
    """Score the examples (rows) of each class by the examples of the other classes alone.

    `rank` is that of the model whose scores these are compared with; the fewer examples of the others
    allow somewhat less. Empty where too few are left: with two classes, or two examples of each.
    """
    scores: list[float] = []
    taught = np.unique(codes)
    for left_out in taught[:: -(-len(taught) // MOST_ASKED)]:
        own = codes == left_out
        others, rest = matrix[~own], codes[~own]
        within = min(rank, len(rest) - 1)
        if len(np.unique(rest)) < 2 or within * 2 < rank:
            continue
        likeness = fit_classes(others, rest, classes, within).likeness_of(matrix[own])
        similarities = matrix[own] @ others.T
        for vector, row, like in zip(matrix[own], similarities, likeness.tolist(), strict=True):
            nearest = int(row.argmax())
            scores.append(nearness(float(row[nearest]), vector, others[nearest]) + like)
    return scores
