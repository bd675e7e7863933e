"""Open-set rejection with a threshold that is calibrated on the examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from edge_daemon.domain.errors import ConfigError
from edge_daemon.learning.classifiers.plda import fit_plda
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.open_set.augmented_copies import AugmentedCopies
from edge_daemon.learning.open_set.calibration_sample import CalibrationSample, calibration_sample
from edge_daemon.learning.open_set.cohort import Cohort
from edge_daemon.learning.open_set.leave_one_class_out import (
    ENOUGH_VIEWS,
    between_burst_similarities,
    between_class_similarity,
    held_out_class_scores,
    mean_by_burst,
    other_class_scores,
)
from edge_daemon.learning.open_set.novelty_score import NEIGHBOURS, NoveltyScorer
from edge_daemon.learning.open_set.other_sessions import OtherSessions, fit_other_sessions
from edge_daemon.learning.open_set.rejection_settings import WHOLE_REGIONS, RejectionSettings
from edge_daemon.learning.open_set.taught_sessions import MIN_FRAMES, SessionShift
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut, LeaveOneOutScores
from edge_daemon.learning.recent_frames import RecentFrames
from edge_daemon.learning.sampling import Doubles, Flags, Floats, unique
from edge_daemon.learning.search_result import SearchResult

Unknown: TypeAlias = float | Literal["auto", "off"]

TARGET_FALSE_REJECT_QUANTILE = 0.065
"""Quantile of the calibration scores that is the threshold, for about 5 % false rejects.

Calibration scores come from fewer examples than a query's score. The quantile 6.5 % gives 4.5 % false
rejects on held-out pictures (mean of twelve data sets, see docs/unknown.md).
"""

PATCH_MIN_CORRELATION = 0.7
"""Minimum similarity for `auto` with patch embeddings, where similarity is a correlation."""

HELD_OUT_QUANTILE = 0.15
"""Quantile of the held-out classes' scores below which the threshold never falls.

Where few bursts of a class were taught, its cross-validated scores come from other scenes and can lie below
those of everything else. Where presses are independent, the quantile changes few thresholds.
"""

NEW_CLASS_SLACK_SD = 2.0
"""Extra slack, in standard deviations, for a class with few views; divided by the number of
well-sampled classes."""

# fmt: off
_T95 = (
    6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83,
    1.81, 1.80, 1.78, 1.77, 1.76, 1.75, 1.75, 1.74, 1.73,
)
# fmt: on
"""Student's t at 95 %, one-sided, for 1 to 18 degrees of freedom."""


def check_unknown(value: float | str) -> Unknown:
    """Return a valid setting of `classifier.unknown` or raise ConfigError."""
    if value == "auto":
        return "auto"
    if value == "off":
        return "off"
    if isinstance(value, str) or not -1 <= value <= 1:
        raise ConfigError(f"unknown must be auto, off or a similarity from -1 to 1, got {value!r}")
    return float(value)


class UnknownRejector:
    """Rejects queries whose novelty score is below a threshold.

    `auto` calibrates the threshold on the examples. A number is the minimum cosine to the nearest example
    instead; with query augmentation `auto` is such a number as well (measured in docs/regions.md). The fit
    is made at the first query after a change, so that adding many examples fits once.
    """

    def __init__(
        self,
        examples: EmbeddingIndex,
        leave_one_out: LeaveOneOut,
        unknown: float | str = "auto",
        copies: AugmentedCopies | None = None,
        cohort: Cohort | None = None,
        settings: RejectionSettings = WHOLE_REGIONS,
    ) -> None:
        """Calibrate classes of a single view on `copies`; None: on the similarities between the classes.

        The `cohort` decides in other sessions; None: the copies do.
        """
        self._examples = examples
        self._leave_one_out = leave_one_out
        self._copies = copies
        self._cohort = cohort
        self._settings = settings
        self._version = (-1, -1)
        self._scorer: Callable[[SearchResult], float] = _max_similarity
        self._threshold = -math.inf
        self._relaxed_threshold = -math.inf
        self._other_sessions: OtherSessions | None = None
        self._pending_fit: Callable[[], OtherSessions | None] | None = None
        self._scored: tuple[SearchResult, float] | None = None
        self.unknown = check_unknown(unknown)

    def set(self, unknown: float | str) -> None:
        """Change the setting. Raises ConfigError."""
        self.unknown = check_unknown(unknown)

    def session_shift(self, recent: RecentFrames) -> SessionShift | None:
        """Return how the recent frames differ from the taught sessions, see `TaughtSessions.session_shift`.

        None in a taught session, and without a threshold for other sessions.
        """
        if self.unknown != "auto" or recent.count < MIN_FRAMES:
            return None
        self._update()
        other = self._fit_other_sessions()
        return None if other is None else other.session_shift(recent)

    def record_known(self, recent: RecentFrames, query: SearchResult) -> None:
        """Count the query, the latest of the `recent` frames, as known or unknown in the taught sessions."""
        if self.unknown == "auto":
            recent.record_known(known=self.score(query) >= self._threshold)

    def rejects(
        self,
        query: SearchResult,
        *,
        relaxed_threshold: bool = False,
        session_shift: SessionShift | None = None,
        original: Floats | None = None,
    ) -> bool:
        """Return whether the query is unknown; `relaxed_threshold` makes `auto` reject less than its 5 %.

        With a `session_shift` the query comes from another session; `original` is its vector before the move.
        """
        if self.unknown == "off":
            return False
        if self.unknown != "auto":
            return float(query.similarities.max()) < self.unknown
        score = self.score(query)
        other = self._other_sessions
        if session_shift is not None and other is not None:
            vector = query.vector if original is None else original
            rejected = other.rejects_shifted(session_shift, vector, score)
            if rejected is not None:
                return rejected
        if score >= (self.relaxed_threshold if relaxed_threshold else self._threshold):
            return False
        other = self._fit_other_sessions()
        return other is None or not other.accepts(query.vector, score)

    def score(self, query: SearchResult) -> float:
        """Return the novelty score of a query. `auto` rejects scores below `threshold`."""
        self._update()
        if self._scored is None or self._scored[0] is not query:
            self._scored = query, self._scorer(query)
        return self._scored[1]

    @property
    def threshold(self) -> float:
        """The score below which `auto` rejects, as of the last query."""
        return self._threshold

    @property
    def relaxed_threshold(self) -> float:
        """The threshold of relaxed queries, as of the last query.

        It lies a share (the settings' `relaxation`) of the way from `threshold` down to the highest score of
        a held-out class. If that score reaches the threshold, both thresholds are equal.
        """
        return self._relaxed_threshold

    def _update(self) -> None:
        """Fit to the present examples and copies."""
        version = (self._examples.version, 0 if self._copies is None else self._copies.version)
        if self._version != version:
            self._fit()
            self._version = version

    def _fit(self) -> None:
        self._other_sessions = self._pending_fit = self._scored = None
        if self._examples.augment_query is not None:
            # The examples were taught at one position, so their scores exclude the shifts of queries.
            self._scorer = _max_similarity
            self._threshold = self._relaxed_threshold = PATCH_MIN_CORRELATION
            return
        loo = self._leave_one_out.scores()
        sample = calibration_sample(self._examples, loo)
        known = mean_by_burst(sample.scores[sample.calibrating], sample.burst_ids[sample.calibrating])
        calibrating_classes = len(unique(sample.class_ids[sample.calibrating]))
        # With two views of a class, each is the nearest of the other: their scores are one. With more
        # views, some scores are shared.
        independent = len(known) - (calibrating_classes + 1) // 2
        single_views = len(unique(loo.burst_ids)) == len(unique(loo.class_ids))
        if (independent < 2 or single_views) and self._fit_on_copies(loo):
            return
        if independent < 2:
            self._scorer = _max_similarity
            self._threshold = self._relaxed_threshold = _single_view_threshold(self._examples, loo)
            return
        held_out = held_out_class_scores(
            sample.matrix, sample.space.coordinates, sample.class_ids, len(self._examples.labels), sample.rank
        )
        few_views = len(known) < ENOUGH_VIEWS * calibrating_classes
        self._threshold = max(lower_bound(known, independent), _held_out_floor(sample, held_out, few_views))
        gap = max(0.0, self._threshold - max(held_out, default=self._threshold))
        self._relaxed_threshold = self._threshold - self._settings.relaxation * gap
        self._scorer = self._build_scorer(sample, loo, independent, calibrating_classes)
        if self._copies is not None and sample.well_sampled.all():
            self._pending_fit = partial(
                fit_other_sessions,
                self._examples,
                sample,
                self._copies,
                held_out,
                self._threshold,
                self._cohort,
            )

    def _fit_other_sessions(self) -> OtherSessions | None:
        """Return the thresholds of other sessions, which are fitted when they are needed first."""
        if self._pending_fit is not None:
            self._other_sessions, self._pending_fit = self._pending_fit(), None
        return self._other_sessions

    def _fit_on_copies(self, loo: LeaveOneOutScores) -> bool:
        """Use a threshold for each class, from the copies of its examples; return whether there are any.

        Pictures of one place are similar, so no threshold is below the similarity between the classes.
        """
        if self._copies is None:
            return False
        thresholds = self._copies.class_thresholds(_single_view_threshold(self._examples, loo))
        if thresholds is None:
            return False
        if self._settings.shows_place:
            thresholds = np.maximum(thresholds, between_class_similarity(loo))
        self._scorer = partial(self._similarity_excess, thresholds)
        self._threshold = self._relaxed_threshold = 0.0
        return True

    def _similarity_excess(self, thresholds: Doubles, query: SearchResult) -> float:
        """Return the similarity to the nearest example, less the threshold of its class."""
        rows, similarities = query.top_k(NEIGHBOURS)
        return float(similarities[0] - thresholds[self._examples.class_ids[rows[0]]])

    def _build_scorer(
        self,
        sample: CalibrationSample,
        loo: LeaveOneOutScores,
        independent: int,
        calibrating_classes: int,
    ) -> Callable[[SearchResult], float]:
        plda = fit_plda(sample.space.coordinates, sample.class_ids, len(self._examples.labels), sample.rank)
        scorer = NoveltyScorer(self._examples, None if plda is None else plda.in_full_space(sample.space))
        if sample.well_sampled.all():
            return scorer
        rows = sample.calibrating
        within_class = between_burst_similarities(
            sample.matrix[rows], sample.burst_ids[rows], sample.class_ids[rows]
        )
        if len(within_class) < 2:  # the sample has one burst of each class
            least = _single_view_threshold(self._examples, loo)
        else:
            slack = NEW_CLASS_SLACK_SD * float(within_class.std()) / calibrating_classes
            least = lower_bound(within_class, independent) - slack
        return partial(self._score_new_classes, scorer, sample.well_sampled, least)

    def _score_new_classes(
        self, scorer: Callable[[SearchResult], float], well_sampled: Flags, least: float, query: SearchResult
    ) -> float:
        """Return the score of `scorer`, or a nearest-neighbour score if the nearest class has few views.

        Such a class uses nearest-neighbour similarity with threshold `least`, the within-class similarity
        of the other classes.
        """
        rows, similarities = query.top_k(NEIGHBOURS)
        if well_sampled[self._examples.class_ids[rows[0]]]:
            return scorer(query)
        return self._threshold + similarities[0] - least


def _held_out_floor(sample: CalibrationSample, held_out: Sequence[float], few_views: bool) -> float:
    """Return the least threshold that the scores of held-out classes allow, -inf if there are none."""
    if held_out:
        return _interpolated_quantile(held_out, HELD_OUT_QUANTILE)
    if few_views:
        return min(other_class_scores(sample.matrix, sample.class_ids), default=-math.inf)
    return -math.inf


def _max_similarity(query: SearchResult) -> float:
    return float(query.similarities.max())


def lower_bound(scores: Sequence[float] | Doubles, independent: int) -> float:
    """Return a lower bound that a further score of the same distribution rarely falls below.

    `independent` is the number of independent scores, at least 2. From 20 of them on, the bound is the
    quantile i/(n + 1), which is unbiased for any distribution. With fewer, that quantile would lie outside
    the sample, and the bound is the normal prediction bound mean - t·s·sqrt(1 + 1/n).
    """
    if independent > len(_T95) + 1:
        return _interpolated_quantile(scores, TARGET_FALSE_REJECT_QUANTILE)
    spread = float(np.std(scores, ddof=1)) * math.sqrt(1 + 1 / independent)
    return float(np.mean(scores)) - _T95[independent - 2] * spread


def _interpolated_quantile(scores: Sequence[float] | Doubles, share: float) -> float:
    """Return the quantile of plotting position i/(n + 1), interpolated; the lowest score at least.

    This is `method="weibull"` of np.quantile, which would load numpy.ma, see sampling.py.
    """
    ordered = np.sort(scores)
    position = min(max((len(ordered) + 1) * share - 1, 0.0), len(ordered) - 1.0)
    low, high = ordered[int(position)], ordered[min(int(position) + 1, len(ordered) - 1)]
    return float(low + (position - int(position)) * (high - low))


def _single_view_threshold(examples: EmbeddingIndex, loo: LeaveOneOutScores) -> float:
    """Return the smallest nearest-neighbour similarity among the examples, -inf if there is none.

    It is the threshold with fewer than two independent scores. Measured with one example a class on four
    data sets: 1 to 9 % false rejects.
    """
    if len(examples.labels) < 2 or len(loo.class_ids) < 2:
        return -math.inf
    return float(loo.neighbour_similarities[:, 0].min())
