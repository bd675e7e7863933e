"""The seam between the examples and what names a class: a head on the embeddings."""

from __future__ import annotations

from typing import Protocol

from edge_daemon.learning.example_set import Query
from edge_daemon.types import Prediction


class Head(Protocol):
    """Names the class of a query. Built on an ExampleSet, which it watches but never changes."""

    def predict(self, query: Query) -> Prediction:
        """Classify what the set compared last; at least one example is taught."""
