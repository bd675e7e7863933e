"""Eviction keeps what is shown once."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.quality.outliers import RedundancyIndex


def at(*degrees: float) -> EmbeddingIndex:
    """Teach unit vectors of a label `a`, ids from 0; one of `b`, like the first, lies between."""
    examples = EmbeddingIndex()
    for number, degree in enumerate(degrees):
        examples.add(point(degree), "a", number)
        if number == 0:
            examples.add(point(degree), "b", 1000)
    return examples


def point(degrees: float) -> list[float]:
    return [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))]


def test_one_of_the_most_similar_pair_goes_the_one_with_another_neighbour() -> None:
    assert RedundancyIndex(at(0, 40, 42, 50, 170)).most_redundant("a") == 2
    assert RedundancyIndex(at(170, 30, 40, 42)).most_redundant("a") == 2


def test_a_pose_shown_once_stays_however_old() -> None:
    examples = at(170, *range(0, 60, 3))
    redundancy = RedundancyIndex(examples)
    while examples.counts["a"] > 4:
        examples.remove([redundancy.most_redundant("a")])
    assert 0 in examples.ids


def test_of_equal_examples_the_oldest_goes() -> None:
    assert RedundancyIndex(at(10, 10, 10)).most_redundant("a") == 0


def test_a_single_example_is_the_one_to_go_and_none_is_an_error() -> None:
    assert RedundancyIndex(at(5)).most_redundant("a") == 0
    with pytest.raises(ValueError):
        RedundancyIndex(EmbeddingIndex()).most_redundant("a")


def test_what_is_remembered_stays_true_through_presses_and_removals() -> None:
    draw = np.random.default_rng(2)
    examples = EmbeddingIndex()
    remembering = RedundancyIndex(examples)
    for number in range(400):
        examples.add(draw.normal(size=6), "ab"[number % 2], number)
        if number % 7 == 0 and number > 60:
            examples.remove(draw.choice(examples.ids, 3, replace=False).tolist())
        for label in examples.labels:
            redundant = remembering.most_redundant(label)
            assert redundant == RedundancyIndex(examples).most_redundant(label)
            if examples.counts[label] > 40:
                examples.remove([redundant])


def test_ids_may_come_again_once_forgotten() -> None:
    examples = at(0, 40, 42, 50, 170)
    redundancy = RedundancyIndex(examples)
    assert redundancy.most_redundant("a") == 2
    examples.clear()
    redundancy.clear()
    for number, degree in enumerate((0, 90, 180, 183, 200)):
        examples.add(point(degree), "a", number)
    assert redundancy.most_redundant("a") == 3
