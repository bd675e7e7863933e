"""What the pipeline holds for each pool of examples: the examples, a head on them, and their judges."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy.typing as npt

from edge_daemon.errors import ConfigError
from edge_daemon.learning.exam import examine, knn_scores
from edge_daemon.learning.example_set import ExampleSet
from edge_daemon.learning.head import Head
from edge_daemon.learning.knn import KNNHead, Metric, Vote
from edge_daemon.learning.leave_one_out import LeaveOneOut
from edge_daemon.learning.openset import OpenSet
from edge_daemon.types import UNKNOWN, Exam, Prediction


class Learner:
    """Learns from examples and classifies embeddings, or says `unknown`. One owning thread."""

    def __init__(self, examples: ExampleSet, memory: LeaveOneOut, head: Head, openset: OpenSet) -> None:
        self._examples = examples
        self._memory = memory
        self._head = head
        self._openset = openset

    @property
    def counts(self) -> Mapping[str, int]:
        """Examples per label, in class order."""
        return self._examples.counts

    def add(self, embedding: npt.ArrayLike, label: str, example_id: int, group: str = "") -> None:
        """Take one example; those of one burst share a `group`. Raises EmbeddingError."""
        self._examples.add(embedding, label, example_id, group)

    def remove(self, example_ids: Collection[int]) -> int:
        """Forget the examples with these ids and say how many were there."""
        self._memory.forget(example_ids)
        return self._examples.remove(example_ids)

    def clear(self) -> int:
        """Forget everything and say how many examples that were."""
        return self._examples.clear()

    def predict(self, embedding: npt.ArrayLike) -> Prediction:
        """Classify. UNKNOWN when rejected, and when nothing is taught. Raises EmbeddingError."""
        if not len(self._examples):
            return Prediction(UNKNOWN, {}, 0.0)
        query = self._examples.compare(embedding)
        prediction = self._head.predict(query)
        if self._openset.rejects(query):
            return Prediction(UNKNOWN, prediction.confidences, prediction.similarity)
        return prediction

    def exam(self) -> Exam:
        """Examine the examples by leaving each out."""
        others = self._memory.others()
        return examine(self._examples.labels, others, knn_scores(others))

    def set_unknown(self, value: float | str) -> None:
        """Set the rejection: a similarity from -1 to 1, "auto" or "off". Raises ConfigError."""
        self._openset.set(value)


def make_learner(
    type: str = "knn",
    k: int = 3,
    metric: Metric = "cosine",
    vote: Vote = "plain",
    unknown: float | str = "auto",
) -> Learner:
    """Build a learner without examples. Raises ConfigError for a value that makes no sense."""
    if type != "knn":
        raise ConfigError(f"classifier.type must be knn, got '{type}'")
    examples = ExampleSet()
    memory = LeaveOneOut(examples, k)
    return Learner(examples, memory, KNNHead(examples, k, vote, metric), OpenSet(examples, memory, unknown))
