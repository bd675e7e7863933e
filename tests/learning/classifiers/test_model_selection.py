"""Selection of a classifier: only for a significant gain, and in short steps while running."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator

import numpy as np
import pytest
from msgspec.structs import replace

from edge_daemon.domain.types import Prediction
from edge_daemon.evaluation.few_shot import Dataset, Split, evaluate_split
from edge_daemon.learning.classifiers.base import Classifier, run_steps, run_to_convergence
from edge_daemon.learning.classifiers.ensemble import ITERATIONS
from edge_daemon.learning.classifiers.grouped_cross_validation import (
    HeldOutPredictions,
    cross_validate,
    iter_cross_validation,
)
from edge_daemon.learning.classifiers.knn import NearestNeighbours
from edge_daemon.learning.classifiers.model_selection import (
    ModelSelector,
    build_candidates,
    select_if_significant,
)
from edge_daemon.learning.classifiers.nearest_centroid import NearestCentroid
from edge_daemon.learning.classifiers.plda_classifier import PLDAClassifier
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.search_result import SearchResult


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
        run_to_convergence(classifier, examples.search([1.0, 0.0]))
    assert classifier.predict(examples.search([1.0, 0.0])).label == "a"
    assert classifier.selected.startswith("knn")
    assert "points more correctly than ensemble" in caplog.text


def test_without_a_significant_gain_the_first_classifier_is_kept() -> None:
    rng = np.random.default_rng(1)
    examples = EmbeddingIndex()
    for example_id in range(40):
        examples.add(rng.normal(size=8) + 4 * np.eye(8)[example_id % 2], "ab"[example_id % 2], example_id)
    classifier = ModelSelector(examples)
    run_to_convergence(classifier, examples.search(np.ones(8)))
    assert classifier.selected == "ensemble"


def test_a_gain_must_be_twice_its_standard_error() -> None:
    present = np.array([True] * 50 + [False] * 10)
    for won, expected in ((4, "old"), (5, "new")):
        new = present.copy()
        new[50 : 50 + won] = True
        assert select_if_significant({"old": present, "new": new}, "old") == expected


def test_a_selection_takes_one_step_per_prediction() -> None:
    examples = rings(4)
    classifier = ModelSelector(examples)
    run_to_convergence(classifier, examples.search([1.0, 0.0]))
    assert classifier.selected == "ensemble"
    more = rings(96, seed=2)
    for row in range(96):
        examples.add(more.matrix[row], more.labels[int(more.class_ids[row])], 100 + row)
    steps = sum(1 for _ in iter_cross_validation(examples, build_candidates))
    frames = 0
    while classifier.selected == "ensemble":
        classifier.predict(examples.search([1.0, 0.0]))
        frames += 1
    # One prediction fits the ensemble, one starts, one is for each step and iteration, one selects.
    assert frames == 1 + 1 + steps + ITERATIONS + 1


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

    nearest = right(lambda examples: NearestNeighbours(examples, 1))
    assert right(lambda examples: build_candidates(examples)["ensemble"]) < nearest - 0.3
    assert right(ModelSelector) >= nearest - 0.005


def test_the_first_prediction_uses_a_fitted_discriminant() -> None:
    rng = np.random.default_rng(0)
    examples = EmbeddingIndex()
    for row in range(600):
        examples.add(np.eye(512)[row % 3] + 0.1 * rng.normal(size=512), "abc"[row % 3], row)
    classifier, alone = ModelSelector(examples), PLDAClassifier(examples)
    query = examples.search(np.ones(512))
    run_to_convergence(alone, query)
    assert classifier.predict(query) == alone.predict(query)


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


def slow_and_quick(examples: EmbeddingIndex) -> dict[str, Classifier]:
    return {"slow": Slow(examples), "quick": NearestNeighbours(examples, 1)}


def test_the_selected_classifier_is_used_when_it_is_fitted() -> None:
    def build(examples: EmbeddingIndex) -> dict[str, Classifier]:
        return {"centroid": NearestCentroid(examples), "slow": Slow(examples)}

    examples = rings(96)
    classifier = ModelSelector(examples, build)
    query = examples.search(examples.matrix[1].copy())
    while classifier.selected == "centroid":
        assert classifier.predict(query).label != "nothing yet"
    waiting = 0
    while not classifier.is_converged:
        assert classifier.predict(query).label != "nothing yet"
        waiting += 1
    assert waiting == 3
    assert classifier.predict(query).label == "b"


def test_classifiers_are_scored_after_their_fit() -> None:
    correct = cross_validate(rings(48), slow_and_quick)
    np.testing.assert_array_equal(correct["slow"], correct["quick"])
    assert correct["slow"].all()


@pytest.mark.parametrize("size", [2, 300])
def test_the_examples_can_change_during_a_selection(size: int) -> None:
    def turned_rings(count: int) -> EmbeddingIndex:
        directions = np.linalg.qr(np.random.default_rng(5).normal(size=(size, 2)))[0]
        examples, flat = EmbeddingIndex(), rings(count)
        for row, label in enumerate(flat.class_ids.tolist()):
            examples.add(directions @ flat.matrix[row], flat.labels[label], row)
        return examples

    def finish(steps: Generator[None, None, HeldOutPredictions]) -> dict[str, list[bool]]:
        return {each: right.tolist() for each, right in run_steps(steps).correct.items()}

    examples = turned_rings(96)
    expected = finish(iter_cross_validation(turned_rings(96), build_candidates))
    steps = iter_cross_validation(examples, build_candidates)
    for _ in range(4):
        next(steps)
    examples.clear()
    assert finish(steps) == expected


def four_sessions() -> EmbeddingIndex:
    """Two classes in four sessions, which another direction separates in each."""
    rng = np.random.default_rng(3)
    examples = EmbeddingIndex()
    for session in range(4):
        place = rng.normal(size=32)
        for row in range(24):
            label = row % 2
            vector = 4 * place + 0.2 * rng.normal(size=32)
            vector[1 + session] += (2 * label - 1) * 3
            examples.add(vector, "ab"[label], len(examples), session=session)
    return examples


def test_sessions_are_held_out_where_there_are_several() -> None:
    examples = four_sessions()
    correct = cross_validate(examples, build_candidates)
    assert correct["knn k=1"].mean() < 0.7, "neighbours of the same session don't count"
    alone = EmbeddingIndex()
    for row, label in enumerate(examples.class_ids.tolist()):
        alone.add(examples.matrix[row], examples.labels[label], row)
    assert cross_validate(alone, build_candidates)["knn k=1"].mean() > 0.95


def test_classes_taught_in_sessions_of_their_own_are_cross_validated_by_burst() -> None:
    examples = EmbeddingIndex()
    flat = rings(48)
    for row, label in enumerate(flat.class_ids.tolist()):
        examples.add(flat.matrix[row], flat.labels[label], row, session=label)
    assert len(cross_validate(examples, build_candidates)["ensemble"]) == 48
