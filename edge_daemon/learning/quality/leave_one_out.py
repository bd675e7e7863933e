"""Incremental leave-one-out statistics: one matrix-vector product per added example."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from msgspec import Struct

from edge_daemon.learning.embedding_index import NEAR_DUPLICATE, EmbeddingIndex
from edge_daemon.learning.quality.neighbour_lists import NeighbourLists
from edge_daemon.learning.quality.other_session_similarity import OtherSessionSimilarity, add_both_ways
from edge_daemon.learning.sampling import (
    Doubles,
    Floats,
    Ints,
    assign_folds,
    burst_key,
    dense_rank,
    unique,
)

MAX_EXAMPLES = 2000
"""Number of newest examples with statistics. It bounds the work at start-up."""

_COLUMNS_PER_BLOCK = 64

_MAX_FORMER_PRESSES = 1000
"""Number of presses without examples from which on the presses are numbered again."""


class LeaveOneOutScores(Struct, frozen=True):
    """Leave-one-out statistics of the n newest rows of an index with C classes, from `first_row` on.

    Examples of the same burst are excluded from each other's neighbours. Near-duplicates of a class belong
    to one burst, even if two presses taught them: they are one view.

    `class_ids` (n): as in the index. `neighbour_similarities` and `neighbour_rows` (n x k): the nearest
    neighbours, nearest first, -inf if there are fewer than k; rows count from `first_row`. `class_sums`
    (n x C): sums of the similarities to the examples of each class. `own_burst_similarity` (n): the sum of
    the similarities to the own burst, the example included. `same_class_count` (n): number of other
    examples of the class. `burst_ids`, `press_ids`, `session_ids` (n). `near_duplicate_presses`: presses
    that repeat a view. The arrays are valid until the examples change.
    """

    first_row: int
    class_ids: Ints
    neighbour_similarities: Floats
    neighbour_rows: Ints
    class_sums: Doubles
    own_burst_similarity: Doubles
    same_class_count: Ints
    burst_ids: Ints
    press_ids: Ints
    session_ids: Ints
    near_duplicate_presses: int

    def centroid_cosines(self) -> Doubles:
        """Return the cosine to each class mean (n x C), without the example's burst in its own class.

        The sums of similarities give the lengths of the means as well: |S|^2 is the sum of x.S over the
        class, and |S - B|^2 = |S|^2 - 2 S.B + |B|^2 without the burst B.
        """
        class_ids, rows = self.class_ids, np.arange(len(self.class_ids))
        own = self.class_sums[rows, class_ids]
        squared = np.bincount(class_ids, own + self.own_burst_similarity, self.class_sums.shape[1])
        lengths = np.sqrt(np.maximum(squared, 1e-12))
        without = np.bincount(self.burst_ids, 2 * own + self.own_burst_similarity)[self.burst_ids]
        cosines = self.class_sums / lengths
        cosines[rows, class_ids] = own / np.sqrt(np.maximum(squared[class_ids] - without, 1e-12))
        return cosines

    def folds(self, rows: Ints) -> Ints:
        """Return a fold for each of some rows; no burst is split."""
        return assign_folds(self.class_ids[rows], self.burst_ids[rows])


class LeaveOneOut:
    """Keeps the nearest neighbours of each example and its similarity to each class. One owning thread."""

    def __init__(
        self,
        examples: EmbeddingIndex,
        k: int = 3,
        limit: int = MAX_EXAMPLES,
        session_neighbours: bool = False,
    ) -> None:
        """`session_neighbours`: keep the nearest neighbours in other sessions as well."""
        self._examples = examples
        self._k = k
        self._limit = limit
        self._session_k = k if session_neighbours else 0
        self._version = -1
        self._reset()

    def scores(self) -> LeaveOneOutScores:
        """Return the statistics of the present examples."""
        self._update()
        labels = self._examples.labels
        class_ids = self._examples.class_ids[self._first_row :]
        counts = np.bincount(class_ids, minlength=len(labels))
        same_class_count = counts[class_ids] - self._burst_sizes()
        near_duplicate_presses = len(unique(self._press_ids)) - len(unique(self._burst_ids))
        return LeaveOneOutScores(
            self._first_row,
            class_ids,
            self._neighbours.similarities,
            self._neighbours.rows,
            self._by_class(self._class_sums),
            self._own_burst_similarity,
            same_class_count,
            self._burst_ids,
            self._press_ids,
            self._other_sessions.session_ids,
            near_duplicate_presses,
        )

    def other_session_sums(self) -> Doubles | None:
        """Return the sums of the similarities to the examples of other sessions (n x C).

        None with one session. Call it after `scores`, as `other_session_neighbours`.
        """
        return self._by_class(self._other_sessions.class_sums) if self._other_sessions.is_needed else None

    @property
    def other_session_neighbours(self) -> NeighbourLists:
        """The nearest neighbours in other sessions; empty lists unless they are kept."""
        return self._other_sessions.neighbours

    def _by_class(self, sums: Doubles) -> Doubles:
        """Return sums per class column in class order, without a copy if that is their order."""
        if list(self._column_of) == list(self._examples.labels):
            return sums
        ordered = np.zeros((len(self._ids), len(self._examples.labels)))
        for class_id, label in enumerate(self._examples.labels):
            if label in self._column_of:
                ordered[:, class_id] = sums[:, self._column_of[label]]
        return ordered

    def remove(self, example_ids: Collection[int]) -> None:
        """Remove examples. Call it before they are removed from the index."""
        self._resync_offset()
        gone = set(example_ids)
        removed = np.array([row for row, each in enumerate(self._ids) if each in gone], np.intp)
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
        self._neighbours = NeighbourLists(self._k)
        self._other_sessions = OtherSessionSimilarity(self._session_k)
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
        self._neighbours.append(len(labels))
        sessions = self._examples.sessions[self._first_row + start :]
        self._other_sessions.append(np.array(sessions, np.intp), len(self._column_of))
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
        of_label = [self._column_of.get(label, 0) for label in self._examples.labels]
        columns = np.array(of_label, np.intp)[
            self._examples.class_ids[self._first_row : self._first_row + stop]
        ]
        add_both_ways(self._class_sums, start, np.where(same_burst, 0.0, similarities), columns)
        self._other_sessions.update(start, stop, similarities, columns)
        similarities[same_burst] = -np.inf
        self._neighbours.merge(slice(start), similarities[:start], start)
        self._neighbours.merge(slice(start, stop), similarities.T, 0)

    def _subtract_row(self, row: int) -> None:
        matrix = self._matrix()
        similarities = matrix @ matrix[row]
        burst_ids = self._burst_ids
        same_burst = burst_ids == burst_ids[row]
        column = self._column_of[self._label(row)]
        self._class_sums[:, column] -= np.where(same_burst, 0.0, similarities)
        self._other_sessions.subtract(row, similarities, column)
        self._own_burst_similarity -= np.where(same_burst, similarities, 0.0)

    def _remove_rows(self, removed: Ints) -> None:
        """Replace removed neighbours, then renumber the remaining rows."""
        keep = np.ones(len(self._ids), dtype=bool)
        keep[removed] = False
        matrix, burst_ids = self._matrix(), self._burst_ids
        for row in np.flatnonzero(keep & self._neighbours.has_neighbour_in(removed)).tolist():
            similarities = matrix @ matrix[row]
            similarities[~keep | (burst_ids == burst_ids[row])] = -np.inf
            self._neighbours.replace(row, similarities)
        self._neighbours.keep(keep)
        self._other_sessions.remove(keep, matrix)
        self._ids = [each for each, kept in zip(self._ids, keep, strict=True) if kept]
        self._press_ids = self._press_ids[keep]
        self._class_sums = self._class_sums[keep]
        self._own_burst_similarity = self._own_burst_similarity[keep]
        self._renumber_presses()

    def _renumber_presses(self) -> None:
        """Drop the presses without examples, if they are many; the order of the numbers stays.

        A full class whose examples are replaced for years would have ever more of them.
        """
        used = unique(self._press_ids)
        if len(self._burst_id_of_press) - len(used) <= _MAX_FORMER_PRESSES:
            return
        numbers = {press: number for number, press in enumerate(used.tolist())}
        self._press_id_of = {
            key: numbers[press] for key, press in self._press_id_of.items() if press in numbers
        }
        self._burst_id_of_press = dense_rank(self._burst_id_of_press[used])
        self._press_ids = dense_rank(self._press_ids)

    def _matrix(self) -> Floats:
        return self._examples.matrix[self._first_row : self._first_row + len(self._ids)]
