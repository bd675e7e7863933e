"""K nearest neighbours with the votes that browser teachable machines and Coral's forebears use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ConfigError, NoExamplesError
from edge_daemon.domain.types import Prediction
from edge_daemon.learning.embedding_index import EmbeddingIndex, Floats, SearchResult, k_nearest

Vote: TypeAlias = Literal["plain", "padded"]
Metric: TypeAlias = Literal["cosine", "euclidean", "manhattan"]
Ties: TypeAlias = Literal["class order", "nearest"]

Votes: TypeAlias = dict[int, int]
"""Votes per class that has any, the class of the nearest example first."""

_ROWS_AT_ONCE = 256


class NearestNeighbours:
    """Counts the votes of the `k` nearest examples. `k` may exceed the number of examples.

    `plain`: a vote each, confidences are shares of the votes. `padded`: a class with fewer than `k`
    examples is filled up to `k` with copies of them (there and back again, as Coral's teachable
    project pads), so that a class taught once can win against one taught often.
    `ties`: equal votes go to the class that comes first in class order, as browsers do, or to the
    nearest of them, which names 1 to 9 of 100 pictures better when few are taught.
    `euclidean` and `manhattan` measure the embeddings at the lengths they came in.
    """

    def __init__(
        self,
        examples: EmbeddingIndex,
        k: int = 3,
        vote: Vote = "plain",
        metric: Metric = "cosine",
        ties: Ties = "class order",
    ) -> None:
        if k < 1:
            raise ConfigError(f"k must be at least 1, got {k}")
        if vote not in get_args(Vote):
            raise ConfigError(f"vote must be one of {', '.join(get_args(Vote))}, got '{vote}'")
        if metric not in get_args(Metric):
            raise ConfigError(f"metric must be one of {', '.join(get_args(Metric))}, got '{metric}'")
        self._examples = examples
        self._k = k
        self._count: Callable[[list[int]], Votes] = _count_plain(examples)
        if vote == "padded":
            self._count = _PaddedCount(examples, k)
        self._metric = metric
        self._ties = ties

    def predict(self, query: SearchResult) -> Prediction:
        """Vote among the nearest."""
        examples = self._examples
        judged = query
        if self._metric != "cosine":
            judged = SearchResult(query.vector, query.norm, self._closeness(query))
        votes = self._count(k_nearest(judged, examples.codes, self._k))
        total = sum(votes.values())
        labels = examples.labels
        confidences = dict.fromkeys(labels, 0.0)
        for code, cast in votes.items():
            confidences[labels[code]] = cast / total
        return Prediction(labels[self._winner(votes)], confidences, query.top_k(1)[1][0])

    def _winner(self, votes: Votes) -> int:
        if len(votes) == 1:
            return next(iter(votes))
        most = max(votes.values())
        tied = [code for code, cast in votes.items() if cast == most]
        return min(tied) if self._ties == "class order" else tied[0]

    def _closeness(self, query: SearchResult) -> Floats:
        if self._metric == "euclidean":
            norms = self._examples.norms
            squared = norms * (norms - 2 * query.norm * query.similarities) + query.norm**2
            closeness: Floats = -np.sqrt(np.maximum(squared, 0), dtype=np.float32)
            return closeness
        return _manhattan(self._examples, query)


def _manhattan(examples: EmbeddingIndex, query: SearchResult) -> Floats:
    """Sum absolute differences in slices that stay in the cache; some ten times a product's cost."""
    closeness = np.empty(len(examples), np.float32)
    vector = query.vector * np.float32(query.norm)
    for start in range(0, len(examples), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        rows = examples.matrix[part] * examples.norms[part, None]
        rows -= vector
        np.abs(rows, out=rows)
        closeness[part] = -rows.sum(axis=1)
    return closeness


def _count_plain(examples: EmbeddingIndex) -> Callable[[list[int]], Votes]:
    def count(rows: list[int]) -> Votes:
        votes: Votes = {}
        code_of = examples.codes.item
        for row in rows:
            code = code_of(row)
            votes[code] = votes.get(code, 0) + 1
        return votes

    return count


class _PaddedCount:
    """Lets each neighbour vote as often as padding repeats it, until `k` votes are cast."""

    def __init__(self, examples: EmbeddingIndex, k: int) -> None:
        self._examples = examples
        self._k = k
        self._version = -1
        self._copies: list[int] = []

    def __call__(self, rows: list[int]) -> Votes:
        if self._version != self._examples.version:
            self._copies = self._repeat()
            self._version = self._examples.version
        votes: Votes = {}
        left = self._k
        for row in rows:
            cast = min(self._copies[row], left)
            code = self._examples.codes.item(row)
            votes[code] = votes.get(code, 0) + cast
            left -= cast
            if not left:
                break
        return votes

    def _repeat(self) -> list[int]:
        """Say how often each row stands in its padded class: a b c, k=5 becomes a b c b a."""
        copies = [1] * len(self._examples)
        for code in range(len(self._examples.labels)):
            rows = np.flatnonzero(self._examples.codes == code).tolist()
            there_and_back = rows + rows[-2:0:-1]
            for place in range(len(rows), self._k):
                copies[there_and_back[place % len(there_and_back)]] += 1
        return copies


class KNNClassifier:
    """The KNN head with examples of its own. Embeddings of any length; they are scaled inside."""

    def __init__(self, k: int = 3, vote: Vote = "plain", metric: Metric = "cosine") -> None:
        """Raise ConfigError when `k` is below 1."""
        self._examples = EmbeddingIndex()
        self._head = NearestNeighbours(self._examples, k, vote, metric)
        self._next_id = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """Examples per label: integer-like labels first and ascending, others by first use."""
        return self._examples.counts

    def add(self, embedding: npt.ArrayLike, label: str) -> None:
        """Take one example. Raises EmbeddingError when it is zero, not finite or of another length."""
        self._examples.add(embedding, label, self._next_id)
        self._next_id += 1

    def predict(self, embedding: npt.ArrayLike) -> Prediction:
        """Classify. Raises NoExamplesError before the first example, EmbeddingError."""
        return self._head.predict(self._examples.compare(embedding))

    def undo(self) -> str:
        """Forget the example added last and return its label. Raises NoExamplesError."""
        if not len(self._examples):
            raise NoExamplesError("there is no example to take back")
        label = self._examples.labels[int(self._examples.codes[-1])]
        self._examples.remove({self._examples.ids[-1]})
        return label

    def clear(self, label: str | None = None) -> int:
        """Forget all, or all of one label; how many. Raises NoExamplesError for a foreign label."""
        return self._examples.clear(label)
