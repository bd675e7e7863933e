"""The taught examples as one contiguous matrix: what every head, the rejection and the exam look at."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, TypeVar

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import EmbeddingError, NoExamplesError

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector


_LEAST = -math.inf


def top_k(numbers: npt.NDArray[np.float32], count: int) -> tuple[list[int], list[float]]:
    """Return the places and values of the `count` largest (or all), largest first, by repeated argmax.

    For a few, that is several times faster than a partition. `numbers` are changed and put back.
    """
    argmax, value_at = numbers.argmax, numbers.item
    places: list[int] = []
    values: list[float] = []
    for _ in range(min(count, len(numbers))):
        place = argmax().item()
        places.append(place)
        values.append(value_at(place))
        numbers[place] = _LEAST
    # Put back in place: cheaper than a copy of all.
    for place, value in zip(places, values, strict=True):
        numbers[place] = value
    return places, values


Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.intp]
Rows = TypeVar("Rows", Floats, Codes)
Variants: TypeAlias = "Callable[[Floats], Floats]"
"""Makes of a unit vector the unit vectors (rows) that may stand for it, such as a patch moved about."""

_FIRST_CAPACITY = 64
_GROWTH = 1.5
_INTEGER_LIKE = re.compile(r"0|[1-9][0-9]{0,9}")
_LARGEST_INDEX = 2**32 - 2


class SearchResult:
    """One embedding beside all examples. Valid until the set's next `compare`: the array is reused.

    `similarities` are the cosines to the examples, float32, in row order. In a set with variants they
    are those of the nearest variant to each example, and `vector` is the nearest variant to any.
    """

    __slots__ = ("_leaders", "norm", "similarities", "vector")

    def __init__(self, vector: Vector, norm: float, similarities: Floats) -> None:
        self.vector = vector
        self.norm = norm
        self.similarities = similarities
        self._leaders: tuple[list[int], list[float]] = [], []

    def top_k(self, count: int) -> tuple[list[int], list[float]]:
        """Return the rows and values of at least the `count` largest similarities, or all.

        They are found once, whoever asks: the head, or the rejection.
        """
        if len(self._leaders[0]) < count:
            self._leaders = top_k(self.similarities, count)
        return self._leaders


def unit(embedding: npt.ArrayLike, size: int | None = None) -> tuple[Vector, float]:
    """Return the embedding at unit length (float32) and the length it had. Raises EmbeddingError."""
    try:
        vector = np.asarray(embedding, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise EmbeddingError("an embedding must be a list of numbers") from exc
    if vector.ndim != 1 or vector.size == 0:
        raise EmbeddingError(f"an embedding has one dimension, got shape {vector.shape}")
    if size is not None and vector.size != size:
        raise EmbeddingError(f"the embedding has {vector.size} numbers, the examples have {size}")
    if not np.isfinite(vector).all():
        raise EmbeddingError("the embedding holds NaN or infinity")
    largest = float(np.abs(vector).max())
    if largest == 0.0:
        raise EmbeddingError("the embedding is all zeros; it has no direction")
    scaled = vector / largest
    norm = math.sqrt(float(scaled @ scaled))
    return (scaled / norm).astype(np.float32), norm * largest


def _moved(rows: Rows, room: Rows) -> Rows:
    if len(rows):
        room[: len(rows)] = rows
    return room


def _is_float32(embedding: npt.ArrayLike) -> TypeGuard[Floats]:
    return isinstance(embedding, np.ndarray) and embedding.dtype == np.float32


def class_rank(label: str) -> tuple[int, int]:
    """Sort integer-like labels first and ascending; all others tie and keep their first use."""
    if _INTEGER_LIKE.fullmatch(label) and int(label) <= _LARGEST_INDEX:
        return 0, int(label)
    return 1, 0


class EmbeddingIndex:
    """Examples of one embedding space, unit length, in the order they were taught. One owning thread.

    `codes` gives each row's class as an index into `labels`, which is in class order. `version`
    counts the changes, so that whoever derives something from the set knows when it is stale.
    With `variants`, a query is compared in all its variants, the nearest of which counts.
    """

    def __init__(self, variants: Variants | None = None) -> None:
        self.variants = variants
        self.version = 0
        self._labels: list[str] = []
        self._ids: list[int] = []
        self._groups: list[str] = []
        self._codes: Codes = np.empty(0, np.intp)
        self._rows: Floats = np.empty((0, 0), np.float32)
        self._norms: Floats = np.empty(0, np.float32)
        self._similarities: Floats = np.empty(0, np.float32)
        self._view()

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def size(self) -> int | None:
        """How long the embeddings are; None before the first example."""
        return self.matrix.shape[1] if self._ids else None

    @property
    def labels(self) -> Sequence[str]:
        """The classes that have examples, in class order."""
        return self._labels

    @property
    def ids(self) -> Sequence[int]:
        """The example id of each row."""
        return self._ids

    @property
    def groups(self) -> Sequence[str]:
        """The burst of each row; empty for a single press."""
        return self._groups

    @property
    def counts(self) -> Mapping[str, int]:
        """Examples per label, in class order."""
        numbers = np.bincount(self.codes, minlength=len(self._labels)).tolist()
        return dict(zip(self._labels, numbers, strict=True))

    def add(self, embedding: npt.ArrayLike, label: str, example_id: int, group: str = "") -> None:
        """Append an example of any length but zero. Raises EmbeddingError and then changes nothing."""
        vector, norm = self._unit(embedding) if self._ids else unit(embedding)
        row = len(self._ids)
        self._reserve(row + 1, vector.size)
        self._rows[row] = vector
        self._norms[row] = norm
        self._codes[row] = self._code(label)
        self._ids.append(example_id)
        self._groups.append(group)
        self._view()

    def remove(self, example_ids: Collection[int]) -> int:
        """Take out the examples with these ids and say how many there were."""
        gone = set(example_ids)
        keep = np.array([each not in gone for each in self._ids], dtype=bool)
        return self._keep(keep)

    def clear(self, label: str | None = None) -> int:
        """Take out all, or all of one label; how many. Raises NoExamplesError for a foreign label."""
        if label is None:
            return self._keep(np.zeros(len(self), dtype=bool))
        if label not in self._labels:
            taught = ", ".join(self._labels) or "none"
            raise NoExamplesError(f"no examples of '{label}'; taught so far: {taught}")
        return self._keep(self.codes != self._labels.index(label))

    def compare(self, embedding: npt.ArrayLike) -> SearchResult:
        """Compare an embedding with every example: the one matrix-vector product of a frame.

        Raises EmbeddingError; NoExamplesError when nothing is taught.
        """
        if not self._ids:
            raise NoExamplesError("nothing is taught yet; add an example first")
        vector, norm = self._unit(embedding)
        if self.variants is not None:
            vector = self._compare_variants(self.variants(vector))
        else:
            self.matrix.dot(vector, self._out)
        return SearchResult(vector, norm, self._out)

    def similarities(self, embedding: npt.ArrayLike) -> Floats:
        """Return the cosines of an embedding to every row, as an array of its own."""
        return self.compare(embedding).similarities.copy()

    def _compare_variants(self, variants: Floats) -> Vector:
        """Fill in each example's similarity to its nearest variant; return the nearest to any."""
        similarities = self.matrix @ variants.T
        np.max(similarities, axis=1, out=self._out)
        nearest: Vector = variants[int(similarities.argmax()) % len(variants)]
        return nearest

    def _unit(self, embedding: npt.ArrayLike) -> tuple[Vector, float]:
        """Do what `unit` does, quickly for the common case of a float32 vector of ordinary length."""
        if _is_float32(embedding) and embedding.shape == self._shape:
            squared = float(embedding.dot(embedding))
            if abs(squared - 1.0) < 1e-6:
                return embedding, 1.0
            if 1e-12 < squared < 1e12:
                norm = math.sqrt(squared)
                return np.divide(embedding, norm, dtype=np.float32), norm
        return unit(embedding, self._shape[0])

    def _code(self, label: str) -> int:
        """Return the label's place in class order, making room for a new one."""
        if label in self._labels:
            return self._labels.index(label)
        ranks = [class_rank(each) for each in self._labels]
        rank = class_rank(label)
        place = bisect_left(ranks, rank) if rank[0] == 0 else len(ranks)
        self._labels.insert(place, label)
        self.codes[self.codes >= place] += 1
        return place

    def _reserve(self, rows: int, size: int) -> None:
        """Grow in steps of half the size, so that adding n examples copies O(n) rows in all.

        Room that no example has filled yet is never written to, so it takes no memory.
        """
        if rows > self._rows.shape[0]:
            capacity = max(_FIRST_CAPACITY, math.ceil(self._rows.shape[0] * _GROWTH))
            self._rows = _moved(self.matrix, np.empty((capacity, size), np.float32))
            self._norms = _moved(self.norms, np.empty(capacity, np.float32))
            self._codes = _moved(self.codes, np.empty(capacity, np.intp))
            self._similarities = np.empty(capacity, np.float32)
            self._view()

    def _keep(self, keep: npt.NDArray[np.bool_]) -> int:
        removed = len(keep) - int(keep.sum())
        if removed:
            left, first = len(keep) - removed, int(keep.argmin())
            # What stands before the first that goes stays where it is: undo moves nothing.
            for rows in (self._rows, self._norms, self._codes):
                rows[first:left] = rows[first : len(keep)][keep[first:]]
            self._ids = [each for each, kept in zip(self._ids, keep, strict=True) if kept]
            self._groups = [each for each, kept in zip(self._groups, keep, strict=True) if kept]
            self._drop_empty_classes(left)
            if left == 0:
                self._rows = np.empty((0, 0), np.float32)
            self._view()
        return removed

    def _drop_empty_classes(self, rows: int) -> None:
        used = np.bincount(self._codes[:rows], minlength=len(self._labels)) > 0
        self._codes[:rows] = (np.cumsum(used) - 1)[self._codes[:rows]]
        self._labels = [label for label, has_rows in zip(self._labels, used, strict=True) if has_rows]

    def _view(self) -> None:
        """Point the public arrays at the rows in use."""
        rows = len(self._ids)
        self.version += 1
        self.matrix: Floats = self._rows[:rows]
        self.norms: Floats = self._norms[:rows]
        self.codes: Codes = self._codes[:rows]
        self._out: Floats = self._similarities[:rows]
        self._shape = self.matrix.shape[1:]


TIE = 1e-6
"""Similarities closer than this are equal: a float32 product of the same rows differs by less."""

_FEW = 16


def k_nearest(query: SearchResult, codes: Codes, k: int) -> list[int]:
    """Return the `k` nearest rows (or all, when there are fewer), nearest first.

    Equal similarities keep class order, then the order in which they were taught.
    """
    similarities = query.similarities
    rows = len(similarities)
    if k >= rows or k > _FEW:
        return _ordered(similarities, codes, min(k, rows))
    found, values = query.top_k(k + 1)
    upper = math.inf
    for value in values:
        if upper - value <= TIE:
            return _ordered(similarities, codes, k)
        upper = value
    return found[:k]


def _ordered(similarities: Floats, codes: Codes, k: int) -> list[int]:
    rows = len(similarities)
    threshold = np.partition(similarities, rows - k)[rows - k] - TIE
    candidates = np.flatnonzero(similarities >= threshold)
    candidates = candidates[np.argsort(-similarities[candidates], kind="stable")]
    gaps = -np.diff(similarities[candidates], prepend=similarities[candidates[0]]) > TIE
    order = np.lexsort((candidates, codes[candidates], np.cumsum(gaps)))
    chosen: list[int] = candidates[order[:k]].tolist()
    return chosen


def newest_balanced(codes: Codes, classes: int, limit: int) -> Codes:
    """Return the rows of the newest examples, evenly over the classes, about `limit` of them, in order."""
    if len(codes) <= limit or classes == 0:
        return np.arange(len(codes))
    share = max(2, limit // classes)
    return np.sort(np.concatenate([np.flatnonzero(codes == code)[-share:] for code in range(classes)]))


def unique(codes: Codes) -> Codes:
    """Return the numbers that occur, from 0 up, each once, ascending."""
    return np.flatnonzero(np.bincount(codes))


def ranked(codes: Codes) -> Codes:
    """Return for each number how many smaller ones occur: its index in `unique`."""
    ranks: Codes = np.cumsum(np.bincount(codes) > 0)[codes] - 1
    return ranks
