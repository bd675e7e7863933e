"""Which example of a class is missed least: what `max_per_label` takes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_daemon.learning.embedding_index import Codes, EmbeddingIndex, Floats
from edge_daemon.learning.quality.leave_one_out import NEAR_DUPLICATE

_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class LabelIssues:
    """Rows that may be in the way. A twin repeats an earlier row of its class; an outlier's nearest
    example is of another class, named here."""

    twins: frozenset[int]
    outliers: dict[int, str]


def find_label_issues(matrix: npt.NDArray[np.float32], labels: Sequence[str]) -> LabelIssues:
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
    return LabelIssues(frozenset(twins), outliers)


_DECIMALS = 6
"""Equal examples are as similar as each other, whatever the order in which a product was summed up."""


class RedundancyIndex:
    """Remembers the nearest mate of each example in its class, so that a press costs a few products.

    The first question about a class of n examples costs n x n products; each change after it one, and
    one for every example that lost its nearest mate. Memory: two numbers an example.
    """

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._examples = examples
        self._nearest: dict[str, dict[int, tuple[float, int]]] = {}

    def forget(self) -> None:
        """Remember nothing; call it before example ids are used again for other embeddings."""
        self._nearest.clear()

    def most_redundant(self, label: str) -> int:
        """Return the id of the example of `label` that the others stand in for best.

        Of the two most similar examples, the one that is more similar to a third; the older one if that
        is equal. So a pose shown once stays, however old, and of many alike one goes. Raises ValueError
        for a label without examples.
        """
        examples = self._examples
        rows = np.flatnonzero(examples.codes == list(examples.labels).index(label))
        ids = np.array(examples.ids)[rows]
        if len(ids) == 1:
            return int(ids[0])
        vectors = examples.matrix[rows]
        values, mates = self._catch_up(label, ids, vectors)
        first = int(values.argmax())
        pair = sorted((first, int(np.flatnonzero(ids == mates[first])[0])))
        thirds = _similarities(vectors[pair], vectors)
        thirds[:, pair] = -np.inf
        older, newer = thirds.max(axis=1).tolist()
        return int(ids[pair[0] if older >= newer else pair[1]])

    def _catch_up(self, label: str, ids: Codes, vectors: Floats) -> tuple[Floats, Codes]:
        """Return each example's similarity to its nearest mate and the mate's id."""
        present = set(ids.tolist())
        known = {
            one: (value, mate)
            for one, (value, mate) in self._nearest.get(label, {}).items()
            if one in present and mate in present
        }
        values = np.array([known.get(one, (-np.inf, -1))[0] for one in ids.tolist()], np.float32)
        mates = np.array([known.get(one, (-np.inf, -1))[1] for one in ids.tolist()], np.intp)
        asked = np.flatnonzero(np.isneginf(values))
        for start in range(0, len(asked), _ROWS_AT_ONCE):
            _introduce(asked[start : start + _ROWS_AT_ONCE], ids, vectors, values, mates)
        pairs = zip(values.tolist(), mates.tolist(), strict=True)
        self._nearest[label] = dict(zip(ids.tolist(), pairs, strict=True))
        return values, mates


def _introduce(some: Codes, ids: Codes, vectors: Floats, values: Floats, mates: Codes) -> None:
    """Find the nearest mates of some examples, and offer these to all others."""
    similarities = _similarities(vectors[some], vectors)
    similarities[np.arange(len(some)), some] = -np.inf
    nearest = similarities.argmax(axis=0)
    offered = similarities[nearest, np.arange(len(ids))]
    closer = offered > values
    values[closer], mates[closer] = offered[closer], ids[some[nearest[closer]]]
    values[some], mates[some] = similarities.max(axis=1), ids[similarities.argmax(axis=1)]


def _similarities(some: Floats, vectors: Floats) -> Floats:
    rounded: Floats = np.round(some @ vectors.T, _DECIMALS)
    return rounded
