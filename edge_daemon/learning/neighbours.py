"""The nearest rows of a similarity vector, in an order that no rounding can change."""

from __future__ import annotations

import math

import numpy as np

from edge_daemon.learning.example_set import Codes, Floats, Query

TIE = 1e-6
"""Similarities closer than this are equal: a float32 product of the same rows differs by less."""

_FEW = 16


def nearest(query: Query, codes: Codes, k: int) -> list[int]:
    """Return the `k` nearest rows (or all, when there are fewer), nearest first.

    Equal similarities keep class order, then the order in which they were taught.
    """
    similarities = query.similarities
    rows = len(similarities)
    if k >= rows or k > _FEW:
        return _ordered(similarities, codes, min(k, rows))
    found, values = query.largest(k + 1)
    upper = math.inf
    for value in values:
        if upper - value <= TIE:
            return _ordered(similarities, codes, k)
        upper = value
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
