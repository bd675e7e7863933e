"""Incremental statistics against those of a complete computation."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut
from edge_daemon.learning.sampling import dense_rank


def check(examples: EmbeddingIndex, leave_one_out: LeaveOneOut, k: int, limit: int) -> None:
    loo = leave_one_out.scores()
    first = loo.first_row
    assert first <= max(0, len(examples) - 1)
    assert len(examples) - first <= limit
    matrix, class_ids = examples.matrix[first:], examples.class_ids[first:]
    bursts = [
        (class_id, group or str(number))
        for number, (class_id, group) in enumerate(
            zip(class_ids.tolist(), examples.groups[first:], strict=True)
        )
    ]
    same_burst = np.array([[a == b for b in bursts] for a in bursts])
    similarities = (matrix @ matrix.T).astype(np.float64)
    np.testing.assert_array_equal(loo.class_ids, class_ids)
    for class_id in range(len(examples.labels)):
        expected = np.where(same_burst | (class_ids != class_id), 0, similarities).sum(axis=1)
        np.testing.assert_allclose(loo.class_sums[:, class_id], expected, atol=1e-5)
    np.testing.assert_allclose(
        loo.own_burst_similarity, np.where(same_burst, similarities, 0).sum(axis=1), atol=1e-5
    )
    np.testing.assert_array_equal(
        loo.same_class_count, (~same_burst & (class_ids[:, None] == class_ids)).sum(axis=1)
    )
    masked = np.where(same_burst, -np.inf, similarities)
    expected = -np.sort(-masked, axis=1)[:, :k]
    np.testing.assert_allclose(loo.neighbour_similarities[:, : expected.shape[1]], expected, atol=1e-6)
    found = np.take_along_axis(masked, loo.neighbour_rows, 1)
    known = np.isfinite(loo.neighbour_similarities)
    np.testing.assert_allclose(found[known], loo.neighbour_similarities[known], atol=1e-6)


@pytest.mark.parametrize(("limit", "seed"), [(1000, 0), (1000, 1), (25, 2), (25, 3)])
def test_any_order_of_additions_and_removals_equals_a_new_computation(limit: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    examples = EmbeddingIndex()
    leave_one_out = LeaveOneOut(examples, k=3, limit=limit)
    next_id = 0
    for step in range(120):
        choice = rng.random()
        if choice < 0.7 or len(examples) < 3:
            label = str(rng.choice(["a", "b", "7", "3", "c"]))
            group = str(rng.choice(["", "", "g1", "g2"]))
            examples.add(rng.normal(size=12) + 0.5, label, next_id, group)
            next_id += 1
        else:
            many = 1 if choice < 0.95 else len(examples) // 3
            removed = rng.choice(list(examples.ids), size=many, replace=False).tolist()
            leave_one_out.remove(removed)
            examples.remove(removed)
        if step % 3 == 0 and len(examples):
            check(examples, leave_one_out, 3, limit)


def test_presses_whose_examples_were_replaced_take_no_memory() -> None:
    """Full classes, as of a program that teaches for years; some presses are bursts."""
    rng = np.random.default_rng(5)
    examples = EmbeddingIndex()
    leave_one_out = LeaveOneOut(examples, k=3)
    for number in range(1500):
        group = f"g{number // 3}" if number % 9 < 3 else ""
        examples.add(rng.normal(size=12), "ab"[number % 40 // 20], number, group)
        leave_one_out.scores()
        if len(examples) > 30:
            removed = [examples.ids[int(rng.integers(20))]]
            leave_one_out.remove(removed)
            examples.remove(removed)
    loo, new = leave_one_out.scores(), LeaveOneOut(examples, k=3).scores()
    assert loo.press_ids.max() < 1030
    np.testing.assert_array_equal(dense_rank(loo.press_ids), new.press_ids)
    np.testing.assert_array_equal(dense_rank(loo.burst_ids), dense_rank(new.burst_ids))
    np.testing.assert_allclose(loo.class_sums, new.class_sums, atol=1e-4)
    np.testing.assert_allclose(loo.own_burst_similarity, new.own_burst_similarity, atol=1e-4)


@pytest.mark.parametrize("classes", [4, 32, 33, 90])
def test_many_at_once_equal_a_complete_computation(classes: int) -> None:
    rng = np.random.default_rng(9)
    examples = EmbeddingIndex()
    leave_one_out = LeaveOneOut(examples, k=2)
    for example_id, row in enumerate(rng.normal(size=(300, 8))):
        examples.add(row, str(example_id % classes), example_id)
    check(examples, leave_one_out, 2, 2000)
    for example_id, row in enumerate(rng.normal(size=(200, 8)), 300):
        examples.add(row, str(example_id % (classes + 2)), example_id)
    check(examples, leave_one_out, 2, 2000)


def test_the_oldest_of_equal_examples_is_the_nearest() -> None:
    examples, pressed = EmbeddingIndex(), EmbeddingIndex()
    at_once, in_turn = LeaveOneOut(examples, k=3), LeaveOneOut(pressed, k=3)
    for example_id in range(300):
        for each in (examples, pressed):
            # At right angles: products of 0 and 1 are exact on every processor, so equals are equal.
            each.add([[1.0, 0.0], [0.0, 1.0]][example_id % 2], f"class {example_id}", example_id)
        in_turn.scores()
    rows = at_once.scores().neighbour_rows
    assert rows[299].tolist() == [1, 3, 5]
    assert rows[0].tolist() == [2, 4, 6]
    np.testing.assert_array_equal(rows, in_turn.scores().neighbour_rows)


def view(degrees: float) -> list[float]:
    return [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))]


def test_near_duplicate_presses_join_the_burst_that_they_repeat() -> None:
    examples = EmbeddingIndex()
    leave_one_out = LeaveOneOut(examples, k=3)
    taught = [(0, "a", ""), (2, "a", ""), (2, "b", ""), (40, "a", "held"), (60, "a", "held"), (41, "a", "")]
    for example_id, (degrees, label, group) in enumerate(taught):
        examples.add(view(degrees), label, example_id, group)
        leave_one_out.scores()
    for _ in range(2):
        loo = leave_one_out.scores()
        bursts = loo.burst_ids.tolist()
        assert bursts[0] == bursts[1]
        assert bursts[3] == bursts[4] == bursts[5]
        assert len({bursts[0], bursts[2], bursts[3]}) == 3
        assert loo.near_duplicate_presses == 2
        assert loo.same_class_count.tolist() == [3, 3, 0, 2, 2, 2]
        leave_one_out = LeaveOneOut(examples, k=3)


def test_a_held_button_joins_the_burst_that_its_first_example_repeats() -> None:
    examples = EmbeddingIndex()
    leave_one_out = LeaveOneOut(examples, k=3)
    for example_id, (degrees, group) in enumerate(
        [(0, ""), (1, "held"), (30, "held"), (60, "held"), (90, "")]
    ):
        examples.add(view(degrees), "a", example_id, group)
        bursts = leave_one_out.scores().burst_ids.tolist()
    assert bursts[0] == bursts[1] == bursts[2] == bursts[3] != bursts[4]


def test_a_removed_near_duplicate_does_not_count() -> None:
    examples = EmbeddingIndex()
    leave_one_out = LeaveOneOut(examples, k=3)
    for example_id, degrees in enumerate((0, 2, 90)):
        examples.add(view(degrees), "a", example_id)
    assert leave_one_out.scores().near_duplicate_presses == 1
    leave_one_out.remove([0])
    examples.remove([0])
    assert leave_one_out.scores().near_duplicate_presses == 0
