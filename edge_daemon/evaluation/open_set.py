"""Open-set evaluation: rejection of near OOD (a class of the same kind) and far OOD queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from edge_daemon.evaluation.few_shot import Dataset, build_index, split
from edge_daemon.learning.open_set.rejector import UnknownRejector
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut
from edge_daemon.learning.sampling import Doubles, Floats, Ints


@dataclass(frozen=True, slots=True)
class RejectionScore:
    """Figures of one rejector. `auroc`: 0.5 is chance, 1 perfect.

    `false_accepts_at_5pct_false_rejects` uses a threshold set on the test pictures; `false_rejects` and
    `false_accepts` use the threshold calibrated on the examples.
    """

    auroc: float
    false_accepts_at_5pct_false_rejects: float
    false_rejects: float
    false_accepts: float


def near_ood(data: Dataset, shots: int, seeds: Iterable[int]) -> Iterator[RejectionScore]:
    """Hold out each class in turn; its pictures are the unknown queries."""
    for seed in seeds:
        part = split(data, shots, seed)
        for held_out in range(len(data.labels)):
            kept = data.class_ids != held_out
            known = part.test[kept[part.test]]
            yield _measure(data, part.train[kept[part.train]], known, data.vectors[~kept])


def far_ood(data: Dataset, unknown: Floats, shots: int, seeds: Iterable[int]) -> Iterator[RejectionScore]:
    """Teach every class; `unknown` (unit embeddings, rows) are the unknown queries."""
    for seed in seeds:
        part = split(data, shots, seed)
        yield _measure(data, part.train, part.test, unknown)


def average(scores: Iterator[RejectionScore]) -> RejectionScore:
    """Return the mean of several scores."""
    rows = [
        (each.auroc, each.false_accepts_at_5pct_false_rejects, each.false_rejects, each.false_accepts)
        for each in scores
    ]
    return RejectionScore(*np.mean(rows, axis=0).tolist())


def auroc(known: Doubles, unknown: Doubles) -> float:
    """Return the probability that a known score exceeds an unknown one; ties count half (Mann-Whitney)."""
    ordered = np.sort(unknown)
    below = np.searchsorted(ordered, known, side="left")
    not_above = np.searchsorted(ordered, known, side="right")
    return float((below + not_above).mean() / (2 * len(unknown)))


def _measure(data: Dataset, train: Ints, known: Ints, unknown: Floats) -> RejectionScore:
    examples = build_index(data, train)
    rejector = UnknownRejector(examples, LeaveOneOut(examples))
    known_scores = np.array([rejector.score(examples.search(row)) for row in data.vectors[known]])
    unknown_scores = np.array([rejector.score(examples.search(row)) for row in unknown])
    return RejectionScore(
        auroc(known_scores, unknown_scores),
        float((unknown_scores >= np.quantile(known_scores, 0.05)).mean()),
        float((known_scores < rejector.threshold).mean()),
        float((unknown_scores >= rejector.threshold).mean()),
    )
