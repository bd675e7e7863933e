"""The head that suits the examples at hand, chosen by cross-validation among them."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping

from edge_daemon.learning.centroid import CentroidHead
from edge_daemon.learning.contest import SAMPLE, Heads, Marks, better, contest
from edge_daemon.learning.discriminant import DiscriminantHead
from edge_daemon.learning.example_set import ExampleSet, Query
from edge_daemon.learning.head import Head, settle, settled
from edge_daemon.learning.knn import KNNHead
from edge_daemon.learning.linear import LinearHead
from edge_daemon.types import Prediction

log = logging.getLogger(__name__)

HEADS: Heads = {
    "discriminant": DiscriminantHead,
    "linear": lambda examples: LinearHead(examples, patient=True),
    "centroid": CentroidHead,
    "knn k=1": lambda examples: KNNHead(examples, 1),
    "knn k=3": lambda examples: KNNHead(examples, 3, ties="nearest"),
    "knn k=5": lambda examples: KNNHead(examples, 5, ties="nearest"),
}
"""What is chosen from; the first is taken until another is shown to be better."""

GROWTH = 1.25
"""The choice is made again when there are so many times the examples of the last one, or so many fewer."""

THOROUGH = 1000
"""So many examples take part in every choice but the first: which head is best depends on how many.

Of 1,280 numbers each they take some 16 MB while the choice lasts.
"""


class AutoHead:
    """Holds the head that cross-validation on the examples shows to be best, and says when it changes.

    The first choice, after start, is made at once, among 200 examples at most. Later ones are made in
    steps of some milliseconds, one a frame, and the head that is chosen takes over when it is fitted.
    """

    def __init__(self, examples: ExampleSet) -> None:
        self._examples = examples
        self._judged = 0
        self._contest: Generator[None, None, Mapping[str, Marks]] | None = None
        self._heir: Head | None = None
        self.choice = next(iter(HEADS))
        self._head = HEADS[self.choice](examples)

    def predict(self, query: Query) -> Prediction:
        """Classify with the chosen head, after a step of the choice if there is any to do."""
        if self._busy:
            self._advance(query)
        elif self._due:
            self._begin(query)
        return self._head.predict(query)

    @property
    def settled(self) -> bool:
        """True when the choice is made and the chosen head is fitted to the present examples."""
        return not (self._busy or self._due) and settled(self._head)

    @property
    def _due(self) -> bool:
        return not self._judged / GROWTH < len(self._examples) < self._judged * GROWTH

    @property
    def _busy(self) -> bool:
        return self._contest is not None or self._heir is not None

    def _begin(self, query: Query) -> None:
        count, first = len(self._examples), self._judged == 0
        self._contest = contest(self._examples, HEADS, SAMPLE if first else THOROUGH)
        # A first choice from a part of the examples is due again at once.
        self._judged = min(count, SAMPLE) if first else count
        if first:
            while self._busy:
                self._advance(query)
            settle(self._head, query)

    def _advance(self, query: Query) -> None:
        if self._heir is not None:
            self._heir.predict(query)
            if settled(self._heir):
                self._head, self._heir = self._heir, None
        elif self._contest is not None:
            try:
                next(self._contest)
            except StopIteration as end:
                self._contest = None
                self._decide(end.value)

    def _decide(self, marks: Mapping[str, Marks]) -> None:
        best = better(marks, self.choice)
        if best != self.choice:
            gain = float(marks[best].mean() - marks[self.choice].mean())
            log.info("%s names %.0f points more right than %s here", best, 100 * gain, self.choice)
            self.choice = best
            self._heir = HEADS[best](self._examples)
