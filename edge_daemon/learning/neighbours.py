"""The nearest rows of a similarity vector, in an order that no rounding can change."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from edge_daemon.learning.example_set import Codes, Floats

TIE = 1e-6
"""Similarities closer than this are equal: a float32 product of the same rows differs by less."""

_FEW = 16


def largest(similarities: Floats, count: int) -> tuple[list[int], list[float]]:
    """Return the rows and values of the `count` largest (or all), by repeated argmax.

    For a few, that is several times faster than a partition.
    """
    rows: list[int] = []
    values: list[float] = []
    for _ in range(min(count, len(similarities))):
        row = int(similarities.argmax())
        rows.append(row)
        values.append(similarities.item(row))
        similarities[row] = -np.inf
    # Put back in place: cheaper than a copy of all.
    for row, value in zip(rows, values, strict=True):
        similarities[row] = value
    return rows, values


def nearest(similarities: Floats, codes: Codes, k: int) -> list[int]:
    """Return the `k` nearest rows (or all, when there are fewer), nearest first.

    Equal similarities keep class order, then the order in which they were taught.
    """
    rows = len(similarities)
    if k >= rows or k > _FEW:
        return _ordered(similarities, codes, min(k, rows))
    found, values = largest(similarities, k + 1)
    for upper, lower in pairwise(values):
        if upper - lower <= TIE:
            return _ordered(similarities, codes, k)
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
