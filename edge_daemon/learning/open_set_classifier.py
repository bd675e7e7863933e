"""What the pipeline holds for each pool of examples: the examples, a head on them, and their judges.

Heads are imported when they are chosen: a start takes less time and memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from edge_daemon.domain.errors import ConfigError
from edge_daemon.domain.types import UNKNOWN, Evaluation, Prediction
from edge_daemon.learning.classifiers.base import Classifier
from edge_daemon.learning.embedding_index import EmbeddingIndex, Variants
from edge_daemon.learning.open_set.novelty_score import NEAREST
from edge_daemon.learning.open_set.rejector import UnknownRejector
from edge_daemon.learning.quality.evaluation import centroid_scores, evaluate_examples, knn_scores
from edge_daemon.learning.quality.leave_one_out import Doubles, LeaveOneOut, LeaveOneOutScores
from edge_daemon.learning.quality.outliers import RedundancyIndex

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.learning.classifiers.knn import Metric, Vote

TYPES = ("knn", "centroid", "linear", "regression", "auto", "pretrained")
"""What `classifier.type` may be."""

Score: TypeAlias = Callable[[LeaveOneOutScores], Doubles]
"""Scores each example for each class without itself; the best is what is named."""


class OpenSetClassifier(Protocol):
    """What the pipeline asks of a pool. One owning thread."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Examples per label, in class order."""

    def check(self, label: str) -> None:
        """Raise LabelError for a label that this learner can't take; ask before storing an example."""

    def add(self, embedding: npt.ArrayLike, label: str, example_id: int, group: str = "") -> None:
        """Take one example; those of one burst share a `group`. Raises EmbeddingError, LabelError."""

    def remove(self, example_ids: Collection[int]) -> int:
        """Forget the examples with these ids and say how many were there."""

    def clear(self) -> int:
        """Forget everything and say how many examples that were."""

    def most_redundant(self, label: str) -> int:
        """Return the id of the example of `label` that the others stand in for best."""

    def predict(self, embedding: npt.ArrayLike, *, lenient: bool = False) -> Prediction:
        """Classify. UNKNOWN when rejected, and when nothing is taught. Raises EmbeddingError.

        `lenient` is for one of many frames of an object, see `UnknownRejector.rejects`.
        """

    def exam(self) -> Evaluation:
        """Examine the examples by leaving each out."""

    def set_unknown(self, value: float | str) -> None:
        """Set the rejection: a similarity from -1 to 1, "auto" or "off". Raises ConfigError."""


class ExampleClassifier:
    """Learns from examples with one head; examples, rejection and exam share a product a frame."""

    def __init__(
        self,
        examples: EmbeddingIndex,
        memory: LeaveOneOut,
        head: Classifier,
        openset: UnknownRejector,
        make_score: Callable[[], Score] = lambda: centroid_scores,
        check: Callable[[str], object] = str,
    ) -> None:
        """`make_score` makes what leaves each example out as the head would; `check` raises LabelError."""
        self._examples = examples
        self._memory = memory
        self._redundancy = RedundancyIndex(examples)
        self._head = head
        self._openset = openset
        self._make_score = make_score
        self._score = make_score()
        self._check = check

    @property
    def counts(self) -> Mapping[str, int]:
        """Examples per label, in class order."""
        return self._examples.counts

    def check(self, label: str) -> None:
        """Raise LabelError for a label that this learner can't take; ask before storing an example."""
        self._check(label)

    def add(self, embedding: npt.ArrayLike, label: str, example_id: int, group: str = "") -> None:
        """Take one example; those of one burst share a `group`. Raises EmbeddingError, LabelError."""
        self._check(label)
        self._examples.add(embedding, label, example_id, group)

    def remove(self, example_ids: Collection[int]) -> int:
        """Forget the examples with these ids and say how many were there."""
        self._memory.forget(example_ids)
        return self._examples.remove(example_ids)

    def clear(self) -> int:
        """Forget everything and say how many examples that were."""
        self._memory.forget(self._examples.ids)
        self._redundancy.forget()
        self._score = self._make_score()
        return self._examples.clear()

    def most_redundant(self, label: str) -> int:
        """Return the id of the example of `label` that the others stand in for best."""
        return self._redundancy.most_redundant(label)

    def predict(self, embedding: npt.ArrayLike, *, lenient: bool = False) -> Prediction:
        """Classify. UNKNOWN when rejected, and when nothing is taught. Raises EmbeddingError."""
        if not len(self._examples):
            return Prediction(UNKNOWN, {}, 0.0)
        query = self._examples.compare(embedding)
        prediction = self._head.predict(query)
        if self._openset.rejects(query, lenient=lenient):
            return Prediction(UNKNOWN, prediction.confidences, prediction.similarity)
        return prediction

    def exam(self) -> Evaluation:
        """Examine the examples by leaving each out."""
        others = self._memory.others()
        return evaluate_examples(self._examples.labels, others, self._score(others))

    def set_unknown(self, value: float | str) -> None:
        """Set the rejection: a similarity from -1 to 1, "auto" or "off". Raises ConfigError."""
        self._openset.set(value)


def make_classifier(
    type: str = "knn",
    k: int = 3,
    metric: Metric = "cosine",
    vote: Vote = "plain",
    unknown: float | str = "auto",
    classes: Sequence[str] = (),
    variants: Variants | None = None,
) -> OpenSetClassifier:
    """Build a learner without examples; `classes` are the model's own, for `pretrained`.

    `variants` are what a query is compared in, see `EmbeddingIndex`.
    Raises ConfigError for a value that makes no sense.
    """
    if type == "pretrained":
        from edge_daemon.learning.pretrained_classifier import PretrainedClassifier

        return PretrainedClassifier(classes, unknown)
    examples = EmbeddingIndex(variants)
    memory = LeaveOneOut(examples, max(k, NEAREST) if type in ("knn", "regression") else 3)
    head = _make_head(type, examples, k, metric, vote)
    openset = UnknownRejector(examples, memory, unknown)
    return ExampleClassifier(examples, memory, head, openset, _scoring(type, examples), _label_check(type))


def _make_head(type: str, examples: EmbeddingIndex, k: int, metric: Metric, vote: Vote) -> Classifier:
    match type:
        case "knn":
            from edge_daemon.learning.classifiers.knn import NearestNeighbours

            return NearestNeighbours(examples, k, vote, metric, ties="nearest")
        case "centroid":
            from edge_daemon.learning.classifiers.nearest_centroid import NearestCentroid

            return NearestCentroid(examples)
        case "linear":
            from edge_daemon.learning.classifiers.softmax_regression import SoftmaxRegression

            return SoftmaxRegression(examples)
        case "regression":
            from edge_daemon.learning.classifiers.knn_regression import KNNRegressor

            return KNNRegressor(examples, k)
        case "auto":
            from edge_daemon.learning.classifiers.model_selection import ModelSelector

            return ModelSelector(examples)
    raise ConfigError(f"classifier.type must be one of {', '.join(TYPES)}; got '{type}'")


def _scoring(type: str, examples: EmbeddingIndex) -> Callable[[], Score]:
    """Return what makes the score by which the exam leaves each example out as the head would."""
    if type in ("linear", "auto"):
        from edge_daemon.learning.quality.cross_validation import CrossValidationScores

        return lambda: CrossValidationScores(examples)
    return lambda: knn_scores if type == "knn" else centroid_scores


def _label_check(type: str) -> Callable[[str], object]:
    if type == "regression":
        from edge_daemon.learning.classifiers.knn_regression import number

        return number
    return str
