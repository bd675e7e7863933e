"""Lists of the nearest neighbours of each row, updated as rows are appended and removed."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.sampling import Flags, Floats, Ints


class NeighbourLists:
    """The `k` nearest neighbours of each of n rows, nearest first.

    `similarities` (n x k) are -inf where a row has fewer neighbours; `rows` (n x k) are their row numbers.
    The caller decides which rows may be neighbours: it passes -inf for the others.
    """

    def __init__(self, k: int) -> None:
        self._k = k
        self.similarities: Floats = np.empty((0, k), np.float32)
        self.rows: Ints = np.empty((0, k), np.intp)

    def append(self, count: int) -> None:
        """Append rows without neighbours."""
        self.similarities = np.vstack((self.similarities, np.full((count, self._k), -np.inf, np.float32)))
        self.rows = np.vstack((self.rows, np.zeros((count, self._k), np.intp)))

    def merge(self, known: slice, similarities: Floats, first: int) -> None:
        """Merge candidates (columns: the rows from `first`) into the neighbours of the `known` rows."""
        closer = np.flatnonzero((similarities > self.similarities[known, -1:]).any(axis=1))
        values = np.hstack((self.similarities[known][closer], similarities[closer]))
        rows = closer + (known.start or 0)
        listed, each = self.rows[rows], np.arange(len(rows))
        for position in range(self._k):
            best = values.argmax(axis=1)
            self.similarities[rows, position] = values[each, best]
            before = listed[each, np.minimum(best, self._k - 1)]
            self.rows[rows, position] = np.where(best < self._k, before, first + best - self._k)
            values[each, best] = -np.inf

    def replace(self, row: int, similarities: Floats) -> None:
        """Replace the neighbours of a row by the nearest of all rows (n)."""
        self.similarities[row] = -np.inf
        self.merge(slice(row, row + 1), similarities[None], 0)

    def has_neighbour_in(self, removed: Ints) -> Flags:
        """Return which rows (n) have one of the `removed` rows among their neighbours."""
        is_removed = np.zeros(len(self.rows), bool)
        is_removed[removed] = True
        found = is_removed[self.rows] & np.isfinite(self.similarities)
        flags: Flags = np.logical_or.reduce(found, axis=1)
        return flags

    def keep(self, keep: Flags) -> None:
        """Remove the other rows and renumber the neighbours, none of which may be a removed row."""
        number = np.cumsum(keep) - 1
        self.similarities = self.similarities[keep]
        self.rows = number[self.rows[keep]]
