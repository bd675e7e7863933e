"""Open-set rejection: is this anything that was taught at all?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from edge_daemon.domain.errors import ConfigError
from edge_daemon.learning.classifiers.plda import RANK, fit_plda, subspace
from edge_daemon.learning.embedding_index import (
    Codes,
    EmbeddingIndex,
    SearchResult,
    newest_balanced,
    ranked,
    unique,
)
from edge_daemon.learning.open_set.class_views import (
    Flags,
    between_bursts,
    classes_with_enough_views,
    mean_by_burst,
)
from edge_daemon.learning.open_set.leave_one_class_out import held_out_class_scores
from edge_daemon.learning.open_set.novelty_score import NEAREST, NoveltyScorer, knn_score, plda_score
from edge_daemon.learning.quality.leave_one_out import Doubles, LeaveOneOut, LeaveOneOutScores

Unknown: TypeAlias = float | Literal["auto", "off"]

ASKED = 0.065
"""The quantile asked of the examples, so that about 5 % of taught things are rejected later.

Those of a fold are scored by fewer examples than a query will be: asking for 6.5 % gives 4.5 % on
pictures not taught (mean of twelve cases, see docs/unknown.md).
"""

CORRELATED = 0.7
"""What `auto` asks of the nearest example in a set with variants, whose similarities are correlations."""

SAMPLE = 160
"""So many of the newest examples, evenly over the classes, calibrate: some milliseconds."""

SUBSPACE = 2 * RANK
"""The models of all folds are fitted in so many directions of the whole sample, which hold theirs."""

FOLDS = 5

ROOM = 2.0
"""Classes differ in how much they change: with one to go by, a newcomer gets two standard deviations more."""

LENIENCY = 0.25
"""How far down from the threshold to the nearest stranger a lenient one lies (docs/sorting.md)."""

# fmt: off
_T95 = (
    6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83,
    1.81, 1.80, 1.78, 1.77, 1.76, 1.75, 1.75, 1.74, 1.73,
)
# fmt: on
"""Student's t at 95 %, one-sided, for 1 to 18 degrees of freedom."""


def check_unknown(value: float | str) -> Unknown:
    """Return a usable setting or raise ConfigError."""
    if value == "auto":
        return "auto"
    if value == "off":
        return "off"
    if isinstance(value, str) or not -1 <= value <= 1:
        raise ConfigError(f"unknown must be auto, off or a similarity from -1 to 1, got {value!r}")
    return float(value)


class UnknownRejector:
    """Rejects what is not familiar enough: `auto` by a threshold that the examples themselves set.

    A number is the least cosine to the nearest example instead, and so is `auto` for a set with
    variants (measured in docs/regions.md). Everything is fitted when a query
    comes after a change, so that teaching many examples at once fits once.
    """

    def __init__(self, examples: EmbeddingIndex, memory: LeaveOneOut, unknown: float | str = "auto") -> None:
        self._examples = examples
        self._memory = memory
        self._version = -1
        self._score: Callable[[SearchResult], float] = _closest
        self._threshold = -math.inf
        self._lenient: float | None = None
        self._strangers: Callable[[], list[float]] = list
        self.unknown = check_unknown(unknown)

    def set(self, unknown: float | str) -> None:
        """Take another setting. Raises ConfigError."""
        self.unknown = check_unknown(unknown)

    def rejects(self, query: SearchResult, *, lenient: bool = False) -> bool:
        """Say whether the query is unknown; `lenient` asks `auto` to reject less than its 5 %."""
        if self.unknown == "off":
            return False
        if self.unknown == "auto":
            score = self.familiarity(query)
            return score < (self.lenient_threshold if lenient else self._threshold)
        return float(query.similarities.max()) < self.unknown

    def familiarity(self, query: SearchResult) -> float:
        """Score a query; what is below `threshold` is unknown to `auto`."""
        if self._version != self._examples.version:
            self._fit()
            self._version = self._examples.version
        return self._score(query)

    @property
    def threshold(self) -> float:
        """The familiarity below which `auto` rejects, as of the last query."""
        return self._threshold

    @property
    def lenient_threshold(self) -> float:
        """A quarter of the way from `threshold` down to the nearest stranger; as of the last query.

        A stranger is a taught class that is scored by the other classes alone: where it would come
        near the threshold, there is no leniency.
        """
        if self._lenient is None:
            nearest = max(self._strangers(), default=self._threshold)
            self._lenient = self._threshold - LENIENCY * max(0.0, self._threshold - nearest)
        return self._lenient

    def _fit(self) -> None:
        self._lenient, self._strangers = None, list
        if self._examples.variants is not None:
            # The examples, taught in one place, know nothing of the moves that queries are forgiven.
            self._score, self._threshold = _closest, CORRELATED
            return
        others = self._memory.others()
        classes = len(self._examples.labels)
        rows = newest_balanced(others.codes, classes, SAMPLE)
        matrix = self._examples.matrix[others.first :][rows]
        codes, bursts = others.codes[rows], others.bursts[rows]
        settled = classes_with_enough_views(others, classes)
        folds = _fold(codes, bursts)
        rank = _common_rank(codes, folds)
        space = subspace(matrix, SUBSPACE)
        scores = _nearness(self._examples, others, rows) + _likeness(space.coordinates, codes, folds, rank)
        judges = settled[codes] & (others.mates[rows] > 0)
        known = mean_by_burst(scores[judges], bursts[judges])
        judging = len(unique(codes[judges]))
        # Two views of a class are each other's nearest: their two scores are one. Of more, some are shared.
        apart = len(known) - (judging + 1) // 2
        if apart < 2:
            self._score, self._threshold = _closest, _first_threshold(self._examples, others)
            return
        self._threshold = lower_bound(known, apart)
        plda = fit_plda(space.coordinates, codes, classes, rank)
        self._score = NoveltyScorer(self._examples, None if plda is None else plda.lifted(space))
        if not settled.all():
            alike = between_bursts(matrix[judges], bursts[judges], codes[judges])
            least = lower_bound(alike, apart) - ROOM * float(alike.std()) / judging
            self._score = partial(self._score_newcomers, self._score, settled, least)
        self._strangers = partial(held_out_class_scores, matrix, space.coordinates, codes, classes, rank)

    def _score_newcomers(
        self, familiarity: Callable[[SearchResult], float], settled: Flags, least: float, query: SearchResult
    ) -> float:
        """Score as `familiarity` does, but by the nearest example alone where its class is a newcomer.

        It has too few views for what is asked of the others; as near as two views of one of them are
        to each other (`least`) is near enough.
        """
        rows, similarities = query.top_k(NEAREST)
        if settled[self._examples.codes[rows[0]]]:
            return familiarity(query)
        return self._threshold + similarities[0] - least


def _closest(query: SearchResult) -> float:
    return float(query.similarities.max())


def lower_bound(scores: Sequence[float] | Doubles, apart: int) -> float:
    """Return what a further score of the same kind is seldom below.

    `apart` says how many of the scores, two at least, are independent. From 20 of them on, the quantile
    i/(n + 1), unbiased for any distribution; with fewer, where that would lie outside the sample, the
    normal prediction bound mean - t·s·sqrt(1 + 1/n).
    """
    if apart > len(_T95) + 1:
        place = (len(scores) + 1) * ASKED - 1
        low, high = np.sort(scores)[int(place) :][:2]  # np.quantile would load numpy.ma, see distinct.py
        return float(low + (place - int(place)) * (high - low))
    spread = float(np.std(scores, ddof=1)) * math.sqrt(1 + 1 / apart)
    return float(np.mean(scores)) - _T95[apart - 2] * spread


def _nearness(examples: EmbeddingIndex, others: LeaveOneOutScores, rows: Codes) -> Doubles:
    """Score examples as queries by their nearest others."""
    matrix = examples.matrix[others.first :]
    return knn_score(others.values[rows, :NEAREST], matrix[rows], matrix[others.rows[rows, 0]])


def _likeness(coordinates: Doubles, codes: Codes, folds: Codes, rank: int) -> Doubles:
    """Score examples as queries by the classes, fitted without their fold; 0 where `rank` is."""
    scores = np.zeros(len(codes))
    for fold in unique(folds):
        own = folds == fold
        plda = fit_plda(coordinates[~own], codes[~own], int(codes.max()) + 1, rank)
        if plda is not None:
            scores[own] = plda_score(plda, coordinates[own])
    return scores


def _common_rank(codes: Codes, folds: Codes) -> int:
    """Return how many directions every fold's model can have, so that all their scores are alike.

    None at all (0) when a fold leaves a single class, or too few examples to learn the scatter from.
    """
    rest = [codes[folds != fold] for fold in unique(folds)]
    taught = [len(unique(each)) for each in rest]
    if min(taught) < 2 or any(len(each) - number < 2 for each, number in zip(rest, taught, strict=True)):
        return 0
    return min([RANK, *(len(each) - 1 for each in rest)])


def _fold(codes: Codes, bursts: Codes) -> Codes:
    """Deal each class's bursts to the folds in turn, so that no burst is split."""
    folds = np.zeros(len(codes), np.intp)
    for code in unique(codes):
        own = np.flatnonzero(codes == code)
        folds[own] = ranked(bursts[own]) % FOLDS
    return folds


def _first_threshold(examples: EmbeddingIndex, others: LeaveOneOutScores) -> float:
    """While views don't say yet how things change, unknown is what is less near than any to its nearest.

    Measured with one example a class on four sets: 1 to 9 % false rejects.
    """
    if len(examples.labels) < 2 or len(others.codes) < 2:
        return -math.inf
    return float(others.values[:, 0].min())
