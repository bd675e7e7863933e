"""Cross-validation of heads on the examples at hand, in steps short enough to fit between frames."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.base import Classifier, is_converged, run_to_convergence
from edge_daemon.learning.classifiers.knn import NearestNeighbours
from edge_daemon.learning.classifiers.nearest_centroid import NearestCentroid
from edge_daemon.learning.classifiers.plda import PLDAClassifier
from edge_daemon.learning.classifiers.softmax_regression import SoftmaxRegression
from edge_daemon.learning.embedding_index import (
    Codes,
    EmbeddingIndex,
    Floats,
    SearchResult,
    Variants,
    newest_balanced,
)

Heads: TypeAlias = Mapping[str, Callable[[EmbeddingIndex], Classifier]]
Marks: TypeAlias = npt.NDArray[np.bool_]
"""For each example asked, whether a head named it right."""

FOLDS = 5
SAMPLE = 200
"""So many of the newest examples, evenly over the classes, take part, which bounds the cost."""

REAL = 2.0
"""A gain is real when it is so many standard errors (McNemar's test on the examples that differ)."""

_TAUGHT_A_STEP = 64
"""To copy so many examples into a fold takes about a millisecond on x86-64."""

_ASKED_A_STEP = 8
"""To ask six heads so many examples takes about as long."""


def cross_validate(examples: EmbeddingIndex, heads: Heads) -> dict[str, Marks]:
    """Do all steps of a contest at once."""
    steps = iter_cross_validation(examples, heads)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            marks: dict[str, Marks] = end.value
            return marks


def iter_cross_validation(
    examples: EmbeddingIndex, heads: Heads, limit: int = SAMPLE
) -> Generator[None, None, dict[str, Marks]]:
    """Mark which examples each head names right when their fold is not taught.

    A step teaches or asks a few examples or does a part of a head's fit. Works on a copy of about
    `limit` examples, so they may change meanwhile. Bursts stay together; examples whose class has
    nothing outside the fold are not asked.
    """
    sample = _Sample.of(examples, newest_balanced(examples.codes, len(examples.labels), limit))
    folds = assign_folds(sample.labels, sample.groups)
    marks: dict[str, list[bool]] = {each: [] for each in heads}
    for fold in range(FOLDS):
        yield from _judge(sample, folds == fold, heads, marks)
    return {each: np.array(right, dtype=bool) for each, right in marks.items()}


def select_if_significant(marks: Mapping[str, Marks], present: str) -> str:
    """Name the best head if its gain over the present one is real, else the present one."""
    best = max(marks, key=lambda each: (int(marks[each].sum()), each == present))
    won = int((marks[best] & ~marks[present]).sum())
    lost = int((marks[present] & ~marks[best]).sum())
    return best if won - lost > REAL * math.sqrt(won + lost) else present


def assign_folds(labels: Sequence[str], groups: Sequence[str]) -> Codes:
    """Deal each class's bursts to the folds in turn; an example without one is a burst of its own."""
    dealt: dict[str, dict[str, int]] = {}
    folds = np.zeros(len(labels), np.intp)
    for row, (label, group) in enumerate(zip(labels, groups, strict=True)):
        bursts = dealt.setdefault(label, {})
        folds[row] = bursts.setdefault(group or f"\0{row}", len(bursts)) % FOLDS
    return folds


@dataclass(frozen=True, slots=True)
class _Sample:
    """Examples copied out of a set: vectors (rows) at the lengths they came in, labels, ids and bursts."""

    variants: Variants | None
    vectors: Floats
    labels: list[str]
    ids: list[int]
    groups: list[str]

    @classmethod
    def of(cls, examples: EmbeddingIndex, rows: Codes) -> _Sample:
        vectors = examples.matrix[rows]
        vectors *= examples.norms[rows, None]
        return cls(
            examples.variants,
            vectors,
            [examples.labels[code] for code in examples.codes[rows].tolist()],
            [examples.ids[row] for row in rows.tolist()],
            [examples.groups[row] for row in rows.tolist()],
        )


def _judge(
    sample: _Sample, left_out: npt.NDArray[np.bool_], heads: Heads, marks: Mapping[str, list[bool]]
) -> Generator[None, None, None]:
    """Teach all but what is left out, ask the heads that, and add to the marks."""
    taught = yield from _teach(sample, np.flatnonzero(~left_out))
    asked = [row for row in np.flatnonzero(left_out).tolist() if sample.labels[row] in taught.labels]
    if not asked or len(taught.labels) < 2:
        return
    fitted = {each: make(taught) for each, make in heads.items()}
    for head in fitted.values():
        yield from _fit(head, taught.compare(sample.vectors[asked[0]]))
    for count, row in enumerate(asked, start=1):
        query = taught.compare(sample.vectors[row])
        for each, head in fitted.items():
            marks[each].append(head.predict(query).label == sample.labels[row])
        if count % _ASKED_A_STEP == 0:
            yield


def _teach(sample: _Sample, rows: Codes) -> Generator[None, None, EmbeddingIndex]:
    part = EmbeddingIndex(sample.variants)
    for count, row in enumerate(rows.tolist(), start=1):
        part.add(sample.vectors[row], sample.labels[row], sample.ids[row], sample.groups[row])
        if count % _TAUGHT_A_STEP == 0:
            yield
    return part


def _fit(head: Classifier, query: SearchResult) -> Generator[None, None, None]:
    while not is_converged(head):
        head.predict(query)
        yield


log = logging.getLogger(__name__)

HEADS: Heads = {
    "discriminant": PLDAClassifier,
    "linear": lambda examples: SoftmaxRegression(examples, patient=True),
    "centroid": NearestCentroid,
    "knn k=1": lambda examples: NearestNeighbours(examples, 1),
    "knn k=3": lambda examples: NearestNeighbours(examples, 3, ties="nearest"),
    "knn k=5": lambda examples: NearestNeighbours(examples, 5, ties="nearest"),
}
"""What is chosen from; the first is taken until another is shown to be better."""

GROWTH = 1.25
"""The choice is made again when there are so many times the examples of the last one, or so many fewer."""

THOROUGH = 1000
"""So many examples take part in every choice but the first: which head is best depends on how many.

Of 1,280 numbers each they take some 16 MB while the choice lasts.
"""


class ModelSelector:
    """Holds the head that cross-validation on the examples shows to be best, and says when it changes.

    The first choice, after start, is made at once, among 200 examples at most. Later ones are made in
    steps of some milliseconds, one a frame, and the head that is chosen takes over when it is fitted.
    """

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._examples = examples
        self._judged = 0
        self._contest: Generator[None, None, Mapping[str, Marks]] | None = None
        self._heir: Classifier | None = None
        self.choice = next(iter(HEADS))
        self._head = HEADS[self.choice](examples)

    def predict(self, query: SearchResult) -> Prediction:
        """Classify with the chosen head, after a step of the choice if there is any to do."""
        if self._busy:
            self._advance(query)
        elif self._due:
            self._begin(query)
        return self._head.predict(query)

    @property
    def is_converged(self) -> bool:
        """True when the choice is made and the chosen head is fitted to the present examples."""
        return not (self._busy or self._due) and is_converged(self._head)

    @property
    def _due(self) -> bool:
        return not self._judged / GROWTH < len(self._examples) < self._judged * GROWTH

    @property
    def _busy(self) -> bool:
        return self._contest is not None or self._heir is not None

    def _begin(self, query: SearchResult) -> None:
        count, first = len(self._examples), self._judged == 0
        self._contest = iter_cross_validation(self._examples, HEADS, SAMPLE if first else THOROUGH)
        # A first choice from a part of the examples is due again at once.
        self._judged = min(count, SAMPLE) if first else count
        if first:
            while self._busy:
                self._advance(query)
            run_to_convergence(self._head, query)

    def _advance(self, query: SearchResult) -> None:
        if self._heir is not None:
            self._heir.predict(query)
            if is_converged(self._heir):
                self._head, self._heir = self._heir, None
        elif self._contest is not None:
            try:
                next(self._contest)
            except StopIteration as end:
                self._contest = None
                self._decide(end.value)

    def _decide(self, marks: Mapping[str, Marks]) -> None:
        best = select_if_significant(marks, self.choice)
        if best != self.choice:
            gain = float(marks[best].mean() - marks[self.choice].mean())
            log.info("%s names %.0f points more right than %s here", best, 100 * gain, self.choice)
            self.choice = best
            self._heir = HEADS[best](self._examples)
