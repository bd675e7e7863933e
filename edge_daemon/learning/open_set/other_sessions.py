"""Rejection of queries that come from another session than the examples.

The threshold of the examples' own leave-one-out is that of one session, so it rejects nearly all known
objects in another one. Two tests find another session, and each has its threshold from the augmented copies
of the examples (docs/measurements/unknown.md#other-sessions):

- The recent frames come from no taught session. Every query is then moved halfway into the nearest one,
  unless the two have too little in common.
- The query itself looks like no taught session. This test needs no recent frames, so it works from the
  first frame on; it finds other places, but not other rooms behind an object that fills the picture.

With a cohort the query's margin over unrelated photos decides in place of the copies, and a further test
finds another session: more of the recent frames are rejected than a new class of the taught one would be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from edge_daemon.learning.classifiers.plda import fit_plda
from edge_daemon.learning.embedding_index import EmbeddingIndex, normalize
from edge_daemon.learning.open_set.augmented_copies import COPIES_QUANTILE, AugmentedCopies
from edge_daemon.learning.open_set.calibration_sample import CalibrationSample
from edge_daemon.learning.open_set.cohort import MIN_MARGIN, Cohort, CohortScale
from edge_daemon.learning.open_set.novelty_score import NEIGHBOURS, knn_score, plda_score
from edge_daemon.learning.open_set.taught_sessions import (
    FRAMES_PER_INDEPENDENT,
    SessionShift,
    TaughtSessions,
    fit_taught_sessions,
)
from edge_daemon.learning.recent_frames import MEAN_FRAMES, RecentFrames
from edge_daemon.learning.sampling import Doubles, Flags, Floats, Ints, assign_folds, quantile, unique

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

SAME_SESSION_SD = 5.0
"""Distance, in standard deviations, from a new class in the taught session to another session."""

HELD_OUT_QUANTILE = 0.05
"""Quantile of the held-out classes' scores below which the lower threshold never falls."""

REFUTING_FRAMES = MEAN_FRAMES
"""Number of recent frames from which on their rejected share shows another session."""

REFUTING_SD = 2.0
"""Distance, in standard deviations, of the rejected share in another session from that of new classes."""

LEAST_REJECTED = 0.1
"""Least share of rejected frames that a taught session is assumed to have."""

MOVED_QUANTILE = 0.7
"""Quantile of the copies' scores that is the threshold of moved queries. The copies differ from the examples
by a whole change of light and position; a move undoes half of it, and makes other things more alike too."""


class OtherSessions(Struct, frozen=True):
    """The lower thresholds, and the tests that find the queries that they are for.

    `mean` (d) is the mean of the examples at unit length; a query whose cosine to it is below
    `same_session` comes from another session. `moved_threshold` is for queries that `sessions` moved.
    `new_rejected` is the share of the queries of a new class that the examples' own threshold rejects.
    """

    mean: Floats
    same_session: float
    threshold: float
    sessions: TaughtSessions
    moved_threshold: float
    new_rejected: float
    cohort: CohortScale | None

    def session_shift(self, recent: RecentFrames) -> SessionShift | None:
        """Return the shift of the recent frames from the taught sessions, see `TaughtSessions`."""
        found = self.sessions.session_shift(recent)
        if found is None and self.cohort is not None and self._shows_another_session(recent):
            return self.sessions.shift_to_nearest(recent)
        return found

    def rejects_shifted(self, session_shift: SessionShift, vector: Vector, score: float) -> bool | None:
        """Return whether a query of another session is unknown; None where the examples' threshold decides.

        `vector` is the query before it was moved, `score` its score afterwards.
        """
        if self.cohort is not None:
            return self.cohort.compare(vector).margin < MIN_MARGIN
        return None if session_shift.offset is None else score < self.moved_threshold

    def accepts(self, vector: Vector, score: float) -> bool:
        """Return whether a query that the examples' own threshold rejects is known after all."""
        if self.cohort is not None:
            query = self.cohort.compare(vector)
            if self.cohort.is_unlike_session(query):
                return query.margin >= MIN_MARGIN
        return score >= self.threshold and float(vector @ self.mean) < self.same_session

    def _shows_another_session(self, recent: RecentFrames) -> bool:
        """Return whether more of the recent frames are rejected than if all showed new classes."""
        if recent.scored < REFUTING_FRAMES:
            return False
        expected = max(self.new_rejected, LEAST_REJECTED)
        independent = min(recent.scored, MEAN_FRAMES) / FRAMES_PER_INDEPENDENT
        spread = math.sqrt(expected * (1 - expected) / independent)
        return 1 - recent.known_share > expected + REFUTING_SD * spread


def fit_other_sessions(
    examples: EmbeddingIndex,
    sample: CalibrationSample,
    copies: AugmentedCopies,
    held_out: Sequence[float],
    threshold: float,
    cohort: Cohort | None = None,
) -> OtherSessions | None:
    """Calibrate on the examples, their copies and the scores of held-out classes.

    `threshold` is that of the examples. None with a single class, which shows no new class of the session, or
    without copies.
    """
    present = unique(sample.class_ids)
    scores = score_copies(sample, copies)
    if len(present) < 2 or not len(scores):
        return None
    new_class = np.concatenate(
        [_cosines_to_others(sample.matrix, sample.class_ids == class_id) for class_id in present]
    )
    return OtherSessions(
        normalize(sample.matrix.mean(axis=0))[0],
        float(new_class.mean() - SAME_SESSION_SD * new_class.std()),
        max(quantile(scores, COPIES_QUANTILE), quantile(held_out, HELD_OUT_QUANTILE)),
        fit_taught_sessions(examples),
        quantile(scores, MOVED_QUANTILE),
        sum(score < threshold for score in held_out) / len(held_out) if held_out else 1.0,
        _scale(cohort, examples, sample),
    )


def _scale(cohort: Cohort | None, examples: EmbeddingIndex, sample: CalibrationSample) -> CohortScale | None:
    """Return the scale of the classes; None without a cohort of the examples' model."""
    if cohort is None or cohort.embedding_size != examples.size:
        return None
    return cohort.scale(examples, sample.matrix, sample.class_ids)


def score_copies(sample: CalibrationSample, augmented: AugmentedCopies) -> Doubles:
    """Score the copies of the sample's examples as queries for their class.

    The nearest neighbours are examples of the same class and of other bursts; a copy without any has no
    score. The likelihood ratio is that of the model without the example's fold, as in the calibration.
    """
    index_rows, copies = augmented.by_row()
    rows = np.minimum(np.searchsorted(sample.rows, index_rows), len(sample.rows) - 1)
    candidates = (sample.class_ids[rows, None] == sample.class_ids) & (
        sample.burst_ids[rows, None] != sample.burst_ids
    )
    scored = (sample.rows[rows] == index_rows) & candidates.any(axis=1)
    copies, rows = copies[scored], rows[scored]
    if not len(rows):
        return np.empty(0)
    similarities = np.where(candidates[scored], copies @ sample.matrix.T, -np.inf)
    nearest = sample.matrix[similarities.argmax(axis=1)]
    knn = knn_score(-np.sort(-similarities, axis=1)[:, :NEIGHBOURS], copies, nearest)
    return knn + _plda_scores(sample, copies, rows)


def _plda_scores(sample: CalibrationSample, copies: Floats, rows: Ints) -> Doubles:
    """Return the PLDA terms of copies, each by the model without the fold of its example."""
    scores = np.zeros(len(rows))
    folds = assign_folds(sample.class_ids, sample.burst_ids)
    classes = int(sample.class_ids.max()) + 1
    for fold in unique(folds[rows]):
        rest = folds != fold
        plda = fit_plda(sample.space.coordinates[rest], sample.class_ids[rest], classes, sample.rank)
        if plda is not None:
            own = ~rest[rows]
            scores[own] = plda_score(plda.in_full_space(sample.space), copies[own])
    return scores


def _cosines_to_others(matrix: Floats, own: Flags) -> Floats:
    """Return the cosine of each example of a class to the mean of the other classes."""
    cosines: Floats = matrix[own] @ normalize(matrix[~own].mean(axis=0))[0]
    return cosines
