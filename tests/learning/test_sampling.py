"""Balanced samples, dense ranks and folds that keep bursts together."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.learning.sampling import (
    FOLDS,
    assign_folds,
    assign_session_folds,
    balanced_sample,
    dense_rank,
    newest_balanced,
    number_bursts,
    unique,
)


def test_unique_and_rank_equal_numpys() -> None:
    numbers = np.array([7, 3, 3, 0, 9, 7])
    values, inverse = np.unique(numbers, return_inverse=True)
    np.testing.assert_array_equal(unique(numbers), values)
    np.testing.assert_array_equal(dense_rank(numbers), inverse)


def test_no_numbers_have_no_unique_values_and_no_ranks() -> None:
    empty = np.zeros(0, np.intp)
    assert not len(unique(empty))
    assert not len(dense_rank(empty))


@pytest.mark.parametrize(("limit", "rows"), [(4, [1, 2, 6, 7]), (2, [1, 2, 6, 7]), (8, list(range(8)))])
def test_a_sample_has_the_newest_of_each_class_in_order(limit: int, rows: list[int]) -> None:
    assert newest_balanced(np.array([0, 0, 0, 1, 1, 1, 1, 1]), 2, limit).tolist() == rows


@pytest.mark.parametrize(
    ("limit", "rows"),
    [(4, [0, 2, 3, 7]), (6, [0, 1, 2, 3, 5, 7]), (2, [0, 2, 3, 7]), (8, list(range(8)))],
)
def test_a_balanced_sample_is_even_over_the_history_of_each_class(limit: int, rows: list[int]) -> None:
    assert balanced_sample(np.array([0, 0, 0, 1, 1, 1, 1, 1]), 2, limit).tolist() == rows


def test_a_burst_has_one_label_and_an_example_without_a_group_is_one() -> None:
    assert number_bursts(["a", "a", "b", "a", "a"], ["g", "g", "g", "", ""]).tolist() == [0, 0, 1, 2, 3]


def test_no_burst_is_split_over_folds() -> None:
    class_ids = np.arange(60) % 2
    labels = ["ab"[class_id] for class_id in class_ids]
    burst_ids = number_bursts(labels, [f"burst {row // 6}" for row in range(60)])
    folds = assign_folds(class_ids, burst_ids)
    for burst_id in range(20):
        assert len(set(folds[burst_ids == burst_id].tolist())) == 1
    for class_id in range(2):
        assert np.bincount(folds[class_ids == class_id]).tolist() == [6] * FOLDS


@pytest.mark.parametrize("classes", [2, 3, 5, 8])
@pytest.mark.parametrize("sessions", [2, 3, 5, 7])
def test_no_fold_holds_a_whole_session_of_every_class(classes: int, sessions: int) -> None:
    session_of = np.repeat(np.arange(sessions), classes * 6)
    class_ids = np.tile(np.repeat(np.arange(classes), 6), sessions)
    folds = assign_folds(class_ids, session_of * classes + class_ids)
    for session in range(sessions):
        assert len(set(folds[session_of == session].tolist())) > 1


def test_sessions_are_folds_where_classes_occur_in_several() -> None:
    class_ids = np.tile([0, 1, 2], 8)
    session_ids = np.repeat([4, 9], 12)
    folds = assign_session_folds(class_ids, session_ids)
    assert folds is not None
    assert folds.tolist() == [0] * 12 + [1] * 12


@pytest.mark.parametrize("session_ids", [[0] * 6, [0, 0, 0, 1, 1, 1], []])
def test_one_session_or_one_for_each_class_gives_no_folds(session_ids: list[int]) -> None:
    class_ids = np.array([0, 0, 0, 1, 1, 1][: len(session_ids)], np.intp)
    assert assign_session_folds(class_ids, np.array(session_ids, np.intp)) is None
