"""Near-duplicates, outliers, and the most redundant example."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.quality.outliers import RedundancyIndex, find_label_issues


def at(*degrees: float) -> EmbeddingIndex:
    """Add unit vectors of label `a`, ids from 0, and one of label `b` equal to the first."""
    examples = EmbeddingIndex()
    for number, degree in enumerate(degrees):
        examples.add(point(degree), "a", number)
        if number == 0:
            examples.add(point(degree), "b", 1000)
    return examples


def unit_rows(rows: list[list[float]]) -> npt.NDArray[np.float32]:
    matrix = np.array(rows, np.float32)
    return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), np.float32)


def point(degrees: float) -> list[float]:
    return [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))]


def test_the_most_redundant_example_is_the_one_of_the_nearest_pair_with_a_near_third() -> None:
    assert RedundancyIndex(at(0, 40, 42, 50, 170)).most_redundant("a") == 2
    assert RedundancyIndex(at(170, 30, 40, 42)).most_redundant("a") == 2


def test_the_only_view_of_a_pose_is_kept_at_any_age() -> None:
    examples = at(170, *range(0, 60, 3))
    redundancy = RedundancyIndex(examples)
    while examples.counts["a"] > 4:
        examples.remove([redundancy.most_redundant("a")])
    assert 0 in examples.ids


def test_the_oldest_of_equal_examples_is_redundant() -> None:
    assert RedundancyIndex(at(10, 10, 10)).most_redundant("a") == 0


def test_a_single_example_is_redundant_and_none_is_an_error() -> None:
    assert RedundancyIndex(at(5)).most_redundant("a") == 0
    with pytest.raises(ValueError):
        RedundancyIndex(EmbeddingIndex()).most_redundant("a")


def test_the_cache_is_valid_after_additions_and_removals() -> None:
    random = np.random.default_rng(2)
    examples = EmbeddingIndex()
    redundancy = RedundancyIndex(examples)
    for number in range(400):
        examples.add(random.normal(size=6), "ab"[number % 2], number)
        if number % 7 == 0 and number > 60:
            examples.remove(random.choice(examples.ids, 3, replace=False).tolist())
        for label in examples.labels:
            redundant = redundancy.most_redundant(label)
            assert redundant == RedundancyIndex(examples).most_redundant(label)
            if examples.counts[label] > 40:
                examples.remove([redundant])


def test_ids_can_be_reused_after_clear() -> None:
    examples = at(0, 40, 42, 50, 170)
    redundancy = RedundancyIndex(examples)
    assert redundancy.most_redundant("a") == 2
    examples.clear()
    redundancy.clear()
    for number, degree in enumerate((0, 90, 180, 183, 200)):
        examples.add(point(degree), "a", number)
    assert redundancy.most_redundant("a") == 3


def test_near_duplicates_repeat_an_earlier_example_of_their_class() -> None:
    matrix = unit_rows([[1, 0, 0], [1, 0.01, 0], [0, 1, 0], [1, 0, 0]])
    found = find_label_issues(matrix, ["a", "a", "a", "b"])
    assert found.near_duplicates == {1}


def test_outliers_lie_nearest_to_another_class() -> None:
    matrix = unit_rows([[1, 0, 0], [1, 0.3, 0], [0, 0, 1], [0, 0.3, 1], [0.1, 0.1, 1]])
    assert find_label_issues(matrix, ["a", "a", "b", "b", "a"]).outliers.get(4) == "b"
    assert find_label_issues(matrix[:1], ["a"]).outliers == {}
