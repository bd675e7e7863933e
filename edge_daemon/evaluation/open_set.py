"""Measure the rejection of what was never taught, near (a class of the same kind) and far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_daemon.evaluation.few_shot import Dataset, split, teach
from edge_daemon.learning.embedding_index import Codes, Floats
from edge_daemon.learning.open_set.rejector import UnknownRejector
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RejectionScore:
    """One measurement. `auroc`: 0.5 is chance, 1 perfect.

    `false_accepts_at_5pct_false_rejects` sets the threshold on the asked pictures themselves;
    `false_rejects` and `false_accepts` are what the threshold set from the examples alone gives.
    """

    auroc: float
    false_accepts_at_5pct_false_rejects: float
    false_rejects: float
    false_accepts: float


def near(data: Dataset, shots: int, seeds: int) -> Iterator[RejectionScore]:
    """Hide each class in turn; its pictures are the unknown."""
    for seed in range(seeds):
        part = split(data, shots, seed)
        for hidden in range(len(data.labels)):
            shown = data.codes != hidden
            known = part.asked[shown[part.asked]]
            yield _measure(data, part.taught[shown[part.taught]], known, data.vectors[~shown])


def far(data: Dataset, strangers: Floats, shots: int, seeds: int) -> Iterator[RejectionScore]:
    """Teach every class; the strangers (unit embeddings, rows) are the unknown."""
    for seed in range(seeds):
        part = split(data, shots, seed)
        yield _measure(data, part.taught, part.asked, strangers)


def average(measured: Iterator[RejectionScore]) -> RejectionScore:
    """Return the mean of several."""
    rows = [
        (each.auroc, each.false_accepts_at_5pct_false_rejects, each.false_rejects, each.false_accepts)
        for each in measured
    ]
    return RejectionScore(*np.mean(rows, axis=0).tolist())


def auroc(known: Doubles, unknown: Doubles) -> float:
    """Return the chance that a known score is above an unknown one; ties count half (Mann-Whitney)."""
    ordered = np.sort(unknown)
    below = np.searchsorted(ordered, known, side="left")
    not_above = np.searchsorted(ordered, known, side="right")
    return float((below + not_above).mean() / (2 * len(unknown)))


def _measure(data: Dataset, taught: Codes, known: Codes, strangers: Floats) -> RejectionScore:
    examples = teach(data, taught)
    openset = UnknownRejector(examples, LeaveOneOut(examples))
    familiar = [openset.familiarity(examples.compare(row)) for row in data.vectors[known]]
    strange = [openset.familiarity(examples.compare(row)) for row in strangers]
    known_scores, unknown_scores = np.array(familiar), np.array(strange)
    return RejectionScore(
        auroc(known_scores, unknown_scores),
        float((unknown_scores >= np.quantile(known_scores, 0.05)).mean()),
        float((known_scores < openset.threshold).mean()),
        float((unknown_scores >= openset.threshold).mean()),
    )
