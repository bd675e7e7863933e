"""Scores of held-out classes, and the views of each class."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.learning.classifiers.plda import subspace
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.open_set.leave_one_class_out import (
    MAX_HELD_OUT,
    between_burst_similarities,
    classes_with_enough_views,
    held_out_class_scores,
    mean_by_burst,
)
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut
from tests.learning.open_set.test_rejector import class_of


def scores(classes: int, each: int, rank: int) -> list[float]:
    matrix = np.concatenate([class_of(class_id, each) for class_id in range(classes)])
    unit = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
    class_ids = np.repeat(np.arange(classes), each)
    return held_out_class_scores(unit, subspace(unit, 64).coordinates, class_ids, classes, rank)


@pytest.mark.parametrize(("classes", "count"), [(3, 24), (6, 48), (20, 7 * 8)])
def test_each_class_is_held_out_up_to_a_maximum(classes: int, count: int) -> None:
    assert len(scores(classes, 8, 10)) == count
    assert count <= MAX_HELD_OUT * 8


@pytest.mark.parametrize(("classes", "each", "rank"), [(1, 8, 5), (2, 8, 10), (3, 3, 12)])
def test_too_few_others_give_no_scores(classes: int, each: int, rank: int) -> None:
    assert scores(classes, each, rank) == []


def test_a_class_is_scored_without_its_own_examples() -> None:
    own = class_of(0, 8)
    twin = np.concatenate([own, own, class_of(1, 8), class_of(2, 8)])
    unit = (twin / np.linalg.norm(twin, axis=1, keepdims=True)).astype(np.float32)
    with_twin = held_out_class_scores(unit, subspace(unit, 64).coordinates, np.repeat(np.arange(4), 8), 4, 15)
    assert max(with_twin) > max(scores(4, 8, 15)) + 0.5


def has_enough_views(taught: dict[str, list[str]], limit: int = 100) -> dict[str, bool]:
    """Return which labels have enough views, with dissimilar examples of these bursts."""
    rng = np.random.default_rng(0)
    examples = EmbeddingIndex()
    for label, bursts in taught.items():
        for burst in bursts:
            examples.add(rng.normal(size=30), label, len(examples), burst)
    loo = LeaveOneOut(examples, limit=limit).scores()
    flags = classes_with_enough_views(loo, len(examples.labels))
    return dict(zip(examples.labels, flags.tolist(), strict=True))


def test_three_views_are_enough() -> None:
    assert has_enough_views({"a": [""] * 9, "b": [""] * 3, "c": [""] * 2}) == {
        "a": True,
        "b": True,
        "c": False,
    }


def test_a_burst_is_one_view() -> None:
    assert has_enough_views({"a": [""] * 3, "b": ["held"] * 9 + [""]}) == {"a": True, "b": False}


def test_classes_of_equally_few_views_have_enough() -> None:
    assert has_enough_views({"a": [""], "b": ["held"] * 5}) == {"a": True, "b": True}


def test_a_class_older_than_the_statistics_has_enough() -> None:
    assert has_enough_views({"old": [""] * 5, "new": [""] * 10, "young": [""]}, limit=11) == {
        "old": True,
        "new": True,
        "young": False,
    }


def test_each_burst_has_one_mean_score() -> None:
    means = mean_by_burst(np.array([1.0, 3.0, 5.0, 7.0]), np.array([4, 4, 9, 4]))
    np.testing.assert_allclose(means, [11 / 3, 5.0])
    assert len(mean_by_burst(np.empty(0), np.empty(0, np.intp))) == 0


def test_pairs_are_of_one_class_and_of_two_bursts() -> None:
    matrix = np.eye(5, dtype=np.float32)
    matrix[1] = matrix[0]
    pairs = between_burst_similarities(matrix, np.array([0, 1, 2, 3, 2]), np.array([0, 0, 0, 1, 0]))
    assert sorted(pairs.tolist()) == [0.0] * 4 + [1.0]
