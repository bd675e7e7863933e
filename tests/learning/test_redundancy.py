"""Eviction keeps what is shown once."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.learning.redundancy import most_redundant


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.column_stack((np.cos(angles), np.sin(angles))).astype(np.float32)


def test_one_of_the_most_similar_pair_goes_the_one_with_another_neighbour() -> None:
    assert most_redundant(at(0, 40, 42, 50, 170)) == 2
    assert most_redundant(at(170, 30, 40, 42)) == 2


def test_a_pose_shown_once_stays_however_old() -> None:
    rows = list(at(170, *range(0, 60, 3)))
    while len(rows) > 4:
        del rows[most_redundant(np.stack(rows))]
    assert any(np.allclose(row, at(170)[0]) for row in rows)


def test_of_equal_examples_the_oldest_goes() -> None:
    assert most_redundant(at(10, 10, 10)) == 0


def test_a_single_example_is_the_one_to_go_and_none_is_an_error() -> None:
    assert most_redundant(at(5)) == 0
    with pytest.raises(ValueError):
        most_redundant(np.empty((0, 2), np.float32))
