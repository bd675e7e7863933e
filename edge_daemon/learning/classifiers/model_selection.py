"""Selection of a classifier by grouped cross-validation, in steps short enough to fit between frames."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.base import Classifier, is_converged, run_to_convergence
from edge_daemon.learning.classifiers.knn import NearestNeighbours
from edge_daemon.learning.classifiers.nearest_centroid import NearestCentroid
from edge_daemon.learning.classifiers.plda_classifier import PLDAClassifier
from edge_daemon.learning.classifiers.softmax_regression import SoftmaxRegression
from edge_daemon.learning.embedding_index import EmbeddingIndex, QueryAugmentation, SearchResult
from edge_daemon.learning.sampling import (
    FOLDS,
    Flags,
    Floats,
    Ints,
    assign_folds,
    newest_balanced,
    number_bursts,
)

ClassifierFactories: TypeAlias = Mapping[str, Callable[[EmbeddingIndex], Classifier]]

FIRST_SAMPLE = 200
"""Number of newest examples, balanced over classes, in the first selection. It bounds the cost."""

MIN_STANDARD_ERRORS = 2.0
"""Standard errors of a significant gain (McNemar's test on the examples where two classifiers differ)."""

_ADDS_PER_STEP = 64
"""Copying 64 examples into a fold takes about a millisecond on x86-64."""

_QUERIES_PER_STEP = 8
"""Classifying 8 examples with six classifiers takes about as long."""


log = logging.getLogger(__name__)

CANDIDATES: ClassifierFactories = {
    "discriminant": PLDAClassifier,
    "linear": lambda examples: SoftmaxRegression(examples, spread_first_fit=True),
    "centroid": NearestCentroid,
    "knn k=1": lambda examples: NearestNeighbours(examples, 1),
    "knn k=3": lambda examples: NearestNeighbours(examples, 3, ties="nearest"),
    "knn k=5": lambda examples: NearestNeighbours(examples, 5, ties="nearest"),
}
"""The classifiers to select from. The first one is used until another one is significantly better."""

RESELECT_GROWTH = 1.25
"""Growth or shrinkage of the number of examples at which the selection is repeated."""

LATER_SAMPLE = 1000
"""Number of newest examples in later selections, since the best classifier depends on the number.

With 1,280 numbers each they take about 16 MB during a selection.
"""


def cross_validate(examples: EmbeddingIndex, classifiers: ClassifierFactories) -> dict[str, Flags]:
    """Return the result of `iter_cross_validation`, all steps at once."""
    steps = iter_cross_validation(examples, classifiers)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            correct: dict[str, Flags] = end.value
            return correct


def iter_cross_validation(
    examples: EmbeddingIndex, classifiers: ClassifierFactories, limit: int = FIRST_SAMPLE
) -> Generator[None, None, dict[str, Flags]]:
    """Return, per classifier, which held-out examples it classifies correctly.

    A step adds or classifies a few examples, or does a part of a classifier's fit. It works on a copy of
    about `limit` examples, which may change meanwhile. A burst is never split across folds. Examples whose
    class occurs in that fold only are skipped.
    """
    sample = _Sample.copy_of(examples, newest_balanced(examples.class_ids, len(examples.labels), limit))
    folds = assign_folds(sample.class_ids, number_bursts(sample.labels, sample.groups))
    correct: dict[str, list[bool]] = {each: [] for each in classifiers}
    for fold in range(FOLDS):
        yield from _score_fold(sample, folds == fold, classifiers, correct)
    return {each: np.array(flags, dtype=bool) for each, flags in correct.items()}


def select_if_significant(correct: Mapping[str, Flags], current: str) -> str:
    """Return the best classifier if its gain over the current one is significant, else the current one."""
    best = max(correct, key=lambda each: (int(correct[each].sum()), each == current))
    won = int((correct[best] & ~correct[current]).sum())
    lost = int((correct[current] & ~correct[best]).sum())
    return best if won - lost > MIN_STANDARD_ERRORS * math.sqrt(won + lost) else current


@dataclass(frozen=True, slots=True)
class _Sample:
    """Examples copied from an index: vectors (rows) at their original lengths, classes, ids and bursts."""

    augment_query: QueryAugmentation | None
    vectors: Floats
    class_ids: Ints
    labels: list[str]
    ids: list[int]
    groups: list[str]

    @classmethod
    def copy_of(cls, examples: EmbeddingIndex, rows: Ints) -> _Sample:
        vectors = examples.matrix[rows]
        vectors *= examples.norms[rows, None]
        class_ids = examples.class_ids[rows]
        return cls(
            examples.augment_query,
            vectors,
            class_ids,
            [examples.labels[class_id] for class_id in class_ids.tolist()],
            [examples.ids[row] for row in rows.tolist()],
            [examples.groups[row] for row in rows.tolist()],
        )


def _score_fold(
    sample: _Sample,
    held_out: Flags,
    classifiers: ClassifierFactories,
    correct: Mapping[str, list[bool]],
) -> Generator[None, None, None]:
    """Fit the classifiers without the held-out examples, classify these, and append to `correct`."""
    train = yield from _build_index(sample, np.flatnonzero(~held_out))
    queries = [row for row in np.flatnonzero(held_out).tolist() if sample.labels[row] in train.labels]
    if not queries or len(train.labels) < 2:
        return
    fitted = {each: make(train) for each, make in classifiers.items()}
    for classifier in fitted.values():
        yield from _fit(classifier, train.search(sample.vectors[queries[0]]))
    for count, row in enumerate(queries, start=1):
        query = train.search(sample.vectors[row])
        for each, classifier in fitted.items():
            correct[each].append(classifier.predict(query).label == sample.labels[row])
        if count % _QUERIES_PER_STEP == 0:
            yield


def _build_index(sample: _Sample, rows: Ints) -> Generator[None, None, EmbeddingIndex]:
    index = EmbeddingIndex(sample.augment_query)
    for count, row in enumerate(rows.tolist(), start=1):
        index.add(sample.vectors[row], sample.labels[row], sample.ids[row], sample.groups[row])
        if count % _ADDS_PER_STEP == 0:
            yield
    return index


def _fit(classifier: Classifier, query: SearchResult) -> Generator[None, None, None]:
    while not is_converged(classifier):
        classifier.predict(query)
        yield


class ModelSelector:
    """Predicts with the classifier that cross-validation on the examples selects.

    The first selection is made at once, with FIRST_SAMPLE examples at most. Later ones take steps of a few
    milliseconds, one per prediction; the selected classifier is used as soon as it is fitted.
    """

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._examples = examples
        self._selected_at = 0
        self._cross_validation: Generator[None, None, Mapping[str, Flags]] | None = None
        self._successor: Classifier | None = None
        self.selected = next(iter(CANDIDATES))
        self._classifier = CANDIDATES[self.selected](examples)

    def predict(self, query: SearchResult) -> Prediction:
        """Do a step of a due selection, then classify with the selected classifier."""
        if self._busy:
            self._advance(query)
        elif self._due:
            self._begin(query)
        return self._classifier.predict(query)

    @property
    def is_converged(self) -> bool:
        """True if the selection is complete and its classifier is fitted to the present examples."""
        return not (self._busy or self._due) and is_converged(self._classifier)

    @property
    def _due(self) -> bool:
        count = len(self._examples)
        return not self._selected_at / RESELECT_GROWTH < count < self._selected_at * RESELECT_GROWTH

    @property
    def _busy(self) -> bool:
        return self._cross_validation is not None or self._successor is not None

    def _begin(self, query: SearchResult) -> None:
        count, first = len(self._examples), self._selected_at == 0
        limit = FIRST_SAMPLE if first else LATER_SAMPLE
        self._cross_validation = iter_cross_validation(self._examples, CANDIDATES, limit)
        # A first selection from a part of the examples is due again at once.
        self._selected_at = min(count, FIRST_SAMPLE) if first else count
        if first:
            while self._busy:
                self._advance(query)
            run_to_convergence(self._classifier, query)

    def _advance(self, query: SearchResult) -> None:
        if self._successor is not None:
            self._successor.predict(query)
            if is_converged(self._successor):
                self._classifier, self._successor = self._successor, None
        elif self._cross_validation is not None:
            try:
                next(self._cross_validation)
            except StopIteration as end:
                self._cross_validation = None
                self._select(end.value)

    def _select(self, correct: Mapping[str, Flags]) -> None:
        best = select_if_significant(correct, self.selected)
        if best != self.selected:
            gain = float(correct[best].mean() - correct[self.selected].mean())
            log.info("%s classifies %.0f points more correctly than %s here", best, 100 * gain, self.selected)
            self.selected = best
            self._successor = CANDIDATES[best](self._examples)
