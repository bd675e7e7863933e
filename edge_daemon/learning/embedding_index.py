"""Embedding index: the examples as one contiguous matrix, searched by cosine similarity."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, TypeVar

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import EmbeddingError, NoExamplesError
from edge_daemon.learning.sampling import Flags, Floats, Ints
from edge_daemon.learning.search_result import SearchResult

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector


Rows = TypeVar("Rows", Floats, Ints)

QueryAugmentation: TypeAlias = "Callable[[Floats], Floats]"
"""Returns variants (rows, unit length) of a unit vector, such as a shifted patch: test-time augmentation."""

NEAR_DUPLICATE = 0.97
"""Cosine from which two pictures show one view: a press without a movement of the object.

Two pictures of a static object exceed it in 99 of 100 cases (three models, noise of 3 levels, a shake of
one pixel), pictures of a moved object rarely, pictures of two objects of a class never.
"""

_INITIAL_CAPACITY = 64

_GROWTH = 1.5

_INTEGER_LIKE = re.compile(r"0|[1-9][0-9]{0,9}")

_LARGEST_INDEX = 2**32 - 2


def normalize(embedding: npt.ArrayLike, size: int | None = None) -> tuple[Vector, float]:
    """Return the embedding at unit length (float32) and its original length.

    Raises EmbeddingError if it is not a finite, nonzero vector of `size` numbers (any size if None).
    """
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


def _copied_into(rows: Rows, target: Rows) -> Rows:
    if len(rows):
        target[: len(rows)] = rows
    return target


def _is_float32(embedding: npt.ArrayLike) -> TypeGuard[Floats]:
    return isinstance(embedding, np.ndarray) and embedding.dtype == np.float32


def class_sort_key(label: str) -> tuple[int, int]:
    """Return a sort key: integer-like labels first, ascending; other labels tie and keep their order."""
    if _INTEGER_LIKE.fullmatch(label) and int(label) <= _LARGEST_INDEX:
        return 0, int(label)
    return 1, 0


class EmbeddingIndex:
    """Examples of one embedding space in the order in which they were added. One owning thread.

    `matrix` (n x d, float32) holds the embeddings at unit length, `norms` (n) their original lengths,
    `class_ids` (n) the index of each row's class in `labels`. `version` counts the changes: a value
    derived from the index is stale when the version differs. With `augment_query`, a query is compared
    in all its variants, and the nearest variant counts.
    """

    def __init__(self, augment_query: QueryAugmentation | None = None) -> None:
        self.augment_query = augment_query
        self.version = 0
        self._labels: list[str] = []
        self._ids: list[int] = []
        self._groups: list[str] = []
        self._sessions: list[int] = []
        self._class_ids: Ints = np.empty(0, np.intp)
        self._rows: Floats = np.empty((0, 0), np.float32)
        self._norms: Floats = np.empty(0, np.float32)
        self._similarities: Floats = np.empty(0, np.float32)
        self._counts: dict[str, int] | None = None
        self._refresh_views()

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def size(self) -> int | None:
        """The number of dimensions; None before the first example."""
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
    def sessions(self) -> Sequence[int]:
        """The teaching session of each row."""
        return self._sessions

    @property
    def counts(self) -> Mapping[str, int]:
        """Examples per label, in class order."""
        if self._counts is None:
            numbers = np.bincount(self.class_ids, minlength=len(self._labels)).tolist()
            self._counts = dict(zip(self._labels, numbers, strict=True))
        return self._counts

    def add(
        self, embedding: npt.ArrayLike, label: str, example_id: int, group: str = "", session: int = 0
    ) -> None:
        """Append an example of any length except zero. Raises EmbeddingError and then changes nothing."""
        vector, norm = self._normalize(embedding) if self._ids else normalize(embedding)
        row = len(self._ids)
        self._reserve(row + 1, vector.size)
        self._rows[row] = vector
        self._norms[row] = norm
        self._class_ids[row] = self._class_id(label)
        self._ids.append(example_id)
        self._groups.append(group)
        self._sessions.append(session)
        self._refresh_views()

    def remove(self, example_ids: Collection[int]) -> int:
        """Remove the examples with these ids. Returns the number removed."""
        gone = set(example_ids)
        keep = np.array([each not in gone for each in self._ids], dtype=bool)
        return self._keep_rows(keep)

    def clear(self, label: str | None = None) -> int:
        """Remove all examples, or all of one label. Returns the number removed.

        Raises NoExamplesError for a label without examples.
        """
        if label is None:
            return self._keep_rows(np.zeros(len(self), dtype=bool))
        if label not in self._labels:
            taught = ", ".join(self._labels) or "none"
            raise NoExamplesError(f"no examples of '{label}'; taught so far: {taught}")
        return self._keep_rows(self.class_ids != self._labels.index(label))

    def search(self, embedding: npt.ArrayLike) -> SearchResult:
        """Compare an embedding with every example: one matrix-vector product.

        Raises EmbeddingError, and NoExamplesError for an empty index.
        """
        if not self._ids:
            raise NoExamplesError("nothing is taught yet; add an example first")
        vector, norm = self._normalize(embedding)
        if self.augment_query is not None:
            vector = self._search_augmented(self.augment_query(vector))
        else:
            self.matrix.dot(vector, self._out)
        return SearchResult(vector, norm, self._out)

    def _search_augmented(self, variants: Floats) -> Vector:
        """Store the similarity of each example to its nearest variant; return the nearest variant of all."""
        similarities = self.matrix @ variants.T
        np.max(similarities, axis=1, out=self._out)
        nearest: Vector = variants[int(similarities.argmax()) % len(variants)]
        return nearest

    def _normalize(self, embedding: npt.ArrayLike) -> tuple[Vector, float]:
        """Return the same as `normalize`, faster for a float32 vector of ordinary length."""
        if _is_float32(embedding) and embedding.shape == self._shape:
            squared = float(embedding.dot(embedding))
            if abs(squared - 1.0) < 1e-6:
                return embedding, 1.0
            if 1e-12 < squared < 1e12:
                norm = math.sqrt(squared)
                return np.divide(embedding, norm, dtype=np.float32), norm
        return normalize(embedding, self._shape[0])

    def _class_id(self, label: str) -> int:
        """Return the class id of a label; insert a new label in class order."""
        if label in self._labels:
            return self._labels.index(label)
        ranks = [class_sort_key(each) for each in self._labels]
        rank = class_sort_key(label)
        position = bisect_left(ranks, rank) if rank[0] == 0 else len(ranks)
        self._labels.insert(position, label)
        self.class_ids[self.class_ids >= position] += 1
        return position

    def _reserve(self, rows: int, size: int) -> None:
        """Grow by half the capacity, so that adding n examples copies O(n) rows in total.

        Unused capacity is never written to, so it takes no memory.
        """
        if rows > self._rows.shape[0]:
            capacity = max(_INITIAL_CAPACITY, math.ceil(self._rows.shape[0] * _GROWTH))
            self._rows = _copied_into(self.matrix, np.empty((capacity, size), np.float32))
            self._norms = _copied_into(self.norms, np.empty(capacity, np.float32))
            self._class_ids = _copied_into(self.class_ids, np.empty(capacity, np.intp))
            self._similarities = np.empty(capacity, np.float32)
            self._refresh_views()

    def _keep_rows(self, keep: Flags) -> int:
        removed = len(keep) - int(keep.sum())
        if removed:
            left, first = len(keep) - removed, int(keep.argmin())
            # Rows before the first removed one do not move: an undo copies nothing.
            for rows in (self._rows, self._norms, self._class_ids):
                rows[first:left] = rows[first : len(keep)][keep[first:]]
            self._ids = [each for each, kept in zip(self._ids, keep, strict=True) if kept]
            self._groups = [each for each, kept in zip(self._groups, keep, strict=True) if kept]
            self._sessions = [each for each, kept in zip(self._sessions, keep, strict=True) if kept]
            self._drop_empty_classes(left)
            if left == 0:
                self._rows = np.empty((0, 0), np.float32)
            self._refresh_views()
        return removed

    def _drop_empty_classes(self, rows: int) -> None:
        used = np.bincount(self._class_ids[:rows], minlength=len(self._labels)) > 0
        self._class_ids[:rows] = (np.cumsum(used) - 1)[self._class_ids[:rows]]
        self._labels = [label for label, has_rows in zip(self._labels, used, strict=True) if has_rows]

    def _refresh_views(self) -> None:
        """Set the public arrays to the rows in use and count the change."""
        rows = len(self._ids)
        self.version += 1
        self._counts = None
        self.matrix: Floats = self._rows[:rows]
        self.norms: Floats = self._norms[:rows]
        self.class_ids: Ints = self._class_ids[:rows]
        self._out: Floats = self._similarities[:rows]
        self._shape = self.matrix.shape[1:]
