"""Confidence calibration: about 80 % of the predictions with a confidence of 0.8 are right.

The shares that a classifier returns are no probabilities: three of three votes are 100 % with any examples.
`ConfidenceCalibrator` replaces the share of the first label by the probability that this label is right, a
logistic regression on the share and on further figures of the query and the examples (`Evidence`). It has two
sets of weights, for queries like the examples and for those of another session, and mixes them by the query's
distance. The weights are fitted to composed sessions (docs/measurements/confidence.md). A single number is
fitted to the examples at hand: the leave-one-out votes show how often such evidence is right here. Where
several sessions taught the classes, the ensemble's shares are fitted across sessions and need no weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.held_out_votes import HeldOutVote, held_out_votes
from edge_daemon.learning.quality.evaluation import centroid_scores
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut, LeaveOneOutScores
from edge_daemon.learning.quality.leave_one_session_out import leave_sessions_out
from edge_daemon.learning.sampling import Flags, assign_session_folds, unique
from edge_daemon.learning.search_result import SearchResult

MAX_CONFIDENCE = 0.99

FIRST_EXAMPLE_ERROR = 0.1
"""Least probability of an error with one example of the label; divided by n with n examples."""

OTHER_SESSION_NOVELTY = 0.6
"""Novelty at which both sets of weights count equally: 1.8 times the distance between the examples."""

OTHER_SESSION_SCALE = 0.25
"""Novelty per unit of the logit of the share of other sessions."""

CLEAR_RATIO = 0.25
"""Ratio that supports a label clearly: the nearest other label is at 1.3 times the distance."""

_EPSILON = 0.01
"""Added to distances, so that equal pictures have a finite ratio."""

_SHARE_FLOOR = 0.02
"""Weight of equal shares that is mixed into a classifier's shares, so that none is 0 or 1."""

_PRIOR_ACCURACY = 0.7
"""Accuracy of the examples that is assumed before any was scored."""

_PRIOR_COUNT = 2.0
"""Weight of the prior accuracy, in examples."""

_BIAS_PRIOR = 5.0
"""Precision (inverse variance) of the normal prior of the bias, whose mean is 0."""

_BIAS_ITERATIONS = 5
"""Newton iterations of the fit of the bias."""

MAX_BIAS = 2.0
"""Largest bias to either side."""

FURTHER_SESSION = 0.3
"""Increase of the logit for the session that a fit leaves out, divided by the number of the others."""

_MIN_LEAD = 0.05
"""Least part of the lead of the first label that is kept, so that it remains first."""


class Evidence(Struct, frozen=True):
    """Features of the logistic regression that gives the probability that a label is right.

    `share` is the logit of the label's share, `lead` the logarithm of that share over the second one. `ratio`
    is the logarithm of the distance to the nearest example of another label over that to the nearest of this
    label (Lowe's ratio test, 2004). `novelty` is the logarithm of the distance to the nearest example over
    the median distance between neighbouring examples.
    `accuracy` is the logit of the examples' leave-one-out accuracy; it counts as far as the ratio supports
    the label. `count` is the number of examples of the label. A distance is 1 - cosine.
    """

    share: float
    lead: float
    ratio: float
    novelty: float
    accuracy: float
    count: int


class _Weights(Struct, frozen=True):
    share: float
    lead: float
    ratio: float
    novelty: float
    accuracy: float
    inverse_count: float

    def logit(self, evidence: Evidence) -> float:
        return (
            self.share * evidence.share
            + self.lead * evidence.lead
            + self.ratio * evidence.ratio
            + self.novelty * evidence.novelty
            + self.accuracy * evidence.accuracy * math.tanh(evidence.ratio / CLEAR_RATIO)
            + self.inverse_count / evidence.count
        )


_SAME_SESSION = _Weights(0.0, 0.55, 2.5, -0.5, 0.6, -1.0)
"""Weights for queries like the examples."""

_ENSEMBLE_SAME_SESSION = _Weights(1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
"""The shares of the ensemble are fitted to held-out examples of one session and need no other evidence."""

_OTHER_SESSION = _Weights(0.0, 0.25, 3.0, -0.35, 1.05, -0.35)
_CENTROID_OTHER_SESSION = _Weights(0.0, 1.0, 3.0, -0.35, 1.05, -0.35)
"""Weights for queries of another session. The shares of class means are close together there."""

_WEIGHTS: Mapping[str, tuple[_Weights, _Weights]] = {
    "knn": (_SAME_SESSION, _OTHER_SESSION),
    "centroid": (_SAME_SESSION, _CENTROID_OTHER_SESSION),
    "linear": (_SAME_SESSION, _OTHER_SESSION),
    "ensemble": (_ENSEMBLE_SAME_SESSION, _OTHER_SESSION),
}
"""Weights by kind of classifier, in the taught session and in others."""


class _SessionFit(Struct, frozen=True):
    """Corrections of the logit of shares that were fitted to examples of other sessions.

    `within` is for a query of a taught session: the logit of the accuracy within sessions less that across
    them. `further` is for the session that was held out in the fit.
    """

    within: float
    further: float

    def logit(self, other_share: float) -> float:
        return (1 - other_share) * self.within + self.further


class ConfidenceCalibrator:
    """Replaces a classifier's shares by calibrated confidences. One owning thread.

    `kind` returns the kind of the classifier that is in use, a key of the table of weights.
    """

    def __init__(self, examples: EmbeddingIndex, leave_one_out: LeaveOneOut, kind: Callable[[], str]) -> None:
        self._examples = examples
        self._leave_one_out = leave_one_out
        self._kind = kind
        self._version = -1
        self._distance = self._accuracy = self._bias = 0.0
        self._sessions: _SessionFit | None = None

    def calibrate(self, query: SearchResult, prediction: Prediction, *, other_session: bool) -> Prediction:
        """Return the prediction with calibrated confidences; the order of the labels is unchanged.

        The query is the index's last search result; `other_session` says that recent frames show another
        session than the examples. With a single class the confidence is 1.
        """
        labels = self._examples.labels
        if len(labels) < 2:
            return prediction
        if self._version != self._examples.version:
            self._fit()
            self._version = self._examples.version
        probability = self.probability(self._evidence(query, prediction), other_session=other_session)
        return with_confidence(prediction, probability)

    def probability(self, evidence: Evidence, *, other_session: bool) -> float:
        """Return the probability that a label with this evidence is right."""
        kind = self._kind()
        other_share = 1.0 if other_session else _other_session_share(evidence)
        if kind == "ensemble" and self._sessions is not None:
            logit = _ENSEMBLE_SAME_SESSION.logit(evidence) + self._sessions.logit(other_share)
        else:
            logit = _weighted_logit(kind, evidence, other_share)
            logit += self._bias * (other_share if kind == "ensemble" else 1.0)
        return min(MAX_CONFIDENCE, 1 - FIRST_EXAMPLE_ERROR / evidence.count, _sigmoid(logit))

    def _fit(self) -> None:
        """Summarize the examples, and fit the bias of the logit to their held-out votes."""
        loo = self._leave_one_out.scores()
        self._distance, self._accuracy = _summarize(loo)
        self._sessions = _fit_sessions(self._leave_one_out, loo)
        self._bias = 0.0
        if self._examples.augment_query is None:
            votes = held_out_votes(self._examples, loo)
            self._bias = _fit_bias(votes, self._accuracy)

    def _evidence(self, query: SearchResult, prediction: Prediction) -> Evidence:
        shares, distances = _top_two_shares(prediction), _distances(self._examples, query, prediction.label)
        count = self._examples.counts[prediction.label]
        return _make_evidence(shares, distances, self._distance, self._accuracy, count)


def _other_session_share(evidence: Evidence) -> float:
    """Return the share, 0 to 1, that the weights of other sessions have for a query of this novelty."""
    return _sigmoid((evidence.novelty - OTHER_SESSION_NOVELTY) / OTHER_SESSION_SCALE)


def _weighted_logit(kind: str, evidence: Evidence, other_share: float) -> float:
    """Return the logit as a mixture of both weights, those of other sessions with `other_share`."""
    same, other = _WEIGHTS[kind]
    return (1 - other_share) * same.logit(evidence) + other_share * other.logit(evidence)


def _make_evidence(
    shares: tuple[float, float], distances: tuple[float, float], median: float, accuracy: float, count: int
) -> Evidence:
    """Return the evidence of the first two shares and of the distances to the label and to others."""
    first, second = ((1 - _SHARE_FLOOR) * each + _SHARE_FLOOR / 2 for each in shares)
    own, others = (max(0.0, each) + _EPSILON for each in distances)
    novelty = math.log(min(own, others) / (median + _EPSILON))
    return Evidence(_logit(first), math.log(first / second), math.log(others / own), novelty, accuracy, count)


def _fit_bias(votes: Sequence[HeldOutVote], accuracy: float) -> float:
    """Return the offset of the logit that makes the votes' hits most likely; 0 is the prior.

    A sum over one unknown: Newton's method, a few iterations.
    """
    if not votes:
        return 0.0
    median = sorted(min(each.own, each.others) for each in votes)[len(votes) // 2]
    evidence = [
        _make_evidence(
            (each.first, each.second), (each.own, each.others), max(0.0, median), accuracy, each.count
        )
        for each in votes
    ]
    logits = np.array([_weighted_logit("knn", each, _other_session_share(each)) for each in evidence])
    hits = np.array([each.is_right for each in votes], float)
    bias = 0.0
    for _ in range(_BIAS_ITERATIONS):
        probabilities = 1 / (1 + np.exp(-np.clip(logits + bias, -30, 30)))
        curvature = float((probabilities * (1 - probabilities)).sum()) + _BIAS_PRIOR
        bias += (float((hits - probabilities).sum()) - _BIAS_PRIOR * bias) / curvature
    return min(max(bias, -MAX_BIAS), MAX_BIAS)


def _top_two_shares(prediction: Prediction) -> tuple[float, float]:
    """Return the share of the label and the largest share of another one."""
    others = (share for label, share in prediction.confidences.items() if label != prediction.label)
    return prediction.confidence, max(others)


def _distances(examples: EmbeddingIndex, query: SearchResult, label: str) -> tuple[float, float]:
    """Return the distances to the nearest example of a class and to the nearest of the others.

    There are other classes.
    """
    similarities, class_ids = query.similarities, examples.class_ids
    nearest, other = query.nearest_of_two_classes(class_ids)
    assert other is not None
    if examples.labels[class_ids.item(nearest)] == label:
        return 1.0 - similarities.item(nearest), 1.0 - similarities.item(other)
    of_class = class_ids == examples.labels.index(label)
    return 1.0 - float(similarities[of_class].max()), 1.0 - similarities.item(nearest)


def _summarize(loo: LeaveOneOutScores) -> tuple[float, float]:
    """Return the median distance of the examples to their nearest neighbour, and the logit of their accuracy.

    Examples of one burst are not neighbours. Each example is classified by its nearest neighbour.
    """
    nearest = loo.neighbour_similarities[:, 0]
    known = np.isfinite(nearest)
    distances = np.sort(1.0 - nearest[known])
    scored = known & (loo.same_class_count > 0)
    hits = loo.class_ids[loo.neighbour_rows[scored, 0]] == loo.class_ids[scored]
    accuracy = (float(hits.sum()) + _PRIOR_ACCURACY * _PRIOR_COUNT) / (len(hits) + _PRIOR_COUNT)
    median = float(distances[len(distances) // 2]) if len(distances) else 1.0
    return max(median, 0.0), _logit(accuracy)


def _fit_sessions(leave_one_out: LeaveOneOut, loo: LeaveOneOutScores) -> _SessionFit | None:
    """Compare the accuracy of the class means within and across the sessions of the examples.

    None where the classes are not cross-validated by session, see `assign_session_folds`.
    """
    sessions = len(unique(loo.session_ids))
    if sessions < 2 or assign_session_folds(loo.class_ids, loo.session_ids) is None:
        return None
    across = leave_sessions_out(leave_one_out, loo)
    if across is None:
        return None
    rows = (across.same_class_count > 0) & (loo.same_class_count > 0)
    within, between = (_logit(_centroid_accuracy(each, rows)) for each in (loo, across))
    return _SessionFit(max(0.0, within - between), FURTHER_SESSION / (sessions - 1))


def _centroid_accuracy(scores: LeaveOneOutScores, rows: Flags) -> float:
    hits = centroid_scores(scores)[rows].argmax(axis=1) == scores.class_ids[rows]
    return (float(hits.sum()) + _PRIOR_ACCURACY * _PRIOR_COUNT) / (len(hits) + _PRIOR_COUNT)


def with_confidence(prediction: Prediction, confidence: float) -> Prediction:
    """Return the prediction with this confidence of its label; the order of the labels is unchanged.

    A higher confidence scales down the other labels; a lower one mixes the shares with equal shares. The
    label keeps at least a small part of its lead.
    """
    shares = prediction.confidences
    old, equal = shares[prediction.label], 1 / len(shares)
    if confidence >= old or old <= equal:
        factor = (1 - max(confidence, old)) / (1 - old)
        new = {label: share * factor for label, share in shares.items()}
        new[prediction.label] = max(confidence, old)
    else:
        kept = max(_MIN_LEAD, (confidence - equal) / (old - equal))
        new = {label: equal + kept * (share - equal) for label, share in shares.items()}
    return Prediction(prediction.label, new, prediction.similarity)


def _logit(probability: float) -> float:
    clipped = min(max(probability, 0.001), 0.99)
    return math.log(clipped / (1 - clipped))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-min(max(logit, -30.0), 30.0)))
