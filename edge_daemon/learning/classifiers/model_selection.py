"""Selection of a classifier by grouped cross-validation, in steps short enough to fit between frames."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.base import Classifier, is_converged
from edge_daemon.learning.classifiers.ensemble import LogLinearEnsemble
from edge_daemon.learning.classifiers.knn import NearestNeighbours
from edge_daemon.learning.classifiers.nearest_centroid import NearestCentroid
from edge_daemon.learning.classifiers.plda_classifier import PLDAClassifier
from edge_daemon.learning.classifiers.softmax_regression import SoftmaxRegression
from edge_daemon.learning.embedding_index import EmbeddingIndex, QueryAugmentation, SearchResult
from edge_daemon.learning.sampling import (
    Flags,
    Floats,
    Ints,
    assign_folds,
    assign_session_folds,
    balanced_sample,
    number_bursts,
    unique,
)

ClassifierBuilder: TypeAlias = Callable[[EmbeddingIndex], dict[str, Classifier]]
"""Returns the classifiers to compare, by name, on the examples of an index."""

SAMPLE = 1000
"""Number of examples, balanced over classes, in a selection, since the best classifier depends on it."""

OFFLINE_SAMPLE = 200
"""Number of examples, balanced over classes, in a cross-validation at once."""

DIRECTIONS = 128
"""Number of directions in which a selection compares its examples: 1,000 examples take half a megabyte."""

DIRECTIONS_SAMPLE = 200
"""Number of examples, balanced over classes, that give these directions: a few milliseconds."""

MIN_STANDARD_ERRORS = 2.0
"""Standard errors of a significant gain (McNemar's test on the examples where two classifiers differ)."""

RESELECT_GROWTH = 1.25
"""Growth or shrinkage of the number of examples at which the selection is repeated."""

_ADDS_PER_STEP = 64
"""Copying 64 examples into a fold takes about a millisecond on x86-64."""

_QUERIES_PER_STEP = 8
"""Classifying 8 examples with seven classifiers takes about as long."""


log = logging.getLogger(__name__)


def build_candidates(examples: EmbeddingIndex) -> dict[str, Classifier]:
    """Return the classifiers to select from. The first one is used until another is significantly better.

    The ensemble shares its parts with the candidates of these names, so that each is fitted once.
    """
    discriminant = PLDAClassifier(examples)
    linear = SoftmaxRegression(examples, spread_first_fit=True)
    return {
        "ensemble": LogLinearEnsemble(examples, discriminant, linear),
        "discriminant": discriminant,
        "linear": linear,
        "centroid": NearestCentroid(examples),
        "knn k=1": NearestNeighbours(examples, 1),
        "knn k=3": NearestNeighbours(examples, 3, ties="nearest"),
        "knn k=5": NearestNeighbours(examples, 5, ties="nearest"),
    }


def cross_validate(
    examples: EmbeddingIndex, build: ClassifierBuilder, limit: int = OFFLINE_SAMPLE
) -> dict[str, Flags]:
    """Return, per classifier, which held-out examples it classifies correctly, on about `limit` examples."""
    rows = balanced_sample(examples.class_ids, len(examples.labels), limit)
    steps = _iter_cross_validation(_Sample.copy_of(examples, rows), build)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            correct: dict[str, Flags] = end.value
            return correct


def iter_selection(
    examples: EmbeddingIndex, build: ClassifierBuilder
) -> Generator[None, None, dict[str, Flags]]:
    """Return the same as `cross_validate` in steps of a few milliseconds, on fewer numbers.

    The examples are compared in their leading directions and are copied first, so that they may change.
    """
    sample = yield from _reduced_sample(examples)
    return (yield from _iter_cross_validation(sample, build))


def _iter_cross_validation(
    sample: _Sample, build: ClassifierBuilder
) -> Generator[None, None, dict[str, Flags]]:
    """Cross-validate by session where there are several, else by burst.

    A step adds or classifies a few examples, or does a part of a classifier's fit. Examples whose class
    occurs in one fold only are skipped.
    """
    folds = assign_session_folds(sample.class_ids, np.array(sample.sessions, np.intp))
    if folds is None:
        folds = assign_folds(sample.class_ids, number_bursts(sample.labels, sample.groups))
    correct: dict[str, list[bool]] = {name: [] for name in build(EmbeddingIndex())}
    for fold in unique(folds).tolist():
        yield from _score_fold(sample, folds == fold, build, correct)
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
    sessions: list[int]

    @classmethod
    def copy_of(cls, examples: EmbeddingIndex, rows: Ints, vectors: Floats | None = None) -> _Sample:
        """Return these rows with other `vectors`, by default their own ones."""
        if vectors is None:
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
            [examples.sessions[row] for row in rows.tolist()],
        )


def _reduced_sample(examples: EmbeddingIndex) -> Generator[None, None, _Sample]:
    """Return a sample in DIRECTIONS numbers per example; cosines hardly change by that.

    Query augmentation needs the embeddings as they are; patch embeddings are short.
    """
    sample = None
    while sample is None:
        rows = balanced_sample(examples.class_ids, len(examples.labels), SAMPLE)
        if examples.augment_query is not None or examples.matrix.shape[1] <= DIRECTIONS:
            return _Sample.copy_of(examples, rows)
        sample = yield from _reduce_unless_changed(examples, rows)
    return sample


def _reduce_unless_changed(examples: EmbeddingIndex, rows: Ints) -> Generator[None, None, _Sample | None]:
    """Return the sample, None if the examples change meanwhile."""
    version, matrix = examples.version, examples.matrix
    some = balanced_sample(examples.class_ids, len(examples.labels), DIRECTIONS_SAMPLE)
    directions = _leading_directions(matrix[some])
    vectors = np.empty((len(rows), directions.shape[1]), np.float32)
    for start in range(0, len(rows), _ADDS_PER_STEP):
        yield
        if examples.version != version:
            return None
        part = slice(start, start + _ADDS_PER_STEP)
        vectors[part] = matrix[rows[part]] @ directions
    return _Sample.copy_of(examples, rows, vectors)


def _leading_directions(vectors: Floats) -> Floats:
    """Return the directions (columns) of the largest second moments of some vectors (rows)."""
    values, axes = np.linalg.eigh((vectors @ vectors.T).astype(np.float64))
    kept = np.flatnonzero(values > 1e-6 * values[-1])[-DIRECTIONS:]
    directions: Floats = vectors.T @ (axes[:, kept] / np.sqrt(values[kept])).astype(np.float32)
    return directions


def _score_fold(
    sample: _Sample,
    held_out: Flags,
    build: ClassifierBuilder,
    correct: Mapping[str, list[bool]],
) -> Generator[None, None, None]:
    """Fit the classifiers without the held-out examples, classify these, and append to `correct`."""
    train = yield from _build_index(sample, np.flatnonzero(~held_out))
    queries = [row for row in np.flatnonzero(held_out).tolist() if sample.labels[row] in train.labels]
    if not queries or len(train.labels) < 2:
        return
    fitted = build(train)
    for classifier in reversed(fitted.values()):  # the parts of the ensemble before it: shorter steps
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

    It begins with the first candidate. A selection starts when the classifier is fitted and takes steps of a
    few milliseconds, one per prediction; the selected classifier is used as soon as it is fitted.
    """

    def __init__(self, examples: EmbeddingIndex, build: ClassifierBuilder = build_candidates) -> None:
        self._examples = examples
        self._build = build
        self._selected_at = 0
        self._selection: Generator[None, None, Mapping[str, Flags]] | None = None
        self._successor: Classifier | None = None
        self.selected, self._classifier = next(iter(build(examples).items()))

    def predict(self, query: SearchResult) -> Prediction:
        """Do a step of a due selection, then classify with the selected classifier."""
        if self._selection is not None or self._successor is not None:
            self._advance(query)
        elif self._due and is_converged(self._classifier):
            self._selection = iter_selection(self._examples, self._build)
            self._selected_at = len(self._examples)
        return self._classifier.predict(query)

    @property
    def is_converged(self) -> bool:
        """True if the selection is complete and its classifier is fitted to the present examples."""
        busy = self._selection is not None or self._successor is not None
        return not (busy or self._due) and is_converged(self._classifier)

    @property
    def _due(self) -> bool:
        count = len(self._examples)
        return not self._selected_at / RESELECT_GROWTH < count < self._selected_at * RESELECT_GROWTH

    def _advance(self, query: SearchResult) -> None:
        if self._successor is not None:
            self._successor.predict(query)
            if is_converged(self._successor):
                self._classifier, self._successor = self._successor, None
        elif self._selection is not None:
            try:
                next(self._selection)
            except StopIteration as end:
                self._selection = None
                self._select(end.value)

    def _select(self, correct: Mapping[str, Flags]) -> None:
        best = select_if_significant(correct, self.selected)
        if best != self.selected:
            gain = float(correct[best].mean() - correct[self.selected].mean())
            log.info("%s classifies %.0f points more correctly than %s here", best, 100 * gain, self.selected)
            self.selected = best
            self._successor = self._build(self._examples)[best]
