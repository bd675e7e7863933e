"""Incremental leave-one-out statistics: one matrix-vector product per added example."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Doubles, Floats, Ints, burst_key, unique

LIMIT = 2000
"""Number of newest examples with statistics. It bounds the work at start-up."""

NEAR_DUPLICATE = 0.97
"""Cosine from which two examples of a class are one view: a press without a movement of the object.

Two pictures of a static object exceed it in 99 of 100 cases (three models, noise of 3 levels, a shake of
one pixel), pictures of a moved object rarely, pictures of two objects of a class never.
"""

_COLUMNS_PER_BLOCK = 64


@dataclass(frozen=True, slots=True)
class LeaveOneOutScores:
    """Leave-one-out statistics of the n newest rows of an index with C classes, from `first_row` on.

    Examples of the same burst are excluded from each other's neighbours. Near-duplicates of a class belong
    to one burst, even if two presses taught them: they are one view.

    `class_ids` (n): as in the index. `neighbour_similarities` and `neighbour_rows` (n x k): the nearest
    neighbours, nearest first, -inf if there are fewer than k; rows count from `first_row`. `class_sums`
    (n x C): sums of the similarities to the examples of each class. `own_burst_similarity` (n): the sum of
    the similarities to the own burst, the example included. `same_class_count` (n): number of other
    examples of the class. `burst_ids` (n). `near_duplicate_presses`: presses that repeat a view.
    """

    first_row: int
    class_ids: Ints
    neighbour_similarities: Floats
    neighbour_rows: Ints
    class_sums: Doubles
    own_burst_similarity: Doubles
    same_class_count: Ints
    burst_ids: Ints
    near_duplicate_presses: int


class LeaveOneOut:
    """Keeps the nearest neighbours of each example and its similarity to each class. One owning thread."""

    def __init__(self, examples: EmbeddingIndex, k: int = 3, limit: int = LIMIT) -> None:
        self._examples = examples
        self._k = k
        self._limit = limit
        self._version = -1
        self._reset()

    def scores(self) -> LeaveOneOutScores:
        """Return the statistics of the present examples."""
        self._update()
        labels = self._examples.labels
        sums = np.zeros((len(self._ids), len(labels)))
        for class_id, label in enumerate(labels):
            if label in self._column_of:
                sums[:, class_id] = self._class_sums[:, self._column_of[label]]
        class_ids = self._examples.class_ids[self._first_row :]
        counts = np.bincount(class_ids, minlength=len(labels))
        same_class_count = counts[class_ids] - self._burst_sizes()
        near_duplicate_presses = len(unique(self._press_ids)) - len(unique(self._burst_ids))
        return LeaveOneOutScores(
            self._first_row,
            class_ids,
            self._neighbour_similarities,
            self._neighbour_rows,
            sums,
            self._own_burst_similarity,
            same_class_count,
            self._burst_ids,
            near_duplicate_presses,
        )

    def remove(self, example_ids: Collection[int]) -> None:
        """Remove examples. Call it before they are removed from the index."""
        self._resync_offset()
        removed = np.flatnonzero(np.isin(self._ids, list(example_ids)))
        if len(removed) > len(self._ids) // 4:
            self._reset()
        elif len(removed):
            for row in removed:
                self._subtract_row(int(row))
            self._remove_rows(removed)
            self._version = -1

    def _reset(self) -> None:
        self._first_row = 0
        self._ids: list[int] = []
        self._column_of: dict[str, int] = {}
        self._press_id_of: dict[tuple[str, str], int] = {}
        self._burst_id_of_press: Ints = np.empty(0, np.intp)
        self._press_ids: Ints = np.empty(0, np.intp)
        self._neighbour_similarities: Floats = np.empty((0, self._k), np.float32)
        self._neighbour_rows: Ints = np.empty((0, self._k), np.intp)
        self._class_sums: Doubles = np.empty((0, 0))
        self._own_burst_similarity: Doubles = np.empty(0)

    def _update(self) -> None:
        if self._version == self._examples.version:
            return
        self._version = self._examples.version
        self._evict_oldest()
        start = len(self._ids)
        self._ids = list(self._examples.ids[self._first_row :])
        self._append_rows(start)
        matrix = self._matrix()
        for block in range(start, len(matrix), _COLUMNS_PER_BLOCK):
            stop = min(len(matrix), block + _COLUMNS_PER_BLOCK)
            similarities = matrix[:stop] @ matrix[block:stop].T
            self._merge_repeated_presses(block, stop, similarities)
            self._update_neighbours(block, stop, similarities)

    def _evict_oldest(self) -> None:
        """Evict the oldest examples beyond the limit."""
        self._resync_offset()
        surplus = len(self._examples) - self._first_row - self._limit
        if surplus > 0:
            self.remove(self._examples.ids[self._first_row : self._first_row + surplus])
            self._first_row = len(self._examples) - self._limit

    def _resync_offset(self) -> None:
        """Update the index row of the first known example: examples before it may have been removed."""
        if self._ids:
            self._first_row = list(self._examples.ids).index(self._ids[0])

    def _append_rows(self, start: int) -> None:
        """Append empty rows, and columns for new classes."""
        labels = [self._label(row) for row in range(start, len(self._ids))]
        for label in labels:
            self._column_of.setdefault(label, len(self._column_of))
        presses = [self._press_id(label, start + offset) for offset, label in enumerate(labels)]
        self._press_ids = np.concatenate((self._press_ids, np.array(presses, dtype=np.intp)))
        self._burst_id_of_press = np.append(
            self._burst_id_of_press, np.arange(len(self._burst_id_of_press), len(self._press_id_of))
        )
        self._neighbour_similarities = np.vstack(
            (self._neighbour_similarities, np.full((len(labels), self._k), -np.inf, np.float32))
        )
        self._neighbour_rows = np.vstack((self._neighbour_rows, np.zeros((len(labels), self._k), np.intp)))
        self._own_burst_similarity = np.append(self._own_burst_similarity, np.ones(len(labels)))
        sums = np.zeros((len(self._ids), len(self._column_of)))
        sums[:start, : self._class_sums.shape[1]] = self._class_sums
        self._class_sums = sums

    def _label(self, row: int) -> str:
        return self._examples.labels[int(self._examples.class_ids[self._first_row + row])]

    def _press_id(self, label: str, row: int) -> int:
        """Return the press id of a row. A new press is a new burst until it proves a near-duplicate."""
        group = burst_key(self._examples.groups[self._first_row + row], self._ids[row])
        return self._press_id_of.setdefault((label, group), len(self._press_id_of))

    @property
    def _burst_ids(self) -> Ints:
        return self._burst_id_of_press[self._press_ids]

    def _merge_repeated_presses(self, start: int, stop: int, similarities: Floats) -> None:
        """Assign presses whose first example (a column) repeats an earlier press to the burst of that."""
        class_ids = self._examples.class_ids[self._first_row : self._first_row + stop]
        repeated = (similarities >= NEAR_DUPLICATE) & (class_ids[:, None] == class_ids[start:])
        repeated[start:] = np.triu(repeated[start:], k=1)  # only earlier rows
        repeated &= self._press_ids[:stop, None] != self._press_ids[start:stop]
        for column in np.flatnonzero(repeated.any(axis=0)).tolist():
            press = self._press_ids[start + column]
            first_of_press = (self._press_ids == press).argmax()
            if first_of_press == start + column:
                nearest = np.where(repeated[:, column], similarities[:, column], -1.0).argmax()
                self._burst_id_of_press[press] = self._burst_id_of_press[self._press_ids[nearest]]

    def _burst_sizes(self) -> Ints:
        burst_ids = self._burst_ids
        return np.bincount(burst_ids)[burst_ids] if len(burst_ids) else burst_ids

    def _update_neighbours(self, start: int, stop: int, similarities: Floats) -> None:
        """Update the statistics of the rows before `stop` with the new rows from `start`, both ways."""
        np.fill_diagonal(similarities[start:], 1.0)
        burst_ids = self._burst_ids
        same_burst = burst_ids[:stop, None] == burst_ids[start:stop]
        own = np.where(same_burst, similarities, 0.0)
        self._own_burst_similarity[:start] += own[:start].sum(axis=1)
        self._own_burst_similarity[start:stop] = own.sum(axis=0)
        others = np.where(same_burst, 0.0, similarities)
        of_label = [self._column_of.get(label, 0) for label in self._examples.labels]
        columns = np.array(of_label, np.intp)[
            self._examples.class_ids[self._first_row : self._first_row + stop]
        ]
        _add_by_class(self._class_sums[:start], others[:start], columns[start:])
        _add_by_class(self._class_sums[start:stop], others.T, columns)
        similarities[same_burst] = -np.inf
        self._merge_candidates(slice(start), similarities[:start], start)
        self._merge_candidates(slice(start, stop), similarities.T, 0)

    def _merge_candidates(self, known: slice, similarities: Floats, first: int) -> None:
        """Merge candidates (columns: the rows from `first`) into the neighbours of the `known` rows."""
        closer = np.flatnonzero((similarities > self._neighbour_similarities[known, -1:]).any(axis=1))
        values = np.hstack((self._neighbour_similarities[known][closer], similarities[closer]))
        rows = closer + (known.start or 0)
        listed, each = self._neighbour_rows[rows], np.arange(len(rows))
        for position in range(self._k):
            best = values.argmax(axis=1)
            self._neighbour_similarities[rows, position] = values[each, best]
            before = listed[each, np.minimum(best, self._k - 1)]
            self._neighbour_rows[rows, position] = np.where(best < self._k, before, first + best - self._k)
            values[each, best] = -np.inf

    def _subtract_row(self, row: int) -> None:
        matrix = self._matrix()
        similarities = matrix @ matrix[row]
        burst_ids = self._burst_ids
        same_burst = burst_ids == burst_ids[row]
        self._class_sums[:, self._column_of[self._label(row)]] -= np.where(same_burst, 0.0, similarities)
        self._own_burst_similarity -= np.where(same_burst, similarities, 0.0)

    def _remove_rows(self, removed: Ints) -> None:
        """Replace removed neighbours, then renumber the remaining rows."""
        keep = np.ones(len(self._ids), dtype=bool)
        keep[removed] = False
        matrix, burst_ids = self._matrix(), self._burst_ids
        incomplete = np.isin(self._neighbour_rows, removed) & np.isfinite(self._neighbour_similarities)
        for row in np.flatnonzero(keep & incomplete.any(axis=1)):
            similarities = matrix @ matrix[row]
            similarities[~keep | (burst_ids == burst_ids[row])] = -np.inf
            self._neighbour_similarities[row] = -np.inf
            self._merge_candidates(slice(row, row + 1), similarities[None], 0)
        number = np.cumsum(keep) - 1
        self._ids = [each for each, kept in zip(self._ids, keep, strict=True) if kept]
        self._press_ids = self._press_ids[keep]
        self._neighbour_similarities = self._neighbour_similarities[keep]
        self._neighbour_rows = number[self._neighbour_rows[keep]]
        self._class_sums = self._class_sums[keep]
        self._own_burst_similarity = self._own_burst_similarity[keep]

    def _matrix(self) -> Floats:
        return self._examples.matrix[self._first_row : self._first_row + len(self._ids)]


def _add_by_class(sums: Doubles, similarities: Floats, columns: Ints) -> None:
    """Add similarities (rows) to the class sums; `columns` is the class column of each similarity."""
    if similarities.size:
        order = np.argsort(columns, kind="stable")
        starts = np.flatnonzero(np.diff(columns[order], prepend=-1))
        found = np.add.reduceat(similarities[:, order], starts, axis=1, dtype=np.float64)
        sums[:, columns[order][starts]] += found
