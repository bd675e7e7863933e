"""The seam between the examples and what names a class: a head on the embeddings."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.embedding_index import Query


class Head(Protocol):
    """Names the class of a query. Built on an ExampleSet, which it watches but never changes."""

    def predict(self, query: Query) -> Prediction:
        """Classify what the set compared last; at least one example is taught."""


@runtime_checkable
class Gradual(Protocol):
    """A head that spreads its work over the queries it is asked."""

    @property
    def settled(self) -> bool:
        """True when nothing is left to do for the examples as they are."""


def settled(head: Head) -> bool:
    """Say whether the head has taken in the present examples; true of one that does so at once."""
    return not isinstance(head, Gradual) or head.settled


def settle(head: Head, query: Query) -> None:
    """Ask until nothing is left to do."""
    while not settled(head):
        head.predict(query)
