"""The interface of the classifiers with unknown rejection, and their factory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from edge_daemon.domain.types import Evaluation, Prediction
from edge_daemon.learning.embedding_index import QueryAugmentation

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.domain.types import Vector
    from edge_daemon.learning.classifiers.knn import Metric, Vote
    from edge_daemon.learning.open_set.cohort import Cohort
    from edge_daemon.learning.recent_frames import RecentFrames


class OpenSetClassifier(Protocol):
    """Classifier with unknown rejection for one pool of examples. One owning thread."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Examples per label, in class order."""

    def check(self, label: str) -> None:
        """Raise LabelError for a label that is not allowed. Call it before an example is stored."""

    def add(
        self, embedding: npt.ArrayLike, label: str, example_id: int, group: str = "", session: int = 0
    ) -> None:
        """Add an example of a teaching session. Examples of one burst share a `group`.

        Raises EmbeddingError, LabelError.
        """

    def remove(self, example_ids: Collection[int]) -> int:
        """Remove the examples with these ids. Returns the number removed."""

    def clear(self) -> int:
        """Remove all examples. Returns their number."""

    def most_redundant(self, label: str) -> int:
        """Return the id of the most redundant example of `label`."""

    def predict(
        self,
        embedding: npt.ArrayLike,
        *,
        relaxed_threshold: bool = False,
        recent: RecentFrames | None = None,
    ) -> Prediction:
        """Classify. The label is UNKNOWN if rejected or without examples. Raises EmbeddingError.

        `relaxed_threshold` is for one of several frames of an object, see `UnknownRejector.rejects`. `recent`
        are the frames of the same region, this one included; they show whether the session was taught in.
        """

    def run_to_convergence(self, embedding: npt.ArrayLike) -> None:
        """Complete an incremental fit at once; a device spreads it over frames. Raises EmbeddingError."""

    @property
    def missing_copies(self) -> Sequence[int]:
        """Ids of the examples that need augmented copies, see `AugmentedCopies`."""

    def add_copies(self, example_id: int, embeddings: Sequence[Vector]) -> None:
        """Add the embeddings of the augmented copies of an example."""

    def evaluate(self) -> Evaluation:
        """Evaluate the examples: those of each session by the others, with one session by leave-one-out."""

    def set_unknown(self, value: float | str) -> None:
        """Set the rejection: a similarity from -1 to 1, `auto` or `off`. Raises ConfigError."""


def make_classifier(
    kind: str = "auto",
    k: int = 3,
    metric: Metric = "cosine",
    vote: Vote = "padded",
    unknown: float | str = "auto",
    classes: Sequence[str] = (),
    augment_query: QueryAugmentation | None = None,
    cohort: Cohort | None = None,
) -> OpenSetClassifier:
    """Return a classifier without examples; the defaults are those of the configuration.

    `kind` is a value of `classifier.type`; `classes` are those of the model, for `pretrained`.
    `augment_query`: see `EmbeddingIndex`; `cohort`: see `UnknownRejector`. Raises ConfigError for an invalid
    value.
    """
    if kind == "pretrained":
        from edge_daemon.learning.pretrained_classifier import PretrainedClassifier

        return PretrainedClassifier(classes, unknown)
    from edge_daemon.learning.example_classifier import make_example_classifier

    return make_example_classifier(kind, k, metric, vote, unknown, augment_query, cohort)
