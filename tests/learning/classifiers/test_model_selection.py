"""Selection of a classifier: only for a significant gain, and in short steps while running."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator

import numpy as np
import pytest
from msgspec.structs import replace

from edge_daemon.domain.types import Prediction
from edge_daemon.evaluation.few_shot import Dataset, Split, evaluate_split
from edge_daemon.learning.classifiers.base import Classifier, run_to_convergence
from edge_daemon.learning.classifiers.knn import NearestNeighbours
from edge_daemon.learning.classifiers.model_selection import (
    CANDIDATES,
    LATER_SAMPLE,
    ModelSelector,
    cross_validate,
    iter_cross_validation,
    select_if_significant,
)
from edge_daemon.learning.classifiers.plda_classifier import PLDAClassifier
from edge_daemon.learning.classifiers.softmax_regression import SoftmaxRegression
from edge_daemon.learning.embedding_index import EmbeddingIndex, SearchResult
from edge_daemon.learning.sampling import Flags


def rings(count: int, seed: int = 0) -> EmbeddingIndex:
    """Two classes that only KNN separates: narrow clusters on a ring, classes in turn."""
    rng = np.random.default_rng(seed)
    examples = EmbeddingIndex()
    for example_id in range(count):
        angle = 2 * np.pi * (example_id % 12) / 12 + rng.normal() * 0.02
        examples.add([np.cos(angle), np.sin(angle)], "ab"[example_id % 2], example_id)
    return examples


def test_a_classifier_with_a_significant_gain_is_selected_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    examples = rings(96)
    classifier = ModelSelector(examples)
    with caplog.at_level(logging.INFO):
        assert classifier.predict(examples.search([1.0, 0.0])).label == "a"
    assert classifier.selected.startswith("knn")
    assert "points more correctly than discriminant" in caplog.text


def test_without_a_significant_gain_the_first_classifier_is_kept() -> None:
    rng = np.random.default_rng(1)
    examples = EmbeddingIndex()
    for example_id in range(40):
        examples.add(rng.normal(size=8) + 4 * np.eye(8)[example_id % 2], "ab"[example_id % 2], example_id)
    classifier = ModelSelector(examples)
    classifier.predict(examples.search(np.ones(8)))
    assert classifier.selected == next(iter(CANDIDATES))


def test_a_gain_must_be_twice_its_standard_error() -> None:
    present = np.array([True] * 50 + [False] * 10)
    for won, expected in ((4, "old"), (5, "new")):
        new = present.copy()
        new[50 : 50 + won] = True
        assert select_if_significant({"old": present, "new": new}, "old") == expected


def test_a_later_selection_takes_one_step_per_prediction() -> None:
    examples = rings(12)
    classifier = ModelSelector(examples)
    classifier.predict(examples.search([1.0, 0.0]))
    assert classifier.selected == "discriminant"
    more = rings(96, seed=2)
    for row in range(96):
        examples.add(more.matrix[row], more.labels[int(more.class_ids[row])], 100 + row)
    steps = sum(1 for _ in iter_cross_validation(examples, CANDIDATES, LATER_SAMPLE))
    frames = 0
    while classifier.selected == "discriminant":
        classifier.predict(examples.search([1.0, 0.0]))
        frames += 1
    # One prediction starts, one is for each step, one selects.
    assert frames == 1 + steps + 1


def near_duplicates(scenes: int, each: int, classes: int = 4, size: int = 32) -> Dataset:
    """Several near-duplicates of each scene, in turn; only the scene determines the class."""
    rng = np.random.default_rng(0)
    centres = np.tile(rng.normal(size=(scenes, size)), (each, 1))
    vectors = centres + 0.1 * rng.normal(size=centres.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    class_ids = np.tile(rng.integers(classes, size=scenes), each)
    return Dataset(vectors.astype(np.float32), class_ids, tuple("abcd"[:classes]))


def test_with_many_examples_the_selection_is_as_good_as_the_best_classifier() -> None:
    data = near_duplicates(scenes=700, each=4)
    part = Split(np.arange(2100), np.arange(2100, 2800))

    def right(make: Callable[[EmbeddingIndex], Classifier]) -> float:
        confusion = evaluate_split(data, make, part)
        return float(np.trace(confusion) / confusion.sum())

    best = max(right(make) for make in CANDIDATES.values())
    assert right(CANDIDATES["discriminant"]) < best - 0.3
    assert right(ModelSelector) >= best - 0.005


def test_the_first_selection_uses_few_examples_and_the_next_more() -> None:
    data = near_duplicates(scenes=700, each=3)
    examples = EmbeddingIndex()
    for row, class_id in enumerate(data.class_ids.tolist()):
        examples.add(data.vectors[row], data.labels[class_id], row)
    classifier = ModelSelector(examples)
    query = data.vectors[0]
    classifier.predict(examples.search(query))
    assert classifier.selected == "discriminant"
    assert not classifier.is_converged
    run_to_convergence(classifier, examples.search(query))
    assert classifier.selected.startswith("knn")


def test_the_selected_classifier_is_used_when_it_is_fitted() -> None:
    rng = np.random.default_rng(0)
    examples = EmbeddingIndex()
    classifier = ModelSelector(examples)
    # A line separates the classes; the variance along it misleads all classifiers except the linear one.
    for row in range(1500):
        vector = rng.normal(size=256) * np.geomspace(30, 1, 256)
        vector[-1] = 10 * (row % 2) - 5 + 0.3 * rng.normal()
        examples.add(vector, "ab"[row % 2], row)
        if row == 11:
            classifier.predict(examples.search(vector))
    query = examples.matrix[-1].copy()
    while classifier.selected == "discriminant":
        classifier.predict(examples.search(query))
    assert classifier.selected == "linear"
    old, new = PLDAClassifier(examples), SoftmaxRegression(examples)
    run_to_convergence(old, examples.search(query))
    meanwhile, expected = old.predict(examples.search(query)), new.predict(examples.search(query))
    assert meanwhile.confidences != pytest.approx(expected.confidences, abs=0.01)
    for _ in range(3):
        said = classifier.predict(examples.search(query)).confidences
        assert said == pytest.approx(meanwhile.confidences, abs=1e-5)  # rounding differs between processors
    run_to_convergence(classifier, examples.search(query))
    assert classifier.predict(examples.search(query)).confidences == pytest.approx(
        expected.confidences, abs=1e-3
    )


def test_the_first_prediction_uses_a_fitted_classifier() -> None:
    rng = np.random.default_rng(0)
    examples = EmbeddingIndex()
    for row in range(600):
        examples.add(np.eye(48)[row % 3] + 0.3 * rng.normal(size=48), "abc"[row % 3], row)
    classifier, alone = ModelSelector(examples), PLDAClassifier(examples)
    query = examples.search(np.ones(48))
    run_to_convergence(alone, query)
    assert classifier.predict(query) == alone.predict(query)
    assert classifier.selected == "discriminant"


def test_other_examples_can_be_added_during_a_selection() -> None:
    examples = rings(12)
    classifier = ModelSelector(examples)
    classifier.predict(examples.search([1.0, 0.0]))
    for row in range(300):
        examples.add([1.0, row], "ab"[row % 2], 100 + row)
    classifier.predict(examples.search([1.0, 0.0]))
    examples.clear()
    for row in range(240):
        examples.add(np.eye(5)[row % 4] + 0.01 * row, "bcde"[row % 4], row)
    run_to_convergence(classifier, examples.search(np.eye(5)[2]))
    assert classifier.predict(examples.search(np.eye(5)[2])).label == "d"


class Slow:
    """Predicts "nothing yet" until its third query."""

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._classifier = NearestNeighbours(examples, 1)
        self._asked = 0

    @property
    def is_converged(self) -> bool:
        return self._asked >= 3

    def predict(self, query: SearchResult) -> Prediction:
        self._asked += 1
        said = self._classifier.predict(query)
        return said if self._asked > 3 else replace(said, label="nothing yet")


def test_classifiers_are_scored_after_their_fit() -> None:
    correct = cross_validate(
        rings(48), {"slow": Slow, "quick": lambda examples: NearestNeighbours(examples, 1)}
    )
    np.testing.assert_array_equal(correct["slow"], correct["quick"])
    assert correct["slow"].all()


def test_the_examples_can_change_during_cross_validation() -> None:
    examples = rings(48)
    expected = cross_validate(rings(48), CANDIDATES)
    steps = iter_cross_validation(examples, CANDIDATES)
    next(steps)
    examples.clear()
    correct: dict[str, Flags] = {}

    def finish() -> Generator[None, None, None]:
        correct.update((yield from steps))

    list(finish())
    assert {each: right.tolist() for each, right in correct.items()} == {
        each: right.tolist() for each, right in expected.items()
    }
