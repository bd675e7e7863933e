"""Each example as the others see it, kept up to date at one matrix-vector product a press."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_daemon.learning.embedding_index import Codes, EmbeddingIndex, Floats, unique

LIMIT = 2000
"""Only the newest examples are examined: enough to judge by, and a bound on the work at start-up."""

NEAR_DUPLICATE = 0.97
"""Cosine from which two examples of a class show the same thing in the same way: a press without a move.

Two pictures of a thing that stands still are that near in 99 of 100 cases (three models, noise of 3
levels, a pixel of shake); of one that is moved, seldom; of two things of a class, never.
"""

_COLUMNS_AT_ONCE = 64

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LeaveOneOutScores:
    """What the other examples say of each row of the set from `first` on (n rows, C classes).

    An example and the burst it was taught in count as one: burst mates are no others. Near-duplicates are
    of one burst, too: taught by two presses, they are still one view of the thing.
    `values` and `rows` (n x k): the nearest others, best first; -inf where there are fewer. `rows`
    count from `first`. `sums` (n x C): similarities to the others of each class, added up. `kin`
    (n): the same to the own burst, itself included. `mates` (n): the others of the own class. `bursts`
    (n) numbers the bursts. `repeats` counts the presses that showed nothing new.
    """

    first: int
    codes: Codes
    values: Floats
    rows: Codes
    sums: Doubles
    kin: Doubles
    mates: Codes
    bursts: Codes
    repeats: int


class LeaveOneOut:
    """Remembers, for each example, its nearest others and its similarity to each class."""

    def __init__(self, examples: EmbeddingIndex, k: int = 3, limit: int = LIMIT) -> None:
        self._examples = examples
        self._k = k
        self._limit = limit
        self._version = -1
        self._reset()

    def others(self) -> LeaveOneOutScores:
        """Return the figures for the examples as they are now."""
        self._catch_up()
        labels = self._examples.labels
        sums = np.zeros((len(self._ids), len(labels)))
        for code, label in enumerate(labels):
            if label in self._columns:
                sums[:, code] = self._sums[:, self._columns[label]]
        codes = self._examples.codes[self._first :]
        counts = np.bincount(codes, minlength=len(labels))
        mates = counts[codes] - self._burst_sizes()
        repeats = len(unique(self._presses)) - len(unique(self._bursts))
        return LeaveOneOutScores(
            self._first, codes, self._values, self._rows, sums, self._kin, mates, self._bursts, repeats
        )

    def forget(self, example_ids: Collection[int]) -> None:
        """Drop examples that are about to leave the set; call it before they do."""
        self._find()
        gone = np.flatnonzero(np.isin(self._ids, list(example_ids)))
        if len(gone) > len(self._ids) // 4:
            self._reset()
        elif len(gone):
            for row in gone:
                self._subtract(int(row))
            self._close_ranks(gone)
            self._version = -1

    def _reset(self) -> None:
        self._first = 0
        self._ids: list[int] = []
        self._columns: dict[str, int] = {}
        self._press_of: dict[tuple[str, str], int] = {}
        self._burst_of: Codes = np.empty(0, np.intp)
        self._presses: Codes = np.empty(0, np.intp)
        self._values: Floats = np.empty((0, self._k), np.float32)
        self._rows: Codes = np.empty((0, self._k), np.intp)
        self._sums: Doubles = np.empty((0, 0))
        self._kin: Doubles = np.empty(0)

    def _catch_up(self) -> None:
        if self._version == self._examples.version:
            return
        self._version = self._examples.version
        self._slide()
        start = len(self._ids)
        self._ids = list(self._examples.ids[self._first :])
        self._make_room(start)
        matrix = self._matrix()
        for block in range(start, len(matrix), _COLUMNS_AT_ONCE):
            stop = min(len(matrix), block + _COLUMNS_AT_ONCE)
            similarities = matrix[:stop] @ matrix[block:stop].T
            self._find_bursts(block, stop, similarities)
            self._meet(block, stop, similarities)

    def _slide(self) -> None:
        """Let go of the oldest when there are more than the limit."""
        self._find()
        surplus = len(self._examples) - self._first - self._limit
        if surplus > 0:
            self.forget(self._examples.ids[self._first : self._first + surplus])
            self._first = len(self._examples) - self._limit

    def _find(self) -> None:
        """Find where the known rows begin, since examples before them may have left the set."""
        if self._ids:
            self._first = list(self._examples.ids).index(self._ids[0])

    def _make_room(self, start: int) -> None:
        """Add empty rows, and columns for new classes."""
        labels = [self._label(row) for row in range(start, len(self._ids))]
        for label in labels:
            self._columns.setdefault(label, len(self._columns))
        presses = [self._press(label, start + offset) for offset, label in enumerate(labels)]
        self._presses = np.concatenate((self._presses, np.array(presses, dtype=np.intp)))
        self._burst_of = np.append(self._burst_of, np.arange(len(self._burst_of), len(self._press_of)))
        self._values = np.vstack((self._values, np.full((len(labels), self._k), -np.inf, np.float32)))
        self._rows = np.vstack((self._rows, np.zeros((len(labels), self._k), np.intp)))
        self._kin = np.append(self._kin, np.ones(len(labels)))
        sums = np.zeros((len(self._ids), len(self._columns)))
        sums[:start, : self._sums.shape[1]] = self._sums
        self._sums = sums

    def _label(self, row: int) -> str:
        return self._examples.labels[int(self._examples.codes[self._first + row])]

    def _press(self, label: str, row: int) -> int:
        """Number the presses; each is a burst of its own until it is found to repeat another."""
        group = self._examples.groups[self._first + row] or f"\0{self._ids[row]}"
        return self._press_of.setdefault((label, group), len(self._press_of))

    @property
    def _bursts(self) -> Codes:
        return self._burst_of[self._presses]

    def _find_bursts(self, start: int, stop: int, similarities: Floats) -> None:
        """Let the presses among the columns that repeat an earlier one of the class join its burst."""
        codes = self._examples.codes[self._first : self._first + stop]
        repeated = (similarities >= NEAR_DUPLICATE) & (codes[:, None] == codes[start:])
        repeated[start:] = np.triu(repeated[start:], k=1)  # only what came before
        repeated &= self._presses[:stop, None] != self._presses[start:stop]
        for column in np.flatnonzero(repeated.any(axis=0)).tolist():
            press = self._presses[start + column]
            if (self._presses == press).argmax() == start + column:  # its first example decides
                nearest = np.where(repeated[:, column], similarities[:, column], -1.0).argmax()
                self._burst_of[press] = self._burst_of[self._presses[nearest]]

    def _burst_sizes(self) -> Codes:
        bursts = self._bursts
        return np.bincount(bursts)[bursts] if len(bursts) else bursts

    def _meet(self, start: int, stop: int, similarities: Floats) -> None:
        """Introduce the examples from `start` to `stop` (columns) to all before `stop`, both ways."""
        np.fill_diagonal(similarities[start:], 1.0)
        bursts = self._bursts
        kin = bursts[:stop, None] == bursts[start:stop]
        own = np.where(kin, similarities, 0.0)
        self._kin[:start] += own[:start].sum(axis=1)
        self._kin[start:stop] = own.sum(axis=0)
        others = np.where(kin, 0.0, similarities)
        of_label = [self._columns.get(label, 0) for label in self._examples.labels]
        columns = np.array(of_label, np.intp)[self._examples.codes[self._first : self._first + stop]]
        _add_by_class(self._sums[:start], others[:start], columns[start:])
        _add_by_class(self._sums[start:stop], others.T, columns)
        similarities[kin] = -np.inf
        self._offer(slice(start), similarities[:start], start)
        self._offer(slice(start, stop), similarities.T, 0)

    def _offer(self, known: slice, similarities: Floats, first: int) -> None:
        """Let candidates (columns, rows from `first` on) push into the lists of those they are near to."""
        closer = np.flatnonzero((similarities > self._values[known, -1:]).any(axis=1))
        values = np.hstack((self._values[known][closer], similarities[closer]))
        rows = closer + (known.start or 0)
        listed, each = self._rows[rows], np.arange(len(rows))
        for place in range(self._k):
            best = values.argmax(axis=1)
            self._values[rows, place] = values[each, best]
            before = listed[each, np.minimum(best, self._k - 1)]
            self._rows[rows, place] = np.where(best < self._k, before, first + best - self._k)
            values[each, best] = -np.inf

    def _subtract(self, row: int) -> None:
        matrix = self._matrix()
        similarities = matrix @ matrix[row]
        bursts = self._bursts
        kin = bursts == bursts[row]
        self._sums[:, self._columns[self._label(row)]] -= np.where(kin, 0.0, similarities)
        self._kin -= np.where(kin, similarities, 0.0)

    def _close_ranks(self, gone: Codes) -> None:
        """Replace lost neighbours, then renumber the rows that stay."""
        keep = np.ones(len(self._ids), dtype=bool)
        keep[gone] = False
        matrix, bursts = self._matrix(), self._bursts
        bereft = np.isin(self._rows, gone) & np.isfinite(self._values)
        for row in np.flatnonzero(keep & bereft.any(axis=1)):
            similarities = matrix @ matrix[row]
            similarities[~keep | (bursts == bursts[row])] = -np.inf
            self._values[row] = -np.inf
            self._offer(slice(row, row + 1), similarities[None], 0)
        number = np.cumsum(keep) - 1
        self._ids = [each for each, kept in zip(self._ids, keep, strict=True) if kept]
        self._presses = self._presses[keep]
        self._values = self._values[keep]
        self._rows = number[self._rows[keep]]
        self._sums = self._sums[keep]
        self._kin = self._kin[keep]

    def _matrix(self) -> Floats:
        return self._examples.matrix[self._first : self._first + len(self._ids)]


def _add_by_class(sums: Doubles, similarities: Floats, columns: Codes) -> None:
    """Add similarities (rows) to the sums of the classes: `columns` holds that of each similarity."""
    if similarities.size:
        order = np.argsort(columns, kind="stable")
        starts = np.flatnonzero(np.diff(columns[order], prepend=-1))
        found = np.add.reduceat(similarities[:, order], starts, axis=1, dtype=np.float64)
        sums[:, columns[order][starts]] += found
