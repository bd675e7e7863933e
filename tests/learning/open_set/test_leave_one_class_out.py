"""What a taught class would score if it had not been taught."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.learning.classifiers.plda import subspace
from edge_daemon.learning.open_set.leave_one_class_out import MOST_ASKED, held_out_class_scores
from tests.learning.open_set.test_rejector import class_of


def scores(classes: int, each: int, rank: int) -> list[float]:
    matrix = np.concatenate([class_of(code, each) for code in range(classes)])
    unit = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
    codes = np.repeat(np.arange(classes), each)
    return held_out_class_scores(unit, subspace(unit, 64).coordinates, codes, classes, rank)


@pytest.mark.parametrize(("classes", "count"), [(3, 24), (6, 48), (20, 7 * 8)])
def test_each_class_is_asked_but_not_more_than_a_few(classes: int, count: int) -> None:
    assert len(scores(classes, 8, 10)) == count
    assert count <= MOST_ASKED * 8


@pytest.mark.parametrize(("classes", "each", "rank"), [(1, 8, 5), (2, 8, 10), (3, 3, 12)])
def test_without_enough_others_nothing_is_said(classes: int, each: int, rank: int) -> None:
    assert scores(classes, each, rank) == []


def test_a_class_is_scored_without_its_own_examples() -> None:
    own = class_of(0, 8)
    twin = np.concatenate([own, own, class_of(1, 8), class_of(2, 8)])
    unit = (twin / np.linalg.norm(twin, axis=1, keepdims=True)).astype(np.float32)
    with_twin = held_out_class_scores(unit, subspace(unit, 64).coordinates, np.repeat(np.arange(4), 8), 4, 15)
    assert max(with_twin) > max(scores(4, 8, 15)) + 0.5
