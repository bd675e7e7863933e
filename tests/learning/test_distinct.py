"""Small whole numbers: which occur, and their ranks."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.embedding_index import ranked, unique


def test_answers_are_those_of_numpys_unique() -> None:
    codes = np.array([7, 3, 3, 0, 9, 7])
    values, inverse = np.unique(codes, return_inverse=True)
    np.testing.assert_array_equal(unique(codes), values)
    np.testing.assert_array_equal(ranked(codes), inverse)


def test_nothing_has_nothing_distinct() -> None:
    nothing = np.zeros(0, np.intp)
    assert not len(unique(nothing))
    assert not len(ranked(nothing))
