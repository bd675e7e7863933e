"""Few-shot accuracy of classifiers: K labelled embeddings a class for training, all others for testing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ConfigError
from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.base import Classifier, run_to_convergence
from edge_daemon.learning.classifiers.grouped_cross_validation import cross_validate
from edge_daemon.learning.classifiers.knn import NearestNeighbours
from edge_daemon.learning.classifiers.model_selection import ModelSelector
from edge_daemon.learning.classifiers.nearest_centroid import NearestCentroid
from edge_daemon.learning.classifiers.plda_classifier import PLDAClassifier
from edge_daemon.learning.classifiers.softmax_regression import SoftmaxRegression
from edge_daemon.learning.embedding_index import EmbeddingIndex, QueryAugmentation
from edge_daemon.learning.quality.cross_validation import CrossValidationScores
from edge_daemon.learning.quality.evaluation import centroid_scores, confusion_matrix, knn_scores
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut
from edge_daemon.learning.sampling import Floats, Ints

ClassifierFactory: TypeAlias = Callable[[EmbeddingIndex], Classifier]

CLASSIFIERS: Mapping[str, ClassifierFactory] = {
    "knn": lambda examples: NearestNeighbours(examples, vote="padded", ties="nearest"),
    "centroid": NearestCentroid,
    "linear": SoftmaxRegression,
    "discriminant": PLDAClassifier,
    "auto": ModelSelector,
}
"""The classifiers with the defaults of the configuration."""

GRID: Mapping[str, ClassifierFactory] = {
    "centroid": NearestCentroid,
    "linear": SoftmaxRegression,
    "discriminant": PLDAClassifier,
    "knn k=1 cosine plain": lambda examples: NearestNeighbours(examples, 1),
    "knn k=3 cosine plain": lambda examples: NearestNeighbours(examples, 3, ties="nearest"),
    "knn k=5 cosine plain": lambda examples: NearestNeighbours(examples, 5, ties="nearest"),
    "knn k=9 cosine plain": lambda examples: NearestNeighbours(examples, 9, ties="nearest"),
    "knn k=3 cosine padded": lambda examples: NearestNeighbours(examples, 3, "padded", ties="nearest"),
    "knn k=1 manhattan plain": lambda examples: NearestNeighbours(examples, 1, metric="manhattan"),
    "knn k=3 manhattan plain": lambda examples: NearestNeighbours(
        examples, 3, metric="manhattan", ties="nearest"
    ),
}
"""Choices of `tune`. Euclidean is left out: on unit vectors it ranks as cosine does."""

# fmt: off
_T975 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
# fmt: on
_NORMAL = 1.96


@dataclass(frozen=True, slots=True)
class Dataset:
    """Unit embeddings (rows), classes as indices into `labels`; `augment_query` as in `EmbeddingIndex`."""

    vectors: Floats
    class_ids: Ints
    labels: tuple[str, ...]
    augment_query: QueryAugmentation | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of the training and the test set."""

    train: Ints
    test: Ints


@dataclass(frozen=True, slots=True)
class ClassifierScore:
    """Accuracies of one classifier, one per seed, and the confusion (true x predicted) over all seeds.

    `make` builds the classifier that was measured.
    """

    classifier: str
    shots: int
    accuracies: tuple[float, ...]
    confusion: npt.NDArray[np.intp]
    make: ClassifierFactory

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.accuracies))

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the seeds; None with a single one."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval: Student's t over the seeds, or Wald's with a single one."""
        count, deviation = len(self.accuracies), self.deviation
        if deviation is not None:
            t = _T975[count - 2] if count - 2 < len(_T975) else _NORMAL
            half_width = t * deviation / math.sqrt(count)
        else:
            half_width = _NORMAL * math.sqrt(
                self.accuracy * (1 - self.accuracy) / max(1, self.confusion.sum())
            )
        return max(0.0, self.accuracy - half_width), min(1.0, self.accuracy + half_width)


def split(data: Dataset, shots: int, seed: int) -> Split:
    """Draw `shots` rows of each class for training. Raises ConfigError for a class without further rows."""
    random = np.random.default_rng(seed)
    train = []
    for class_id, label in enumerate(data.labels):
        rows = np.flatnonzero(data.class_ids == class_id)
        if len(rows) <= shots:
            has, needed = counted(len(rows), "picture"), counted(shots, "shot")
            raise ConfigError(f"'{label}' has {has}; at least {shots + 1} are needed for {needed}")
        train.append(random.permutation(rows)[:shots])
    chosen = np.sort(np.concatenate(train))
    return Split(chosen, np.setdiff1d(np.arange(len(data.class_ids)), chosen))


def build_index(data: Dataset, rows: Ints) -> EmbeddingIndex:
    """Return an index of these rows. Example ids are row numbers."""
    examples = EmbeddingIndex(data.augment_query)
    for row in rows.tolist():
        examples.add(data.vectors[row], data.labels[int(data.class_ids[row])], row)
    return examples


def measure(
    data: Dataset, name: str, make: ClassifierFactory, shots: int, seeds: Iterable[int]
) -> ClassifierScore:
    """Train and test a classifier once per seed."""
    confusion = np.zeros((len(data.labels), len(data.labels)), np.intp)
    accuracies = []
    for seed in seeds:
        part = split(data, shots, seed)
        seed_confusion = evaluate_split(data, make, part)
        confusion += seed_confusion
        accuracies.append(float(np.trace(seed_confusion) / seed_confusion.sum()))
    return ClassifierScore(name, shots, tuple(accuracies), confusion, make)


def evaluate_split(data: Dataset, make: ClassifierFactory, part: Split) -> npt.NDArray[np.intp]:
    """Return the confusion (true x predicted) of one classifier on one split."""
    class_id_of = {label: class_id for class_id, label in enumerate(data.labels)}
    confusion = np.zeros((len(data.labels), len(data.labels)), np.intp)
    for row, prediction in predict_split(data, make, part):
        confusion[data.class_ids[row], class_id_of[prediction.label]] += 1
    return confusion


def predict_split(data: Dataset, make: ClassifierFactory, part: Split) -> Iterator[tuple[int, Prediction]]:
    """Yield each row of the test set with its prediction by a classifier whose fit has converged."""
    examples = build_index(data, part.train)
    classifier = make(examples)
    run_to_convergence(classifier, examples.search(data.vectors[part.test[0]]))
    for row in part.test.tolist():
        yield row, classifier.predict(examples.search(data.vectors[row]))


def leave_one_out_accuracies(data: Dataset, shots: int, seeds: Iterable[int]) -> Iterator[dict[str, float]]:
    """Yield, per seed, the leave-one-out accuracy on the training set by classifier."""
    for seed in seeds:
        examples = build_index(data, split(data, shots, seed).train)
        loo = LeaveOneOut(examples).scores()
        cross_validated = confusion_matrix(loo, CrossValidationScores(examples)(loo))
        confusions = {
            "knn": confusion_matrix(loo, knn_scores(loo)),
            "centroid": confusion_matrix(loo, centroid_scores(loo)),
            "linear": cross_validated,
            "auto": cross_validated,
        }
        yield {
            classifier: float(np.trace(each) / max(1, each.sum())) for classifier, each in confusions.items()
        }


@dataclass(frozen=True, slots=True)
class TuningDraw:
    """The choice of one draw and its accuracy on the test set.

    `correct` has the number of held-out training examples that each choice of GRID classifies correctly.
    """

    choice: str
    accuracy: float
    correct: Mapping[str, int]


def tune(data: Dataset, shots: int, seeds: Iterable[int]) -> list[TuningDraw]:
    """Select from GRID by cross-validation on the training set, once per seed."""
    draws = []
    for seed in seeds:
        part = split(data, shots, seed)
        correct = cross_validate(build_index(data, part.train), _build_grid)
        counts = {name: int(flags.sum()) for name, flags in correct.items()}
        best = max(counts, key=counts.__getitem__)
        confusion = evaluate_split(data, GRID[best], part)
        draws.append(TuningDraw(best, float(np.trace(confusion) / confusion.sum()), counts))
    return draws


def most_frequent(draws: Sequence[TuningDraw]) -> str:
    """Return the choice of most draws; among equals, the one with the most correct examples in all draws."""
    votes = Counter(draw.choice for draw in draws)
    return max(votes, key=lambda name: (votes[name], sum(draw.correct[name] for draw in draws)))


def _build_grid(examples: EmbeddingIndex) -> dict[str, Classifier]:
    return {name: make(examples) for name, make in GRID.items()}


def recalls(confusion: npt.NDArray[np.intp], labels: Sequence[str]) -> dict[str, float]:
    """Return the recall of each class."""
    counts = np.maximum(confusion.sum(axis=1), 1)
    return dict(zip(labels, (np.diag(confusion) / counts).tolist(), strict=True))
