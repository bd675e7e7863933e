"""Selection of a classifier by cross-validation on the examples, in steps that fit between frames."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Mapping

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.base import Classifier, is_converged
from edge_daemon.learning.classifiers.ensemble import DEFAULT_WEIGHTS, LogLinearEnsemble, PoolFit
from edge_daemon.learning.classifiers.grouped_cross_validation import (
    ClassifierBuilder,
    iter_cross_validation,
)
from edge_daemon.learning.classifiers.knn import NearestNeighbours
from edge_daemon.learning.classifiers.nearest_centroid import NearestCentroid
from edge_daemon.learning.classifiers.plda_classifier import PLDAClassifier
from edge_daemon.learning.classifiers.softmax_regression import SoftmaxRegression
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Flags
from edge_daemon.learning.search_result import SearchResult

MIN_STANDARD_ERRORS = 2.0
"""Standard errors of a significant gain (McNemar's test on the examples where two classifiers differ)."""

RESELECT_GROWTH = 1.25
"""Growth or shrinkage of the number of examples at which the selection is repeated."""

log = logging.getLogger(__name__)

_ENSEMBLE, _PARTS = "ensemble", ("discriminant", "linear")


def build_candidates(examples: EmbeddingIndex) -> dict[str, Classifier]:
    """Return the classifiers to select from. The first one is used until another is significantly better.

    The ensemble shares its parts with the candidates of these names, so that each is fitted once.
    """
    discriminant = PLDAClassifier(examples)
    linear = SoftmaxRegression(examples, spread_first_fit=True)
    return {
        "ensemble": LogLinearEnsemble(examples, discriminant, linear),
        "discriminant": discriminant,
        "linear": linear,
        "centroid": NearestCentroid(examples),
        "knn k=1": NearestNeighbours(examples, 1),
        "knn k=3": NearestNeighbours(examples, 3, ties="nearest"),
        "knn k=5": NearestNeighbours(examples, 5, ties="nearest"),
    }


def select_if_significant(correct: Mapping[str, Flags], current: str) -> str:
    """Return the best classifier if its gain over the current one is significant, else the current one."""
    best = max(correct, key=lambda each: (int(correct[each].sum()), each == current))
    won = int((correct[best] & ~correct[current]).sum())
    lost = int((correct[current] & ~correct[best]).sum())
    return best if won - lost > MIN_STANDARD_ERRORS * math.sqrt(won + lost) else current


class ModelSelector:
    """Predicts with the classifier that cross-validation on the examples selects.

    It begins with the first candidate. A selection starts when the classifier is fitted and takes steps of a
    few milliseconds, one per prediction; the selected classifier is used as soon as it is fitted.
    """

    def __init__(self, examples: EmbeddingIndex, build: ClassifierBuilder = build_candidates) -> None:
        self._examples = examples
        self._build = build
        self._selected_at = 0
        self._selection: Generator[None, None, str] | None = None
        self._successor: Classifier | None = None
        self._weights = DEFAULT_WEIGHTS
        self.selected, self._classifier = next(iter(build(examples).items()))

    def predict(self, query: SearchResult) -> Prediction:
        """Do a step of a due selection, then classify with the selected classifier."""
        if self._selection is not None or self._successor is not None:
            self._advance(query)
        elif self._due and is_converged(self._classifier):
            self._selection = self._select()
            self._selected_at = len(self._examples)
        return self._classifier.predict(query)

    @property
    def is_converged(self) -> bool:
        """True if the selection is complete and its classifier is fitted to the present examples."""
        busy = self._selection is not None or self._successor is not None
        return not (busy or self._due) and is_converged(self._classifier)

    @property
    def kind(self) -> str:
        """Kind of the selected classifier: knn, centroid or linear; ensemble also for the discriminant."""
        kind = self.selected.split()[0]
        return "ensemble" if kind == "discriminant" else kind

    @property
    def _due(self) -> bool:
        count = len(self._examples)
        return not self._selected_at / RESELECT_GROWTH < count < self._selected_at * RESELECT_GROWTH

    def _advance(self, query: SearchResult) -> None:
        if self._successor is not None:
            self._successor.predict(query)
            if is_converged(self._successor):
                self._classifier, self._successor = self._successor, None
        elif self._selection is not None:
            try:
                next(self._selection)
            except StopIteration as end:
                self._selection = None
                self._change_to(end.value)

    def _select(self) -> Generator[None, None, str]:
        """Return the name of the best classifier; fit the weights of the ensemble on the way."""
        held_out = yield from iter_cross_validation(self._examples, self._build, _PARTS)
        correct = held_out.correct
        if _ENSEMBLE in correct:
            confidences = [held_out.confidences(name) for name in _PARTS]
            fit = PoolFit(confidences[0], confidences[1], held_out.class_ids)
            for _ in fit.iterate():
                yield
            self._weights = fit.weights
            correct[_ENSEMBLE] = fit.correct()
        best = select_if_significant(correct, self.selected)
        if best != self.selected:
            gain = float(correct[best].mean() - correct[self.selected].mean())
            log.info("%s classifies %.0f points more correctly than %s here", best, 100 * gain, self.selected)
        return best

    def _change_to(self, best: str) -> None:
        if best != self.selected:
            self.selected = best
            self._successor = self._build(self._examples)[best]
        for each in (self._classifier, self._successor):
            if isinstance(each, LogLinearEnsemble):
                each.weights = self._weights
