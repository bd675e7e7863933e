"""K nearest neighbours, with the votes of browser KNN classifiers and of Coral's teachable project."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ConfigError, NoExamplesError
from edge_daemon.domain.types import Prediction
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Floats
from edge_daemon.learning.search_result import TIE_TOLERANCE, SearchResult, k_nearest

Vote: TypeAlias = Literal["plain", "padded"]
Metric: TypeAlias = Literal["cosine", "euclidean", "manhattan"]
Ties: TypeAlias = Literal["class order", "nearest"]

Votes: TypeAlias = dict[int, int]
"""Votes by class id, the class of the nearest example first."""

_ROWS_PER_BLOCK = 256

_EXACT_DISTANCE = 1e-3
"""Share of the query's length below which a distance is a rounding error: the vectors are equal."""


class NearestNeighbours:
    """Counts the votes of the `k` nearest examples. `k` may exceed the number of examples.

    `vote`: with `plain`, each neighbour has one vote, and confidences are shares of the votes. With
    `padded`, a class with fewer than `k` examples is padded to `k` with copies of them (forwards and
    backwards, as Coral's teachable project pads), so that a class with one example can win; an example that
    equals the query decides alone.
    `ties`: equal votes go to the first class in class order, as in browsers, or to the class of the
    nearest example, which is right for 1 to 9 more of 100 pictures when there are few examples.
    `metric`: `euclidean` and `manhattan` compare the embeddings at their original lengths.
    """

    def __init__(
        self,
        examples: EmbeddingIndex,
        k: int = 3,
        vote: Vote = "plain",
        metric: Metric = "cosine",
        ties: Ties = "class order",
    ) -> None:
        if not isinstance(k, int | np.integer) or k < 1:
            raise ConfigError(f"k must be a whole number of at least 1, got {k!r}")
        if vote not in get_args(Vote):
            raise ConfigError(f"vote must be one of {', '.join(get_args(Vote))}, got '{vote}'")
        if metric not in get_args(Metric):
            raise ConfigError(f"metric must be one of {', '.join(get_args(Metric))}, got '{metric}'")
        self._examples = examples
        self._k = k
        self._count_padded = _PaddedVotes(examples, k) if vote == "padded" else None
        self._metric = metric
        self._ties = ties

    def predict(self, query: SearchResult) -> Prediction:
        """Classify by the votes of the nearest examples."""
        examples = self._examples
        compared = query
        if self._metric != "cosine":
            compared = SearchResult(query.vector, query.norm, self._closeness(query))
        votes = self._votes(k_nearest(compared, examples.class_ids, self._k), compared)
        total = sum(votes.values())
        labels = examples.labels
        confidences = dict.fromkeys(labels, 0.0)
        for class_id, count in votes.items():
            confidences[labels[class_id]] = count / total
        return Prediction(labels[self._winner(votes)], confidences, query.top_k(1)[1][0])

    def _votes(self, rows: list[int], compared: SearchResult) -> Votes:
        if self._count_padded is None:
            return self._count_plain(rows)
        equal = self._equal_rows(rows, compared)
        return self._count_plain(equal) if equal else self._count_padded(rows)

    def _count_plain(self, rows: list[int]) -> Votes:
        votes: Votes = {}
        class_id_of = self._examples.class_ids.item
        for row in rows:
            class_id = class_id_of(row)
            votes[class_id] = votes.get(class_id, 0) + 1
        return votes

    def _equal_rows(self, rows: list[int], compared: SearchResult) -> list[int]:
        least = 1 - TIE_TOLERANCE if self._metric == "cosine" else -_EXACT_DISTANCE * compared.norm
        closeness = compared.similarities
        if closeness.item(rows[0]) < least:
            return []
        return [row for row in rows if closeness.item(row) >= least]

    def _winner(self, votes: Votes) -> int:
        if len(votes) == 1:
            return next(iter(votes))
        most = max(votes.values())
        tied = [class_id for class_id, count in votes.items() if count == most]
        return min(tied) if self._ties == "class order" else tied[0]

    def _closeness(self, query: SearchResult) -> Floats:
        if self._metric == "euclidean":
            norms = self._examples.norms
            squared = norms * (norms - 2 * query.norm * query.similarities) + query.norm**2
            closeness: Floats = -np.sqrt(np.maximum(squared, 0), dtype=np.float32)
            return closeness
        return _manhattan(self._examples, query)


def _manhattan(examples: EmbeddingIndex, query: SearchResult) -> Floats:
    """Return negative L1 distances, computed in slices that fit the cache.

    This costs about ten times a product.
    """
    closeness = np.empty(len(examples), np.float32)
    vector = query.vector * np.float32(query.norm)
    for start in range(0, len(examples), _ROWS_PER_BLOCK):
        part = slice(start, start + _ROWS_PER_BLOCK)
        rows = examples.matrix[part] * examples.norms[part, None]
        rows -= vector
        np.abs(rows, out=rows)
        closeness[part] = -rows.sum(axis=1)
    return closeness


class _PaddedVotes:
    """Counts each neighbour as often as padding repeats it, up to `k` votes."""

    def __init__(self, examples: EmbeddingIndex, k: int) -> None:
        self._examples = examples
        self._k = k
        self._version = -1
        self._copies: list[int] = []

    def __call__(self, rows: list[int]) -> Votes:
        if self._version != self._examples.version:
            self._copies = self._copies_per_row()
            self._version = self._examples.version
        votes: Votes = {}
        remaining = self._k
        for row in rows:
            count = min(self._copies[row], remaining)
            class_id = self._examples.class_ids.item(row)
            votes[class_id] = votes.get(class_id, 0) + count
            remaining -= count
            if not remaining:
                break
        return votes

    def _copies_per_row(self) -> list[int]:
        """Return how often padding repeats each row: a b c becomes a b c b a for k=5."""
        copies = [1] * len(self._examples)
        for class_id in range(len(self._examples.labels)):
            rows = np.flatnonzero(self._examples.class_ids == class_id).tolist()
            there_and_back = rows + rows[-2:0:-1]
            for place in range(len(rows), self._k):
                copies[there_and_back[place % len(there_and_back)]] += 1
        return copies


class KNNClassifier:
    """K-nearest-neighbour classifier with its own examples, usable without the daemon.

    `k`: number of neighbours that vote, 1 or more. `vote`: `plain` or `padded`, see NearestNeighbours.
    `metric`: `cosine`, `euclidean` or `manhattan`. Raises ConfigError for another value. Votes and ties
    follow the KNN classifiers that browsers use (ml5.js, TensorFlow.js). One owning thread.
    """

    def __init__(self, k: int = 3, vote: Vote = "plain", metric: Metric = "cosine") -> None:
        self._examples = EmbeddingIndex()
        self._neighbours = NearestNeighbours(self._examples, k, vote, metric)
        self._next_id = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels with examples: integer-like ones first, ascending; others by first use."""
        return tuple(self._examples.labels)

    @property
    def counts(self) -> dict[str, int]:
        """The number of examples of each label, in the order of `labels`."""
        return dict(self._examples.counts)

    def add(self, embedding: npt.ArrayLike, label: str) -> None:
        """Add an example: a vector of d numbers, of any length except zero.

        Raises EmbeddingError if it is zero, not finite, or has another d than the examples.
        """
        self._examples.add(embedding, label, self._next_id)
        self._next_id += 1

    def predict(self, embedding: npt.ArrayLike) -> Prediction:
        """Classify a vector of d numbers.

        The prediction has a `label`, `confidences` by label (0 to 1, sum 1) and the `similarity` to the
        nearest example (cosine, -1 to 1). Raises NoExamplesError before the first example, and
        EmbeddingError as `add` does.
        """
        return self._neighbours.predict(self._examples.search(embedding))

    def undo(self) -> str:
        """Remove the last example added and return its label. Raises NoExamplesError if there is none."""
        if not len(self._examples):
            raise NoExamplesError("there is no example to remove")
        label = self._examples.labels[int(self._examples.class_ids[-1])]
        self._examples.remove({self._examples.ids[-1]})
        return label

    def clear(self, label: str | None = None) -> int:
        """Remove all examples, or those of one label, and return their number.

        Raises NoExamplesError for a label without examples.
        """
        return self._examples.clear(label)
