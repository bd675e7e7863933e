"""Leave-one-session-out statistics against those of a complete computation."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.quality.evaluation import centroid_scores, knn_scores
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut
from edge_daemon.learning.quality.leave_one_session_out import leave_sessions_out

K = 3


def check(examples: EmbeddingIndex, leave_one_out: LeaveOneOut) -> None:
    loo = leave_one_out.scores()
    first = loo.first_row
    matrix, class_ids = examples.matrix[first:].astype(np.float64), examples.class_ids[first:]
    sessions = np.array(examples.sessions[first:])
    other_session = sessions[:, None] != sessions
    labels = len(examples.labels)
    left = np.array(
        [[(other & (class_ids == each)).sum() for each in range(labels)] for other in other_session]
    )
    own_left = left[np.arange(len(matrix)), class_ids]
    expected_count = np.where((left > 0).sum(axis=1) > 1, own_left, 0)
    across = leave_sessions_out(leave_one_out, loo)
    if across is None:
        assert not expected_count.any()
        return
    np.testing.assert_array_equal(across.same_class_count, expected_count)
    cosines = centroid_scores(across)
    for row, other in enumerate(other_session):
        for each in range(labels):
            mean = matrix[other & (class_ids == each)].sum(axis=0)
            expected = matrix[row] @ mean / np.linalg.norm(mean) if left[row, each] else -np.inf
            assert cosines[row, each] == pytest.approx(expected, abs=1e-4)
    masked = np.where(other_session, matrix @ matrix.T, -np.inf)
    expected_nearest = -np.sort(-masked, axis=1)[:, :K]
    found = across.neighbour_similarities[:, : expected_nearest.shape[1]]
    np.testing.assert_allclose(found, expected_nearest, atol=1e-5)


@pytest.mark.parametrize(("limit", "seed"), [(1000, 0), (1000, 1), (25, 2), (25, 3)])
def test_any_order_of_additions_and_removals_equals_a_new_computation(limit: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    examples = EmbeddingIndex()
    leave_one_out = LeaveOneOut(examples, K, limit, session_neighbours=True)
    next_id = 0
    for step in range(90):
        if rng.random() < 0.75 or len(examples) < 3:
            label, group = str(rng.choice(["a", "b", "7"])), str(rng.choice(["", "", "g1"]))
            examples.add(rng.normal(size=8) + 0.5, label, next_id, group, int(rng.choice([0, 0, 1, 4])))
            next_id += 1
        else:
            many = 1 if rng.random() < 0.8 else len(examples) // 3
            removed = rng.choice(list(examples.ids), size=many, replace=False).tolist()
            leave_one_out.remove(removed)
            examples.remove(removed)
        if step % 3 == 0:
            check(examples, leave_one_out)


def test_many_at_once_equal_one_by_one() -> None:
    rng = np.random.default_rng(9)
    examples = EmbeddingIndex()
    leave_one_out = LeaveOneOut(examples, K, session_neighbours=True)
    for example_id, row in enumerate(rng.normal(size=(300, 8))):
        examples.add(row, str(example_id % 4), example_id, "", example_id // 90)
    check(examples, leave_one_out)


def taught(*rows: tuple[str, int]) -> LeaveOneOut:
    examples = EmbeddingIndex()
    for example_id, (label, session) in enumerate(rows):
        examples.add(np.random.default_rng(example_id).normal(size=8), label, example_id, "", session)
    return LeaveOneOut(examples, K, session_neighbours=True)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("cat", 0), ("dog", 0), ("cat", 0)],
        [("cat", 0), ("cat", 0), ("dog", 1), ("dog", 1)],
        [("cat", 0), ("cat", 1)],
    ],
    ids=["nothing", "one session", "each class in its own session", "one class"],
)
def test_there_are_no_statistics_if_no_other_session_can_predict(rows: list[tuple[str, int]]) -> None:
    leave_one_out = taught(*rows)
    assert leave_sessions_out(leave_one_out, leave_one_out.scores()) is None


def test_an_example_is_not_scored_if_the_other_sessions_taught_only_its_class() -> None:
    leave_one_out = taught(("cat", 0), ("dog", 0), ("cat", 1))
    across = leave_sessions_out(leave_one_out, leave_one_out.scores())
    assert across is not None
    assert across.same_class_count.tolist() == [0, 0, 1]


def test_the_place_of_another_class_does_not_count_as_a_neighbour() -> None:
    """In each session all pictures look like the session; the classes differ a little."""
    examples = EmbeddingIndex()
    for session in range(3):
        for shot in range(4):
            for class_id in range(2):
                place, thing = 5.0 * np.eye(8)[session], np.eye(8)[4 + class_id]
                examples.add(place + thing + 0.05 * shot, "ab"[class_id], len(examples), "", session)
    leave_one_out = LeaveOneOut(examples, K, session_neighbours=True)
    across = leave_sessions_out(leave_one_out, leave_one_out.scores())
    assert across is not None
    assert (knn_scores(across).argmax(axis=1) == across.class_ids).all()
    assert (centroid_scores(across).argmax(axis=1) == across.class_ids).all()
