"""Examples worth a second look: those that repeat another, and those that lie with another class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_daemon.learning.leave_one_out import NEAR_DUPLICATE

_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Oddities:
    """Rows that may be in the way. A twin repeats an earlier row of its class; an outlier's nearest
    example is of another class, named here."""

    twins: frozenset[int]
    outliers: dict[int, str]


def find_oddities(matrix: npt.NDArray[np.float32], labels: Sequence[str]) -> Oddities:
    """Compare every row (unit length, n x d) with every other; takes a block of n x n memory at a time."""
    codes = np.unique(np.asarray(labels), return_inverse=True)[1] if len(labels) else np.zeros(0, np.intp)
    twins: set[int] = set()
    outliers: dict[int, str] = {}
    for start in range(0, len(matrix), _ROWS_AT_ONCE):
        similarities = matrix[start : start + _ROWS_AT_ONCE] @ matrix.T
        for offset, row in enumerate(similarities):
            number = start + offset
            kin = codes == codes[number]
            if (row[:number][kin[:number]] >= NEAR_DUPLICATE).any():
                twins.add(number)
            row[number] = -np.inf
            nearest = int(row.argmax())
            if len(row) > 1 and not kin[nearest]:
                outliers[number] = labels[nearest]
    return Oddities(frozenset(twins), outliers)
