"""Copies of the examples as the calibration of single views."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.open_set.augmented_copies import COPIES, MAX_EXAMPLES, AugmentedCopies
from edge_daemon.learning.open_set.rejector import UnknownRejector
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut
from tests.learning.open_set.test_rejector import class_of, rejected


def copies_of(vector: npt.NDArray[np.float32], spread: float = 0.3) -> npt.NDArray[np.float32]:
    noise = np.random.default_rng(5).normal(scale=spread, size=(COPIES, vector.size))
    moved: npt.NDArray[np.float32] = (vector * (1 + noise)).astype(np.float32)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    return moved


def taught_once(classes: int) -> tuple[EmbeddingIndex, AugmentedCopies, UnknownRejector]:
    examples = EmbeddingIndex()
    copies = AugmentedCopies(examples)
    for class_id in range(classes):
        examples.add(class_of(class_id, 1)[0], f"c{class_id}", class_id)
    return examples, copies, UnknownRejector(examples, LeaveOneOut(examples), "auto", copies)


def add_all(copies: AugmentedCopies) -> None:
    for example_id in tuple(copies.missing):
        copies.add(example_id, list(copies_of(class_of(example_id, 1)[0])))


def test_one_example_rejects_other_things_once_it_has_copies() -> None:
    examples, copies, rejector = taught_once(1)
    assert rejected(examples, rejector, class_of(99, 20)) == 0.0
    add_all(copies)
    assert rejected(examples, rejector, class_of(99, 20)) >= 0.95
    assert rejected(examples, rejector, copies_of(class_of(0, 1)[0], 0.15)) == 0.0
    assert rejector.rejects(examples.search(class_of(99, 1)[0]), relaxed_threshold=True)


def test_one_example_of_each_class_rejects_a_thing_between_them() -> None:
    examples, copies, rejector = taught_once(4)
    between = class_of(0, 1)[0] + class_of(1, 1)[0] + class_of(2, 1)[0] + class_of(3, 1)[0]
    add_all(copies)
    assert rejected(examples, rejector, between[None]) == 1.0
    assert rejected(examples, rejector, class_of(99, 20)) >= 0.95


def place(thing: npt.NDArray[np.float32], weight: float) -> npt.NDArray[np.float32]:
    """Return the embeddings of things (rows) in one place, which has this weight."""
    ground = class_of(77, 1)[0]
    seen: npt.NDArray[np.float32] = thing + weight * ground
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    return seen


@pytest.mark.parametrize("presses", [1, 4])
def test_one_burst_of_each_class_rejects_other_things_of_the_same_place(presses: int) -> None:
    examples = EmbeddingIndex()
    copies = AugmentedCopies(examples)
    rejector = UnknownRejector(examples, LeaveOneOut(examples), "auto", copies)
    things = [place(class_of(class_id, 1), 0.5)[0] for class_id in range(6)]
    for class_id, thing in enumerate(things):
        for number in range(presses):
            examples.add(thing, f"c{class_id}", 10 * class_id + number, f"burst {class_id}")
    for example_id in tuple(copies.missing):
        copies.add(example_id, list(copies_of(things[example_id // 10], 1.2)))
    others = np.concatenate([place(class_of(class_id, 1), 0.5) for class_id in range(20, 60)])
    assert rejected(examples, rejector, others) > 0.1
    assert rejected(examples, rejector, np.concatenate([copies_of(each, 0.3) for each in things])) == 0


def test_one_view_that_was_taught_as_two_classes_is_still_known() -> None:
    examples, copies, rejector = taught_once(1)
    examples.add(class_of(0, 1)[0], "the same", 1)
    for example_id in tuple(copies.missing):
        copies.add(example_id, list(copies_of(class_of(0, 1)[0])))
    assert rejected(examples, rejector, copies_of(class_of(0, 1)[0], 0.15)) == 0.0


def test_removed_examples_lose_their_copies() -> None:
    examples, copies, rejector = taught_once(2)
    add_all(copies)
    examples.remove([0, 1])
    examples.add(class_of(0, 1)[0], "c0", 2)
    assert copies.missing == [2]
    assert rejected(examples, rejector, class_of(99, 20)) == 0.0


def test_examples_that_are_loaded_again_keep_their_copies() -> None:
    examples, copies, rejector = taught_once(1)
    add_all(copies)
    examples.clear()
    examples.add(class_of(0, 1)[0], "renamed", 0)
    assert copies.missing == []
    assert rejected(examples, rejector, class_of(99, 20)) >= 0.95


def test_an_example_without_copies_is_not_asked_for_again() -> None:
    examples, copies, rejector = taught_once(1)
    copies.add(0, [])
    assert copies.missing == []
    assert rejected(examples, rejector, class_of(99, 5)) == 0.0


def test_the_number_of_examples_with_copies_is_bounded() -> None:
    examples, copies, _ = taught_once(50)
    assert len(copies.missing) == MAX_EXAMPLES
    add_all(copies)
    for number in range(50, 80):
        examples.add(class_of(number, 1)[0], "late", number)
        add_all(copies)
    assert len(copies._copies) <= MAX_EXAMPLES


def test_copies_of_an_unknown_example_are_ignored() -> None:
    _, copies, _ = taught_once(1)
    copies.add(77, list(copies_of(class_of(77, 1)[0])))
    assert copies.missing == [0]
    assert copies.version == 0


def test_two_views_of_each_class_do_not_need_copies() -> None:
    examples, copies, rejector = taught_once(2)
    for number in (2, 3, 4, 5):
        examples.add(class_of(number % 2, 9)[number], f"c{number % 2}", number)
    rejector.score(examples.search(class_of(0, 1)[0]))
    before = rejector.threshold
    add_all(copies)
    rejector.score(examples.search(class_of(0, 1)[0]))
    assert rejector.threshold == before
