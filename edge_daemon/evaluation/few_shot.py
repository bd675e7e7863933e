"""Measure heads on labelled embeddings: K shots a class, several seeds, all other pictures asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ConfigError
from edge_daemon.learning.classifiers.base import Classifier, run_to_convergence
from edge_daemon.learning.classifiers.knn import NearestNeighbours
from edge_daemon.learning.classifiers.model_selection import ModelSelector, cross_validate
from edge_daemon.learning.classifiers.nearest_centroid import NearestCentroid
from edge_daemon.learning.classifiers.plda import PLDAClassifier
from edge_daemon.learning.classifiers.softmax_regression import SoftmaxRegression
from edge_daemon.learning.embedding_index import Codes, EmbeddingIndex, Floats, Variants
from edge_daemon.learning.quality.cross_validation import CrossValidationScores
from edge_daemon.learning.quality.evaluation import centroid_scores, confuse, knn_scores
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut

MakeHead: TypeAlias = Callable[[EmbeddingIndex], Classifier]

HEADS: Mapping[str, MakeHead] = {
    "knn": lambda examples: NearestNeighbours(examples, ties="nearest"),
    "centroid": NearestCentroid,
    "linear": SoftmaxRegression,
    "discriminant": PLDAClassifier,
    "auto": ModelSelector,
}

GRID: Mapping[str, MakeHead] = {
    "centroid": NearestCentroid,
    "linear": SoftmaxRegression,
    "discriminant": PLDAClassifier,
    "knn k=1 cosine": lambda examples: NearestNeighbours(examples, 1),
    "knn k=3 cosine": lambda examples: NearestNeighbours(examples, 3, ties="nearest"),
    "knn k=5 cosine": lambda examples: NearestNeighbours(examples, 5, ties="nearest"),
    "knn k=9 cosine": lambda examples: NearestNeighbours(examples, 9, ties="nearest"),
    "knn k=3 cosine padded": lambda examples: NearestNeighbours(examples, 3, "padded", ties="nearest"),
    "knn k=1 manhattan": lambda examples: NearestNeighbours(examples, 1, metric="manhattan"),
    "knn k=3 manhattan": lambda examples: NearestNeighbours(examples, 3, metric="manhattan", ties="nearest"),
}
"""What `tune` chooses from. Euclidean is left out: on unit vectors it ranks as cosine does."""

# fmt: off
_T975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
# fmt: on
_NORMAL = 1.96


@dataclass(frozen=True, slots=True)
class Dataset:
    """Unit embeddings (rows), classes as indices into `labels`; `variants` as in `EmbeddingIndex`."""

    vectors: Floats
    codes: Codes
    labels: tuple[str, ...]
    variants: Variants | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """Rows that are taught and rows that are asked."""

    taught: Codes
    asked: Codes


@dataclass(frozen=True, slots=True)
class ClassifierScore:
    """How one head did: an accuracy for each seed, and the confusion (true x named) over all seeds."""

    head: str
    shots: int
    accuracies: tuple[float, ...]
    confusion: npt.NDArray[np.intp]

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.accuracies))

    @property
    def deviation(self) -> float | None:
        """Standard deviation of one draw from the next; None with a single one."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence: Student's t over the seeds, or Wald's with a single one."""
        count, deviation = len(self.accuracies), self.deviation
        if deviation is not None:
            t = _T975[count - 2] if count - 2 < len(_T975) else _NORMAL
            reach = t * deviation / math.sqrt(count)
        else:
            reach = _NORMAL * math.sqrt(self.accuracy * (1 - self.accuracy) / max(1, self.confusion.sum()))
        return max(0.0, self.accuracy - reach), min(1.0, self.accuracy + reach)


def split(data: Dataset, shots: int, seed: int) -> Split:
    """Draw `shots` rows of each class. Raises ConfigError when a class has no more than that."""
    draw = np.random.default_rng(seed)
    taught = []
    for code, label in enumerate(data.labels):
        rows = np.flatnonzero(data.codes == code)
        if len(rows) <= shots:
            raise ConfigError(f"'{label}' has {len(rows)} pictures; {shots} shots need at least {shots + 1}")
        taught.append(draw.permutation(rows)[:shots])
    chosen = np.sort(np.concatenate(taught))
    return Split(chosen, np.setdiff1d(np.arange(len(data.codes)), chosen))


def teach(data: Dataset, rows: Codes) -> EmbeddingIndex:
    """Return a set taught these rows; example ids are row numbers."""
    examples = EmbeddingIndex(data.variants)
    for row in rows.tolist():
        examples.add(data.vectors[row], data.labels[int(data.codes[row])], row)
    return examples


def measure(data: Dataset, name: str, make: MakeHead, shots: int, seeds: int) -> ClassifierScore:
    """Teach and ask once for each seed."""
    confusion = np.zeros((len(data.labels), len(data.labels)), np.intp)
    accuracies = []
    for seed in range(seeds):
        part = split(data, shots, seed)
        marked = ask(data, make, part)
        confusion += marked
        accuracies.append(float(np.trace(marked) / marked.sum()))
    return ClassifierScore(name, shots, tuple(accuracies), confusion)


def ask(data: Dataset, make: MakeHead, part: Split) -> npt.NDArray[np.intp]:
    """Return the confusion of one head on one split, once it has done all its fitting."""
    examples = teach(data, part.taught)
    head = make(examples)
    code_of = {label: code for code, label in enumerate(data.labels)}
    confusion = np.zeros((len(data.labels), len(data.labels)), np.intp)
    run_to_convergence(head, examples.compare(data.vectors[part.asked[0]]))
    for row in part.asked.tolist():
        named = head.predict(examples.compare(data.vectors[row])).label
        confusion[data.codes[row], code_of[named]] += 1
    return confusion


def exam_accuracies(data: Dataset, shots: int, seeds: int) -> Iterator[dict[str, float]]:
    """Yield what the exam says of what is taught, for each seed: the accuracy by head."""
    for seed in range(seeds):
        examples = teach(data, split(data, shots, seed).taught)
        others = LeaveOneOut(examples).others()
        folds = confuse(others, CrossValidationScores(examples)(others))
        marks = {
            "knn": confuse(others, knn_scores(others)),
            "centroid": confuse(others, centroid_scores(others)),
            "linear": folds,
            "auto": folds,
        }
        yield {head: float(np.trace(each) / max(1, each.sum())) for head, each in marks.items()}


def tune(data: Dataset, shots: int, seeds: int) -> list[tuple[str, float]]:
    """Choose from GRID by cross-validation on what is taught alone; yield choice and accuracy a seed."""
    chosen = []
    for seed in range(seeds):
        part = split(data, shots, seed)
        marks = cross_validate(teach(data, part.taught), GRID)
        best = max(marks, key=lambda each: int(marks[each].sum()))
        confusion = ask(data, GRID[best], part)
        chosen.append((best, float(np.trace(confusion) / confusion.sum())))
    return chosen


def per_class(confusion: npt.NDArray[np.intp], labels: Sequence[str]) -> dict[str, float]:
    """Return each class's recall."""
    asked = np.maximum(confusion.sum(axis=1), 1)
    return dict(zip(labels, (np.diag(confusion) / asked).tolist(), strict=True))
