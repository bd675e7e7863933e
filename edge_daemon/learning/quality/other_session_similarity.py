"""Similarity of each example to those of other sessions, updated as examples come and go."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.quality.neighbour_lists import NeighbourLists
from edge_daemon.learning.sampling import Doubles, Flags, Floats, Ints, unique

_MAX_PRODUCT_CLASSES, _MIN_PRODUCT_ROWS = 32, 8
"""With more classes or fewer rows, one sum for each row takes less time than a product."""


class OtherSessionSimilarity:
    """Statistics of n rows against the rows of other sessions.

    `session_ids` (n) are the sessions; `class_sums` (n x columns) the sums of a row's similarities to the
    examples of each class in other sessions. With `k` above 0, `neighbours` are the nearest of these rows.
    While all rows are of one session, `class_sums` are empty and nothing is computed.
    """

    def __init__(self, k: int = 0) -> None:
        self._k = k
        self.session_ids: Ints = np.empty(0, np.intp)
        self.class_sums: Doubles = np.empty((0, 0))
        self.neighbours = NeighbourLists(k)

    @property
    def is_needed(self) -> bool:
        """True if there are several sessions."""
        return len(self.class_sums) > 0

    def append(self, session_ids: Ints, columns: int) -> None:
        """Append rows of these sessions; `columns` is the new number of classes."""
        start = len(self.session_ids)
        self.session_ids = np.concatenate((self.session_ids, session_ids))
        self.neighbours.append(len(session_ids))
        if self.is_needed or (self.session_ids != self.session_ids[:1]).any():
            sums = np.zeros((len(self.session_ids), columns))
            if self.is_needed:  # else none of the rows before has one of another session
                sums[:start, : self.class_sums.shape[1]] = self.class_sums
            self.class_sums = sums

    def update(self, start: int, stop: int, similarities: Floats, columns: Ints) -> None:
        """Update the rows before `stop` with the new rows from `start`, both ways.

        `similarities` (stop x new rows) are those to the new rows; `columns` (stop) are the class columns.
        """
        if not self.is_needed:
            return
        same_session = self.session_ids[:stop, None] == self.session_ids[start:stop]
        add_both_ways(self.class_sums, start, np.where(same_session, 0.0, similarities), columns)
        if self._k:
            others = np.where(same_session, np.float32(-np.inf), similarities)
            self.neighbours.merge(slice(start), others[:start], start)
            self.neighbours.merge(slice(start, stop), others.T, 0)

    def subtract(self, row: int, similarities: Floats, column: int) -> None:
        """Subtract a row, whose class has this column, from the sums."""
        if self.is_needed:
            same_session = self.session_ids == self.session_ids[row]
            self.class_sums[:, column] -= np.where(same_session, 0.0, similarities)

    def remove(self, keep: Flags, matrix: Floats) -> None:
        """Remove rows that are subtracted; `matrix` (n x d) still holds all embeddings."""
        if self._k:
            listing = self.neighbours.has_neighbour_in(np.flatnonzero(~keep))
            for row in np.flatnonzero(keep & listing).tolist():
                similarities = matrix @ matrix[row]
                similarities[~keep | (self.session_ids == self.session_ids[row])] = -np.inf
                self.neighbours.replace(row, similarities)
        self.neighbours.keep(keep)
        self.session_ids = self.session_ids[keep]
        if self.is_needed:
            self.class_sums = self.class_sums[keep]


def add_both_ways(sums: Doubles, start: int, similarities: Floats | Doubles, columns: Ints) -> None:
    """Add similarities (rows x new rows from `start`) to the class sums of all rows.

    `columns` is the class column of each row. New rows get the similarities to all rows, the rows before
    them those to the new ones.
    """
    if sums.shape[1] <= _MAX_PRODUCT_CLASSES and similarities.shape[1] >= _MIN_PRODUCT_ROWS:
        belongs = (columns[:, None] == np.arange(sums.shape[1])).astype(np.float64)
        exact = similarities.astype(np.float64)
        sums[start : len(columns)] += exact.T @ belongs
        sums[:start] += exact[:start] @ belongs[start:]
        return
    for offset, to_all in enumerate(similarities.T):
        sums[start + offset] += np.bincount(columns, to_all, sums.shape[1])
    new_columns = columns[start:]
    for column in unique(new_columns).tolist():
        added = similarities[:start, new_columns == column]
        sums[:start, column] += added.sum(axis=1, dtype=np.float64)
