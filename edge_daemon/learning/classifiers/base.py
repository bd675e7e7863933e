"""Classifier protocol, incremental fitting, and the softmax that the classifiers use."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Floats
from edge_daemon.learning.search_result import SearchResult

Result = TypeVar("Result")


class Classifier(Protocol):
    """Classifies queries by the examples of an EmbeddingIndex, which it never changes."""

    def predict(self, query: SearchResult) -> Prediction:
        """Classify the index's last search result. The index holds at least one example."""


@runtime_checkable
class IncrementalClassifier(Protocol):
    """A classifier that spreads the work of a fit over its predictions."""

    @property
    def is_converged(self) -> bool:
        """True if no work is left for the present examples."""


def is_converged(classifier: Classifier) -> bool:
    """Return whether the classifier is fitted to the present examples; always true if not incremental."""
    return not isinstance(classifier, IncrementalClassifier) or classifier.is_converged


def run_to_convergence(classifier: Classifier, query: SearchResult) -> None:
    """Predict until no work is left."""
    while not is_converged(classifier):
        classifier.predict(query)


def run_steps(steps: Generator[object, None, Result]) -> Result:
    """Do all steps at once and return their result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def softmax(scores: Floats) -> Floats:
    """Replace scores by probabilities over the last axis, in place, and return them."""
    # The reductions of the ufuncs, since the methods `max` and `sum` take twice as long with few classes.
    if scores.ndim == 1:
        scores -= np.maximum.reduce(scores)
        np.exp(scores, out=scores)
        scores /= np.add.reduce(scores)
        return scores
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def to_prediction(examples: EmbeddingIndex, confidences: Floats, query: SearchResult) -> Prediction:
    """Return a prediction with these confidences, given in class order."""
    label = examples.labels[int(confidences.argmax())]
    return Prediction(
        label,
        dict(zip(examples.labels, confidences.tolist(), strict=True)),
        query.top_k(1)[1][0],
    )
