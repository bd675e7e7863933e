"""Near-duplicates, label outliers, and the most redundant example of a class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge_daemon.learning.embedding_index import NEAR_DUPLICATE, EmbeddingIndex
from edge_daemon.learning.sampling import Floats, Ints

_ROWS_PER_BLOCK = 256


_DECIMALS = 6
"""Rounding makes similarities independent of the order of summation in a product."""


class LabelIssues(Struct, frozen=True):
    """Rows that may harm a classifier.

    A near-duplicate repeats an earlier row of its class. An outlier's nearest example has another label,
    which is its value.
    """

    near_duplicates: frozenset[int]
    outliers: dict[int, str]


def find_label_issues(matrix: npt.NDArray[np.float32], labels: Sequence[str]) -> LabelIssues:
    """Compare all rows (n x d, unit length) with each other, in blocks of 256 x n similarities."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    class_ids = np.array([numbers[label] for label in labels], np.intp)
    near_duplicates: set[int] = set()
    outliers: dict[int, str] = {}
    for start in range(0, len(matrix), _ROWS_PER_BLOCK):
        similarities = matrix[start : start + _ROWS_PER_BLOCK] @ matrix.T
        for offset, row_similarities in enumerate(similarities):
            row = start + offset
            same_class = class_ids == class_ids[row]
            if (row_similarities[:row][same_class[:row]] >= NEAR_DUPLICATE).any():
                near_duplicates.add(row)
            row_similarities[row] = -np.inf
            nearest = int(row_similarities.argmax())
            if len(row_similarities) > 1 and not same_class[nearest]:
                outliers[row] = labels[nearest]
    return LabelIssues(frozenset(near_duplicates), outliers)


class RedundancyIndex:
    """Keeps the nearest neighbour of each example in its class, so that a press costs a few products.

    The first query for a class of n examples costs n x n products; each later change costs one, and one for
    every example whose nearest neighbour was removed. Memory: two numbers per example.
    """

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._examples = examples
        self._nearest: dict[str, dict[int, tuple[float, int]]] = {}

    def clear(self) -> None:
        """Drop the cache. Call it before example ids are reused for other embeddings."""
        self._nearest.clear()

    def most_redundant(self, label: str) -> int:
        """Return the id of the most redundant example of `label`.

        It is that of the two most similar examples which is more similar to a third, the older one if both
        are equally similar. A single view of a pose is thus kept at any age. Raises ValueError for a label
        without examples.
        """
        examples = self._examples
        rows = np.flatnonzero(examples.class_ids == list(examples.labels).index(label))
        ids = np.array(examples.ids)[rows]
        if len(ids) == 1:
            return int(ids[0])
        vectors = examples.matrix[rows]
        values, nearest_ids = self._update(label, ids, vectors)
        first = int(values.argmax())
        pair = sorted((first, int(np.flatnonzero(ids == nearest_ids[first])[0])))
        thirds = _similarities(vectors[pair], vectors)
        thirds[:, pair] = -np.inf
        older, newer = thirds.max(axis=1).tolist()
        return int(ids[pair[0] if older >= newer else pair[1]])

    def _update(self, label: str, ids: Ints, vectors: Floats) -> tuple[Floats, Ints]:
        """Return each example's similarity to its nearest neighbour of the class, and that neighbour's id."""
        present = set(ids.tolist())
        known = {
            example_id: (value, nearest_id)
            for example_id, (value, nearest_id) in self._nearest.get(label, {}).items()
            if example_id in present and nearest_id in present
        }
        values = np.array(
            [known.get(example_id, (-np.inf, -1))[0] for example_id in ids.tolist()], np.float32
        )
        nearest_ids = np.array(
            [known.get(example_id, (-np.inf, -1))[1] for example_id in ids.tolist()], np.intp
        )
        missing = np.flatnonzero(np.isneginf(values))
        for start in range(0, len(missing), _ROWS_PER_BLOCK):
            _update_nearest(missing[start : start + _ROWS_PER_BLOCK], ids, vectors, values, nearest_ids)
        pairs = zip(values.tolist(), nearest_ids.tolist(), strict=True)
        self._nearest[label] = dict(zip(ids.tolist(), pairs, strict=True))
        return values, nearest_ids


def _update_nearest(rows: Ints, ids: Ints, vectors: Floats, values: Floats, nearest_ids: Ints) -> None:
    """Set the nearest neighbours of the given rows, and update those of all other rows."""
    similarities = _similarities(vectors[rows], vectors)
    similarities[np.arange(len(rows)), rows] = -np.inf
    nearest = similarities.argmax(axis=0)
    candidates = similarities[nearest, np.arange(len(ids))]
    closer = candidates > values
    values[closer], nearest_ids[closer] = candidates[closer], ids[rows[nearest[closer]]]
    values[rows], nearest_ids[rows] = similarities.max(axis=1), ids[similarities.argmax(axis=1)]


def _similarities(rows: Floats, vectors: Floats) -> Floats:
    rounded: Floats = np.round(rows @ vectors.T, _DECIMALS)
    return rounded
