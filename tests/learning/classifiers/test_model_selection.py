"""The choice of a head: only for a real gain, and never in one long stop once running."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator

import numpy as np
import pytest
from msgspec.structs import replace

from edge_daemon.domain.types import Prediction
from edge_daemon.evaluation.few_shot import Dataset, Split, ask
from edge_daemon.learning.classifiers.base import Classifier, run_to_convergence
from edge_daemon.learning.classifiers.knn import NearestNeighbours
from edge_daemon.learning.classifiers.model_selection import (
    FOLDS,
    HEADS,
    THOROUGH,
    Marks,
    ModelSelector,
    assign_folds,
    cross_validate,
    iter_cross_validation,
    select_if_significant,
)
from edge_daemon.learning.classifiers.plda import PLDAClassifier
from edge_daemon.learning.classifiers.softmax_regression import SoftmaxRegression
from edge_daemon.learning.embedding_index import EmbeddingIndex, SearchResult


def rings(count: int, seed: int = 0) -> EmbeddingIndex:
    """Two classes that only neighbours tell apart: each is a ring of narrow clusters between the other's."""
    rng = np.random.default_rng(seed)
    examples = EmbeddingIndex()
    for example_id in range(count):
        angle = 2 * np.pi * (example_id % 12) / 12 + rng.normal() * 0.02
        examples.add([np.cos(angle), np.sin(angle)], "ab"[example_id % 2], example_id)
    return examples


def test_a_head_with_a_real_gain_is_taken_and_said(caplog: pytest.LogCaptureFixture) -> None:
    examples = rings(96)
    head = ModelSelector(examples)
    with caplog.at_level(logging.INFO):
        assert head.predict(examples.compare([1.0, 0.0])).label == "a"
    assert head.choice.startswith("knn")
    assert "points more right than discriminant" in caplog.text


def test_without_a_real_gain_the_first_stays() -> None:
    rng = np.random.default_rng(1)
    examples = EmbeddingIndex()
    for example_id in range(40):
        examples.add(rng.normal(size=8) + 4 * np.eye(8)[example_id % 2], "ab"[example_id % 2], example_id)
    head = ModelSelector(examples)
    head.predict(examples.compare(np.ones(8)))
    assert head.choice == next(iter(HEADS))


def test_a_gain_must_be_twice_its_standard_error() -> None:
    present = np.array([True] * 50 + [False] * 10)
    for won, expected in ((4, "old"), (5, "new")):
        new = present.copy()
        new[50 : 50 + won] = True
        assert select_if_significant({"old": present, "new": new}, "old") == expected


def test_a_later_choice_takes_a_step_a_frame() -> None:
    examples = rings(12)
    head = ModelSelector(examples)
    head.predict(examples.compare([1.0, 0.0]))
    assert head.choice == "discriminant"
    more = rings(96, seed=2)
    for row in range(96):
        examples.add(more.matrix[row], more.labels[int(more.codes[row])], 100 + row)
    steps = sum(1 for _ in iter_cross_validation(examples, HEADS, THOROUGH))
    frames = 0
    while head.choice == "discriminant":
        head.predict(examples.compare([1.0, 0.0]))
        frames += 1
    # One frame begins, each step takes one, one decides.
    assert frames == 1 + steps + 1


def near_duplicates(scenes: int, each: int, classes: int = 4, size: int = 32) -> Dataset:
    """Each scene shown several times, in turn; nothing but the scene tells its class."""
    rng = np.random.default_rng(0)
    centres = np.tile(rng.normal(size=(scenes, size)), (each, 1))
    vectors = centres + 0.1 * rng.normal(size=centres.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    codes = np.tile(rng.integers(classes, size=scenes), each)
    return Dataset(vectors.astype(np.float32), codes, tuple("abcd"[:classes]))


def test_in_a_large_store_the_choice_is_as_good_as_the_best_head() -> None:
    data = near_duplicates(scenes=700, each=4)
    part = Split(np.arange(2100), np.arange(2100, 2800))

    def right(make: Callable[[EmbeddingIndex], Classifier]) -> float:
        confusion = ask(data, make, part)
        return float(np.trace(confusion) / confusion.sum())

    best = max(right(make) for make in HEADS.values())
    assert right(HEADS["discriminant"]) < best - 0.3
    assert right(ModelSelector) >= best - 0.005


def test_the_first_choice_looks_at_few_and_the_next_at_more() -> None:
    data = near_duplicates(scenes=700, each=3)
    examples = EmbeddingIndex()
    for row, code in enumerate(data.codes.tolist()):
        examples.add(data.vectors[row], data.labels[code], row)
    head = ModelSelector(examples)
    query = data.vectors[0]
    head.predict(examples.compare(query))
    assert head.choice == "discriminant"
    assert not head.is_converged
    run_to_convergence(head, examples.compare(query))
    assert head.choice.startswith("knn")


def test_the_chosen_head_takes_over_when_it_is_fitted() -> None:
    rng = np.random.default_rng(0)
    examples = EmbeddingIndex()
    head = ModelSelector(examples)
    # A line parts the classes; their spread along it misleads all heads but the linear one.
    for row in range(1500):
        vector = rng.normal(size=256) * np.geomspace(30, 1, 256)
        vector[-1] = 10 * (row % 2) - 5 + 0.3 * rng.normal()
        examples.add(vector, "ab"[row % 2], row)
        if row == 11:
            head.predict(examples.compare(vector))
    query = examples.matrix[-1].copy()
    while head.choice == "discriminant":
        head.predict(examples.compare(query))
    assert head.choice == "linear"
    old, new = PLDAClassifier(examples), SoftmaxRegression(examples)
    run_to_convergence(old, examples.compare(query))
    meanwhile, expected = old.predict(examples.compare(query)), new.predict(examples.compare(query))
    assert meanwhile.confidences != pytest.approx(expected.confidences, abs=0.01)
    for _ in range(3):
        said = head.predict(examples.compare(query)).confidences
        assert said == pytest.approx(meanwhile.confidences, abs=1e-5)  # rounded in the processor's own way
    run_to_convergence(head, examples.compare(query))
    assert head.predict(examples.compare(query)).confidences == pytest.approx(expected.confidences, abs=1e-3)


def test_after_start_a_fitted_head_answers_at_once() -> None:
    rng = np.random.default_rng(0)
    examples = EmbeddingIndex()
    for row in range(600):
        examples.add(np.eye(48)[row % 3] + 0.3 * rng.normal(size=48), "abc"[row % 3], row)
    head, alone = ModelSelector(examples), PLDAClassifier(examples)
    query = examples.compare(np.ones(48))
    run_to_convergence(alone, query)
    assert head.predict(query) == alone.predict(query)
    assert head.choice == "discriminant"


def test_other_examples_may_be_taught_during_a_choice() -> None:
    examples = rings(12)
    head = ModelSelector(examples)
    head.predict(examples.compare([1.0, 0.0]))
    for row in range(300):
        examples.add([1.0, row], "ab"[row % 2], 100 + row)
    head.predict(examples.compare([1.0, 0.0]))
    examples.clear()
    for row in range(240):
        examples.add(np.eye(5)[row % 4] + 0.01 * row, "bcde"[row % 4], row)
    run_to_convergence(head, examples.compare(np.eye(5)[2]))
    assert head.predict(examples.compare(np.eye(5)[2])).label == "d"


class Slow:
    """Names all "nothing yet" until it has been asked three times."""

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._head = NearestNeighbours(examples, 1)
        self._asked = 0

    @property
    def is_converged(self) -> bool:
        return self._asked >= 3

    def predict(self, query: SearchResult) -> Prediction:
        self._asked += 1
        said = self._head.predict(query)
        return said if self._asked > 3 else replace(said, label="nothing yet")


def test_heads_are_judged_when_they_are_fitted() -> None:
    marks = cross_validate(
        rings(48), {"slow": Slow, "quick": lambda examples: NearestNeighbours(examples, 1)}
    )
    np.testing.assert_array_equal(marks["slow"], marks["quick"])
    assert marks["slow"].all()


def test_the_examples_may_change_during_a_contest() -> None:
    examples = rings(48)
    expected = cross_validate(rings(48), HEADS)
    steps = iter_cross_validation(examples, HEADS)
    next(steps)
    examples.clear()
    marks: dict[str, Marks] = {}

    def finish() -> Generator[None, None, None]:
        marks.update((yield from steps))

    list(finish())
    assert {each: right.tolist() for each, right in marks.items()} == {
        each: right.tolist() for each, right in expected.items()
    }


def test_no_burst_is_split_over_folds() -> None:
    examples = EmbeddingIndex()
    for example_id in range(60):
        examples.add([1.0, example_id], "ab"[example_id % 2], example_id, group=f"burst {example_id // 6}")
    labels = [examples.labels[code] for code in examples.codes.tolist()]
    folds = assign_folds(labels, examples.groups)
    for label in range(2):
        for burst in range(10):
            own = [row for row in range(60) if row // 6 == burst and row % 2 == label]
            assert len(set(folds[own].tolist())) == 1
    assert set(folds.tolist()) == set(range(FOLDS))
