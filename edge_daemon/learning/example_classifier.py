"""Classifier on taught examples: their index, a classifier, unknown rejection and evaluation.

A classifier's module is imported when it is chosen, which saves time and memory at start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from edge_daemon.domain.errors import ConfigError
from edge_daemon.domain.types import UNKNOWN, UNKNOWN_PREDICTION, Evaluation, Prediction
from edge_daemon.learning.classifiers.base import Classifier, run_to_convergence
from edge_daemon.learning.confidence import ConfidenceCalibrator
from edge_daemon.learning.embedding_index import EmbeddingIndex, QueryAugmentation, normalize
from edge_daemon.learning.nearest_examples import nearest_examples
from edge_daemon.learning.open_set.augmented_copies import AugmentedCopies
from edge_daemon.learning.open_set.novelty_score import NEIGHBOURS
from edge_daemon.learning.open_set.rejection_settings import WHOLE_REGIONS, RejectionSettings
from edge_daemon.learning.open_set.rejector import UnknownRejector
from edge_daemon.learning.quality.evaluation import centroid_scores, evaluate_examples, knn_scores
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut, LeaveOneOutScores
from edge_daemon.learning.quality.leave_one_session_out import leave_sessions_out
from edge_daemon.learning.quality.outliers import RedundancyIndex
from edge_daemon.learning.sampling import Doubles
from edge_daemon.learning.search_result import SearchResult

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.domain.types import Vector
    from edge_daemon.learning.classifiers.knn import Metric, Vote
    from edge_daemon.learning.open_set.cohort import Cohort
    from edge_daemon.learning.open_set.other_scenes import OtherScenes
    from edge_daemon.learning.open_set.taught_sessions import SessionShift
    from edge_daemon.learning.recent_frames import RecentFrames

TYPES = ("knn", "centroid", "linear", "regression", "auto", "pretrained")
"""Values of `classifier.type`."""

LeaveOneOutScorer: TypeAlias = Callable[[LeaveOneOutScores], Doubles]
"""Returns leave-one-out scores (n x C); the class with the largest score is predicted."""


class ExampleClassifier:
    """Open-set classifier on taught examples; classifier and rejector share one product per frame."""

    def __init__(
        self,
        examples: EmbeddingIndex,
        leave_one_out: LeaveOneOut,
        classifier: Classifier,
        rejector: UnknownRejector,
        copies: AugmentedCopies,
        calibrator: ConfidenceCalibrator | None,
        scorer_factory: Callable[[], LeaveOneOutScorer],
        check: Callable[[str], object] | None,
    ) -> None:
        """`scorer_factory` builds the leave-one-out scorer of the classifier; `check` raises LabelError.

        Without a `calibrator`, the confidences are the shares of the classifier; without a `check`, any label
        is allowed.
        """
        self._examples = examples
        self._leave_one_out = leave_one_out
        self._redundancy = RedundancyIndex(examples)
        self._classifier = classifier
        self._rejector = rejector
        self._copies = copies
        self._calibrator = calibrator
        self._scorer_factory = scorer_factory
        self._scorer = scorer_factory()
        self._check = check
        self._other_scenes: OtherScenes | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """Examples per label, in class order."""
        return self._examples.counts

    def check(self, label: str) -> None:
        """Raise LabelError for a label that is not allowed. Call it before an example is stored."""
        if self._check is not None:
            self._check(label)

    def add(
        self, embedding: npt.ArrayLike, label: str, example_id: int, group: str = "", session: int = 0
    ) -> None:
        """Add an example of a teaching session. Examples of one burst share a `group`.

        Raises EmbeddingError, LabelError.
        """
        self.check(label)
        self._examples.add(embedding, label, example_id, group, session)

    def remove(self, example_ids: Collection[int]) -> int:
        """Remove the examples with these ids. Returns the number removed."""
        self._leave_one_out.remove(example_ids)
        return self._examples.remove(example_ids)

    def clear(self) -> int:
        """Remove all examples. Returns their number."""
        self._leave_one_out.remove(self._examples.ids)
        self._redundancy.clear()
        self._scorer = self._scorer_factory()
        return self._examples.clear()

    def most_redundant(self, label: str) -> int:
        """Return the id of the most redundant example of `label`."""
        return self._redundancy.most_redundant(label)

    def predict(
        self,
        embedding: npt.ArrayLike,
        *,
        relaxed_threshold: bool = False,
        recent: RecentFrames | None = None,
    ) -> Prediction:
        """Classify. The label is UNKNOWN if rejected or without examples. Raises EmbeddingError."""
        if not len(self._examples):
            return UNKNOWN_PREDICTION
        query = self._examples.search(embedding)
        original = query.vector
        session_shift = None if recent is None else self._session_shift(recent, query)
        if session_shift is not None and session_shift.offset is not None:
            query = self._examples.search(normalize(original + session_shift.offset)[0])
        prediction = self._classifier.predict(query)
        if self._calibrator is not None:
            other_session = session_shift is not None
            prediction = self._calibrator.calibrate(query, prediction, other_session=other_session)
        rejected = self._rejector.rejects(
            query, relaxed_threshold=relaxed_threshold, session_shift=session_shift, original=original
        )
        return Prediction(
            UNKNOWN if rejected else prediction.label,
            prediction.confidences,
            prediction.similarity,
            nearest_examples(self._examples, query),
            prediction.interpolation,
        )

    def _session_shift(self, recent: RecentFrames, query: SearchResult) -> SessionShift | None:
        """Return how the recent frames, the last of which is the query, differ from the taught sessions."""
        self._rejector.record_known(recent, query)
        return self._rejector.session_shift(recent)

    def is_known_in_other_scene(self, embedding: npt.ArrayLike) -> bool:
        """Apply the lower threshold of objects in scenes without examples, see `OtherScenes`."""
        if self._other_scenes is None:
            from edge_daemon.learning.open_set.other_scenes import OtherScenes

            self._other_scenes = OtherScenes(
                self._examples, self._leave_one_out, self._rejector, self._copies
            )
        return self._other_scenes.accepts(embedding)

    def run_to_convergence(self, embedding: npt.ArrayLike) -> None:
        """Complete an incremental fit at once; a device spreads it over frames. Raises EmbeddingError."""
        if len(self._examples):
            run_to_convergence(self._classifier, self._examples.search(embedding))

    @property
    def missing_copies(self) -> Sequence[int]:
        """Ids of the examples that need augmented copies; empty unless the threshold is calibrated."""
        return self._copies.missing if self._rejector.unknown == "auto" else ()

    def add_copies(self, example_id: int, embeddings: Sequence[Vector]) -> None:
        """Add the embeddings of the augmented copies of an example."""
        self._copies.add(example_id, embeddings)

    def evaluate(self) -> Evaluation:
        """Evaluate the examples by leave-one-session-out where there are several, else by leave-one-out."""
        loo = self._leave_one_out.scores()
        across = leave_sessions_out(self._leave_one_out, loo)
        scores = self._scorer(loo if across is None else across)
        ids = self._examples.ids[loo.first_row :]
        return evaluate_examples(self._examples.labels, loo, scores, across, ids)

    def set_unknown(self, value: float | str) -> None:
        """Set the rejection: a similarity from -1 to 1, `auto` or `off`. Raises ConfigError."""
        self._rejector.set(value)


def make_example_classifier(
    kind: str,
    k: int,
    metric: Metric,
    vote: Vote,
    unknown: float | str,
    augment_query: QueryAugmentation | None = None,
    cohort: Cohort | None = None,
    settings: RejectionSettings = WHOLE_REGIONS,
) -> ExampleClassifier:
    """Return a classifier on taught examples, without any. Raises ConfigError for an invalid value."""
    examples = EmbeddingIndex(augment_query)
    neighbours = max(k, NEIGHBOURS) if kind in ("knn", "regression") else 3
    leave_one_out = LeaveOneOut(examples, neighbours, session_neighbours=kind == "knn")
    classifier = _make_closed_set_classifier(kind, examples, k, metric, vote)
    copies = AugmentedCopies(examples, settings.copies_quantile)
    rejector = UnknownRejector(examples, leave_one_out, unknown, copies, cohort, settings)
    return ExampleClassifier(
        examples,
        leave_one_out,
        classifier,
        rejector,
        copies,
        _make_calibrator(kind, examples, leave_one_out, classifier),
        _scorer_factory_for(kind, examples),
        _label_check_for(kind),
    )


def _make_closed_set_classifier(
    kind: str, examples: EmbeddingIndex, k: int, metric: Metric, vote: Vote
) -> Classifier:
    match kind:
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
    raise ConfigError(f"classifier.type must be one of {', '.join(TYPES)}; got '{kind}'")


def _make_calibrator(
    kind: str, examples: EmbeddingIndex, leave_one_out: LeaveOneOut, classifier: Classifier
) -> ConfidenceCalibrator | None:
    """Return the calibrator of a classifier; None for numeric labels, which lie between the taught ones."""
    if kind == "regression":
        return None
    if kind == "auto":
        from edge_daemon.learning.classifiers.model_selection import ModelSelector

        assert isinstance(classifier, ModelSelector)
        return ConfidenceCalibrator(examples, leave_one_out, lambda: classifier.kind)
    return ConfidenceCalibrator(examples, leave_one_out, lambda: kind)


def _scorer_factory_for(kind: str, examples: EmbeddingIndex) -> Callable[[], LeaveOneOutScorer]:
    """Return the factory of the leave-one-out scorer that matches a kind of classifier."""
    if kind in ("linear", "auto"):
        from edge_daemon.learning.quality.cross_validation import CrossValidationScores

        return lambda: CrossValidationScores(examples)
    return lambda: knn_scores if kind == "knn" else centroid_scores


def _label_check_for(kind: str) -> Callable[[str], object] | None:
    if kind == "regression":
        from edge_daemon.learning.classifiers.knn_regression import number

        return number
    return None
