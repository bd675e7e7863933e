"""Embeddings of augmented copies of the examples, for the calibration of the unknown threshold.

The copies of an example show how far the embedding of a known object changes in other light and other
positions. A single example of a class has no other measure of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Doubles, Floats, Ints, newest_balanced, quantile

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

COPIES = 8
"""Number of copies of an example."""

COPY_SIDE_PX = 224
"""Longest side of the picture that is copied; a larger thumbnail is scaled down."""

MAX_EXAMPLES = 20
"""Number of newest examples, balanced over the classes, that have copies. 160 copies of 1,280
numbers take 0.4 MB."""

COPIES_QUANTILE = 0.25
"""Quantile of the copies' similarities or scores below which a query is unknown."""


class AugmentedCopies:
    """Holds the copies' embeddings by example id. One owning thread.

    Copies of an example that was removed, or that is no longer among the newest, are dropped, and so are
    those of an example that has another embedding now: the store's file may have been replaced, and the ids
    are those of other examples. `version` counts the additions.
    """

    def __init__(self, examples: EmbeddingIndex, quantile: float = COPIES_QUANTILE) -> None:
        """`quantile` of the copies' similarities is the threshold of a class."""
        self._examples = examples
        self._quantile = quantile
        self._copies: dict[int, npt.NDArray[np.float16]] = {}
        self._rows: dict[int, int] = {}
        self._hashes: dict[int, int] = {}
        """Hash of the embedding of each example in `_rows`."""
        self._missing: list[int] = []
        self._examples_version = -1
        self.version = 0

    @property
    def missing(self) -> Sequence[int]:
        """Ids of the examples that need copies, oldest first."""
        self._update()
        return self._missing

    def add(self, example_id: int, embeddings: Sequence[Vector]) -> None:
        """Add the copies of an example, which may be none. An example that needs no copies is ignored."""
        self._update()
        if example_id in self._missing:
            size = self._examples.matrix.shape[1]
            self._copies[example_id] = np.array(embeddings, np.float16).reshape(-1, size)
            self._missing.remove(example_id)
            self.version += 1

    def class_thresholds(self, default: float) -> Doubles | None:
        """Return for each class the `quantile` of the cosines of its copies to their examples.

        A class without copies has `default`. None without any copies.
        """
        self._update()
        similarities: dict[int, list[float]] = {}
        for example_id, copies in self._copies.items():
            row = self._rows[example_id]
            cosines = copies @ self._examples.matrix[row]
            similarities.setdefault(int(self._examples.class_ids[row]), []).extend(cosines.tolist())
        if not any(similarities.values()):
            return None
        thresholds = np.full(len(self._examples.labels), default)
        for class_id, cosines in similarities.items():
            if cosines:
                thresholds[class_id] = quantile(cosines, self._quantile)
        return thresholds

    def by_row(self) -> tuple[Ints, Floats]:
        """Return the row of the example of each copy, and the copies (rows)."""
        self._update()
        rows = [self._rows[example_id] for example_id, copies in self._copies.items() for _ in copies]
        size = self._examples.matrix.shape[1]
        embeddings = [np.empty((0, size), np.float16), *self._copies.values()]
        return np.array(rows, np.intp), np.concatenate(embeddings).astype(np.float32)

    def _update(self) -> None:
        """Choose the examples that have copies; drop the copies of all others."""
        if self._examples_version == self._examples.version:
            return
        self._examples_version = self._examples.version
        if self._examples.augment_query is not None:
            return  # patch embeddings have a fixed threshold
        rows = newest_balanced(self._examples.class_ids, len(self._examples.labels), MAX_EXAMPLES)
        ids = self._examples.ids
        former = self._hashes
        self._rows = {ids[row]: row for row in rows[-MAX_EXAMPLES:].tolist()}
        self._hashes = {
            example_id: hash(self._examples.matrix[row].tobytes()) for example_id, row in self._rows.items()
        }
        self._copies = {
            example_id: copies
            for example_id, copies in self._copies.items()
            if self._hashes.get(example_id) == former[example_id]
        }
        self._missing = [example_id for example_id in self._rows if example_id not in self._copies]
