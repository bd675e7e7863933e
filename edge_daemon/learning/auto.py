"""The head that suits the examples at hand, chosen by cross-validation among them."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping

from edge_daemon.learning.centroid import CentroidHead
from edge_daemon.learning.contest import Heads, Marks, better, contest
from edge_daemon.learning.discriminant import DiscriminantHead
from edge_daemon.learning.example_set import ExampleSet, Query
from edge_daemon.learning.knn import KNNHead
from edge_daemon.learning.linear import LinearHead
from edge_daemon.types import Prediction

log = logging.getLogger(__name__)

HEADS: Heads = {
    "discriminant": DiscriminantHead,
    "linear": LinearHead,
    "centroid": CentroidHead,
    "knn k=1": lambda examples: KNNHead(examples, 1),
    "knn k=3": lambda examples: KNNHead(examples, 3, ties="nearest"),
    "knn k=5": lambda examples: KNNHead(examples, 5, ties="nearest"),
}
"""What is chosen from; the first is taken until another is shown to be better."""

GROWTH = 1.25
"""The choice is made again when there are so many times the examples of the last one, or so many fewer."""


class AutoHead:
    """Holds the head that cross-validation on the examples shows to be best, and says when it changes.

    The first choice, after start, is made at once; later ones a step a frame, so that none waits long.
    """

    def __init__(self, examples: ExampleSet) -> None:
        self._examples = examples
        self._chosen_at = 0
        self._contest: Generator[None, None, Mapping[str, Marks]] | None = None
        self.choice = next(iter(HEADS))
        self._head = HEADS[self.choice](examples)

    def predict(self, query: Query) -> Prediction:
        """Classify with the chosen head."""
        count = len(self._examples)
        if self._contest is None and not self._chosen_at / GROWTH < count < self._chosen_at * GROWTH:
            self._contest = contest(self._examples, HEADS)
            first, self._chosen_at = self._chosen_at == 0, count
            while first and self._contest is not None:
                self._advance(self._contest)
        elif self._contest is not None:
            self._advance(self._contest)
        return self._head.predict(query)

    def _advance(self, steps: Generator[None, None, Mapping[str, Marks]]) -> None:
        try:
            next(steps)
        except StopIteration as end:
            self._contest = None
            self._decide(end.value)

    def _decide(self, marks: Mapping[str, Marks]) -> None:
        best = better(marks, self.choice)
        if best != self.choice:
            gain = float(marks[best].mean() - marks[self.choice].mean())
            log.info("%s names %.0f points more right than %s here", best, 100 * gain, self.choice)
            self.choice = best
            self._head = HEADS[best](self._examples)
