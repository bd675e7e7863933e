"""Search result: the similarities of one query to all examples, and its nearest examples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_daemon.learning.sampling import Floats, Ints

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

_NEG_INF = -math.inf
_NEG_INF_32 = np.float32(_NEG_INF)
"""In float32, since the similarities would be copied as float64 beside a Python float."""

TIE_TOLERANCE = 1e-6
"""Similarities that differ by less are equal: a float32 product of the same rows varies by less."""

_MAX_ARGMAX_K = 16

_LEAST_TOP = 2
"""Nearest examples that are searched at once: the rejection needs two after a classifier that needs one."""


def top_k(numbers: npt.NDArray[np.float32], count: int) -> tuple[list[int], list[float]]:
    """Return the positions and values of the `count` largest numbers, largest first; all if there are fewer.

    Repeated argmax is several times faster than a partition for a small `count`. `numbers` is modified
    and restored.
    """
    argmax, value_at = numbers.argmax, numbers.item
    positions: list[int] = []
    values: list[float] = []
    for _ in range(min(count, len(numbers))):
        position = argmax().item()
        positions.append(position)
        values.append(value_at(position))
        numbers[position] = _NEG_INF
    # Restoring is cheaper than a copy of the array.
    for position, value in zip(positions, values, strict=True):
        numbers[position] = value
    return positions, values


class SearchResult:
    """Similarities of one query to all examples. Valid until the index's next `search`: the array is reused.

    `vector` is the query at unit length, float32; `norm` is its original length. `similarities` are the
    cosines to the examples, float32, in row order. With query augmentation they are the largest over the
    variants of the query, and `vector` is the variant nearest to any example.
    """

    __slots__ = ("_nearest", "_top", "norm", "similarities", "vector")

    def __init__(self, vector: Vector, norm: float, similarities: Floats) -> None:
        self.vector = vector
        self.norm = norm
        self.similarities = similarities
        self._top: tuple[list[int], list[float]] = [], []
        self._nearest: tuple[int, int | None] | None = None

    def top_k(self, count: int) -> tuple[list[int], list[float]]:
        """Return the rows and values of the `count` largest similarities or more; all if there are fewer.

        The result is cached: the classifier and the rejector share it.
        """
        if len(self._top[0]) < count:
            self._top = top_k(self.similarities, max(count, _LEAST_TOP))
        return self._top

    def nearest_of_two_classes(self, class_ids: Ints) -> tuple[int, int | None]:
        """Return the rows of the nearest example and of the nearest one of another class, if any.

        `class_ids` are those of the rows. The result is cached.
        """
        if self._nearest is None:
            rows = self.top_k(1)[0]
            own = class_ids.item(rows[0])
            self._nearest = rows[0], self._nearest_of_others(rows, own, class_ids)
        return self._nearest

    def _nearest_of_others(self, rows: list[int], own: int, class_ids: Ints) -> int | None:
        for row in rows:
            if class_ids.item(row) != own:
                return row
        others = self.similarities.copy()
        np.putmask(others, class_ids == own, _NEG_INF_32)  # faster than `where`
        row = int(others.argmax())
        return None if class_ids.item(row) == own else row


def k_nearest(query: SearchResult, class_ids: Ints, k: int) -> list[int]:
    """Return the `k` nearest rows, nearest first; all if there are fewer.

    Equal similarities are ordered by class, then by age, oldest first.
    """
    similarities = query.similarities
    rows = len(similarities)
    if k >= rows or k > _MAX_ARGMAX_K:
        return _k_nearest_with_ties(similarities, class_ids, min(k, rows))
    found, values = query.top_k(k + 1)
    upper = math.inf
    for value in values:
        if upper - value <= TIE_TOLERANCE:
            return _k_nearest_with_ties(similarities, class_ids, k)
        upper = value
    return found[:k]


def _k_nearest_with_ties(similarities: Floats, class_ids: Ints, k: int) -> list[int]:
    rows = len(similarities)
    threshold = np.partition(similarities, rows - k)[rows - k] - TIE_TOLERANCE
    candidates = np.flatnonzero(similarities >= threshold)
    candidates = candidates[np.argsort(-similarities[candidates], kind="stable")]
    gaps = -np.diff(similarities[candidates], prepend=similarities[candidates[0]]) > TIE_TOLERANCE
    order = np.lexsort((candidates, class_ids[candidates], np.cumsum(gaps)))
    chosen: list[int] = candidates[order[:k]].tolist()
    return chosen
