"""Views of a class: the examples of a burst, and presses that repeat one, are one view."""

from __future__ import annotations

import numpy as np

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.open_set.class_views import between_bursts, classes_with_enough_views, mean_by_burst
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut


def settled(taught: dict[str, list[str]], limit: int = 100) -> dict[str, bool]:
    """Teach each label examples of these bursts, far from each other; say which classes are settled."""
    rng = np.random.default_rng(0)
    examples = EmbeddingIndex()
    for label, bursts in taught.items():
        for burst in bursts:
            examples.add(rng.normal(size=30), label, len(examples), burst)
    others = LeaveOneOut(examples, limit=limit).others()
    flags = classes_with_enough_views(others, len(examples.labels))
    return dict(zip(examples.labels, flags.tolist(), strict=True))


def test_a_class_of_three_views_is_settled_whatever_others_have() -> None:
    assert settled({"a": [""] * 9, "b": [""] * 3, "c": [""] * 2}) == {"a": True, "b": True, "c": False}


def test_a_burst_is_one_view() -> None:
    assert settled({"a": [""] * 3, "b": ["held"] * 9 + [""]}) == {"a": True, "b": False}


def test_classes_of_equally_few_views_are_all_settled() -> None:
    assert settled({"a": [""], "b": ["held"] * 5}) == {"a": True, "b": True}


def test_a_class_too_old_to_be_examined_is_settled() -> None:
    assert settled({"old": [""] * 5, "new": [""] * 10, "young": [""]}, limit=11) == {
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
    pairs = between_bursts(matrix, np.array([0, 1, 2, 3, 2]), np.array([0, 0, 0, 1, 0]))
    assert sorted(pairs.tolist()) == [0.0] * 4 + [1.0]
