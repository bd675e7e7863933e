"""The seam between the examples and what names a class: a head on the embeddings."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.embedding_index import SearchResult


class Classifier(Protocol):
    """Names the class of a query. Built on an EmbeddingIndex, which it watches but never changes."""

    def predict(self, query: SearchResult) -> Prediction:
        """Classify what the set compared last; at least one example is taught."""


@runtime_checkable
class IncrementalClassifier(Protocol):
    """A head that spreads its work over the queries it is asked."""

    @property
    def is_converged(self) -> bool:
        """True when nothing is left to do for the examples as they are."""


def is_converged(head: Classifier) -> bool:
    """Say whether the head has taken in the present examples; true of one that does so at once."""
    return not isinstance(head, IncrementalClassifier) or head.is_converged


def run_to_convergence(head: Classifier, query: SearchResult) -> None:
    """Ask until nothing is left to do."""
    while not is_converged(head):
        head.predict(query)
