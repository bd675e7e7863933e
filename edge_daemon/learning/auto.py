"""The head that suits the examples at hand, chosen by cross-validation among them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.learning.centroid import CentroidHead
from edge_daemon.learning.discriminant import DiscriminantHead
from edge_daemon.learning.example_set import ExampleSet, Query
from edge_daemon.learning.head import Head
from edge_daemon.learning.knn import KNNHead
from edge_daemon.learning.linear import LinearHead
from edge_daemon.learning.sample import newest
from edge_daemon.types import Prediction

log = logging.getLogger(__name__)

Heads: TypeAlias = Mapping[str, Callable[[ExampleSet], Head]]

HEADS: Heads = {
    "discriminant": DiscriminantHead,
    "linear": LinearHead,
    "centroid": CentroidHead,
    "knn k=1": lambda examples: KNNHead(examples, 1),
    "knn k=3": lambda examples: KNNHead(examples, 3, ties="nearest"),
    "knn k=5": lambda examples: KNNHead(examples, 5, ties="nearest"),
}
"""What is chosen from; the first is taken until another is shown to be better."""

FOLDS = 5
SAMPLE = 200
"""So many of the newest examples take part in the choice, which bounds its cost."""

GROWTH = 1.25
"""The choice is made again when there are so many times the examples of the last one."""

REAL = 2.0
"""A gain is real when it is so many standard errors (McNemar's test on the examples that differ)."""

Marks = npt.NDArray[np.bool_]


class AutoHead:
    """Holds the head that cross-validation on the examples shows to be best, and says when it changes."""

    def __init__(self, examples: ExampleSet) -> None:
        self._examples = examples
        self._chosen_at = 0
        self.choice = next(iter(HEADS))
        self._head = HEADS[self.choice](examples)

    def predict(self, query: Query) -> Prediction:
        """Classify with the chosen head."""
        count = len(self._examples)
        if count >= self._chosen_at * GROWTH or count * GROWTH < self._chosen_at:
            self._choose()
            self._chosen_at = count
        return self._head.predict(query)

    def _choose(self) -> None:
        marks = cross_validate(self._examples, HEADS)
        best = better(marks, self.choice)
        if best != self.choice:
            gain = float(marks[best].mean() - marks[self.choice].mean())
            log.info("%s is %.0f points better than %s here", best, 100 * gain, self.choice)
            self.choice = best
            self._head = HEADS[best](self._examples)


def better(marks: Mapping[str, Marks], present: str) -> str:
    """Name the best head if its gain over the present one is real, else the present one."""
    best = max(marks, key=lambda each: (int(marks[each].sum()), each == present))
    won = int((marks[best] & ~marks[present]).sum())
    lost = int((marks[present] & ~marks[best]).sum())
    return best if won - lost > REAL * math.sqrt(won + lost) else present


def cross_validate(examples: ExampleSet, heads: Heads) -> dict[str, Marks]:
    """Mark for each head which of the newest examples it names right when their fold is not taught.

    Bursts stay together; examples whose class has nothing outside the fold are not asked.
    """
    rows = newest(examples.codes, len(examples.labels), SAMPLE)
    folds = deal(examples, rows)
    marks: dict[str, list[bool]] = {each: [] for each in heads}
    for fold in range(FOLDS):
        taught = _taught(examples, rows[folds != fold])
        known = [row for row in rows[folds == fold].tolist() if _label(examples, row) in taught.counts]
        if not known or len(taught.labels) < 2:
            continue
        for each, make in heads.items():
            head = make(taught)
            for row in known:
                prediction = head.predict(taught.compare(examples.matrix[row]))
                marks[each].append(prediction.label == _label(examples, row))
    return {each: np.array(right, dtype=bool) for each, right in marks.items()}


def deal(examples: ExampleSet, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Deal each class's bursts to the folds in turn."""
    dealt: dict[int, dict[str, int]] = {}
    folds = np.zeros(len(rows), np.intp)
    for place, row in enumerate(rows.tolist()):
        bursts = dealt.setdefault(int(examples.codes[row]), {})
        burst = examples.groups[row] or f"\0{row}"
        folds[place] = bursts.setdefault(burst, len(bursts)) % FOLDS
    return folds


def _taught(examples: ExampleSet, rows: npt.NDArray[np.intp]) -> ExampleSet:
    part = ExampleSet()
    for row in rows.tolist():
        part.add(examples.matrix[row], _label(examples, row), row)
    return part


def _label(examples: ExampleSet, row: int) -> str:
    return examples.labels[int(examples.codes[row])]
