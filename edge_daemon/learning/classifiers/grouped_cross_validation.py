"""Cross-validation of classifiers by session or burst, in steps short enough to fit between frames."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeAlias

import numpy as np
from msgspec import Struct

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.base import Classifier, is_converged, run_steps
from edge_daemon.learning.embedding_index import EmbeddingIndex, QueryAugmentation
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
from edge_daemon.learning.search_result import SearchResult

ClassifierBuilder: TypeAlias = Callable[[EmbeddingIndex], dict[str, Classifier]]
"""Returns the classifiers to compare, by name, on the examples of an index."""

SAMPLE = 1000
"""Number of examples, balanced over classes, in stepwise cross-validation."""

OFFLINE_SAMPLE = 200
"""Number of examples, balanced over classes, in a cross-validation at once."""

DIRECTIONS = 96
"""Number of directions in which stepwise cross-validation compares: 1,000 examples take half a megabyte."""

DIRECTIONS_SAMPLE = 200
"""Number of examples, balanced over classes, that give these directions: a few milliseconds."""

_ADDS_PER_STEP = 64
"""Copying 64 examples into a fold takes about a millisecond on x86-64."""

_QUERIES_PER_STEP = 8
"""Classifying 8 examples with seven classifiers takes about as long."""


class HeldOutPredictions:
    """Predictions of the held-out examples (n) by each classifier.

    `correct` says which predictions are right (n). `class_ids` are the true classes. `confidences` are those
    of the classifiers named in `keep` (n x C), 0 for a class that the fold did not have.
    """

    def __init__(self, labels: list[str], names: list[str], keep: tuple[str, ...]) -> None:
        self._class_ids = {label: class_id for class_id, label in enumerate(labels)}
        self._correct: dict[str, list[bool]] = {name: [] for name in names}
        self._kept: dict[str, list[Floats]] = {name: [] for name in keep if name in self._correct}
        self._expected: list[int] = []

    def add(self, label: str, predictions: dict[str, Prediction]) -> None:
        """Add the predictions of one example of `label`."""
        self._expected.append(self._class_ids[label])
        for name, prediction in predictions.items():
            self._correct[name].append(prediction.label == label)
        for name, rows in self._kept.items():
            row = np.zeros(len(self._class_ids), np.float32)
            for each, confidence in predictions[name].confidences.items():
                row[self._class_ids[each]] = confidence
            rows.append(row)

    @property
    def correct(self) -> dict[str, Flags]:
        """Flags of the correctly classified examples, per classifier."""
        return {name: np.array(flags, dtype=bool) for name, flags in self._correct.items()}

    @property
    def class_ids(self) -> Ints:
        """The true class of each example."""
        return np.array(self._expected, np.intp)

    def confidences(self, name: str) -> Floats:
        """Return the confidences (n x C) of a classifier that is kept."""
        return np.array(self._kept[name], np.float32).reshape(len(self._expected), len(self._class_ids))


def cross_validate(
    examples: EmbeddingIndex, build: ClassifierBuilder, limit: int = OFFLINE_SAMPLE
) -> dict[str, Flags]:
    """Return, per classifier, which held-out examples it classifies correctly, on about `limit` examples."""
    rows = balanced_sample(examples.class_ids, len(examples.labels), limit)
    return run_steps(_iter_folds(_Sample.copy_of(examples, rows), build)).correct


def iter_cross_validation(
    examples: EmbeddingIndex, build: ClassifierBuilder, keep: tuple[str, ...] = ()
) -> Generator[None, None, HeldOutPredictions]:
    """Cross-validate in steps of a few milliseconds; keep the confidences of the classifiers `keep`.

    The examples are compared in their leading directions and are copied first, so that they may change.
    """
    sample = yield from _reduced_sample(examples)
    return (yield from _iter_folds(sample, build, keep))


def _iter_folds(
    sample: _Sample, build: ClassifierBuilder, keep: tuple[str, ...] = ()
) -> Generator[None, None, HeldOutPredictions]:
    """Cross-validate by session where there are several, else by burst.

    A step adds or classifies a few examples, or does a part of a classifier's fit. Examples whose class
    occurs in one fold only are skipped.
    """
    folds = assign_session_folds(sample.class_ids, np.array(sample.sessions, np.intp))
    if folds is None:
        folds = assign_folds(sample.class_ids, number_bursts(sample.labels, sample.groups))
    results = HeldOutPredictions(sample.classes, list(build(EmbeddingIndex())), keep)
    for fold in unique(folds).tolist():
        yield from _score_fold(sample, folds == fold, build, results)
    return results


class _Sample(Struct, frozen=True):
    """Examples copied from an index: vectors (rows) at their original lengths, classes, ids and bursts."""

    augment_query: QueryAugmentation | None
    vectors: Floats
    classes: list[str]
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
            list(examples.labels),
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
    results: HeldOutPredictions,
) -> Generator[None, None, None]:
    """Fit the classifiers without the held-out examples, classify these, and add them to the results."""
    train = yield from _build_index(sample, np.flatnonzero(~held_out))
    queries = [row for row in np.flatnonzero(held_out).tolist() if sample.labels[row] in train.labels]
    if not queries or len(train.labels) < 2:
        return
    fitted = build(train)
    for classifier in reversed(fitted.values()):  # the parts of the ensemble before it: shorter steps
        yield from _fit(classifier, train.search(sample.vectors[queries[0]]))
    for count, row in enumerate(queries, start=1):
        query = train.search(sample.vectors[row])
        results.add(sample.labels[row], {name: each.predict(query) for name, each in fitted.items()})
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
