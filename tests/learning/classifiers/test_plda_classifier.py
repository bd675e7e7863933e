"""PLDA classifier: fitted at once to few examples, over several predictions to many."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.learning.classifiers.base import run_to_convergence
from edge_daemon.learning.classifiers.nearest_centroid import NearestCentroid
from edge_daemon.learning.classifiers.plda import fit_plda
from edge_daemon.learning.classifiers.plda_classifier import (
    MIN_RANK,
    SUBSPACE_SAMPLE,
    PLDAClassifier,
    classification_rank,
)
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Floats

SIZE = 48
ROUNDING = 1e-5
"""Tolerance of confidences: the order of float32 sums differs between processors, by about 1e-6."""


def cloud(label: str, count: int, seed: int = 0) -> Floats:
    """Points around the direction of the label."""
    centre = np.random.default_rng(int(label)).normal(size=SIZE)
    noise = np.random.default_rng([int(label), seed]).normal(size=(count, SIZE))
    return (centre + noise).astype(np.float32)


def taught(each: int, labels: str = "123") -> EmbeddingIndex:
    examples = EmbeddingIndex()
    for row in range(each):
        for label in labels:
            examples.add(cloud(label, 1, seed=row)[0], label, len(examples))
    return examples


def frames_to_convergence(
    classifier: PLDAClassifier, examples: EmbeddingIndex, query: Floats | None = None
) -> int:
    query = np.ones(SIZE, np.float32) if query is None else query
    frames = 0
    while not classifier.is_converged:
        classifier.predict(examples.search(query))
        frames += 1
    return frames


def newly_fitted(examples: EmbeddingIndex, query: npt.ArrayLike) -> Mapping[str, float]:
    """Return the confidences of a classifier fitted to the present examples."""
    classifier = PLDAClassifier(examples)
    run_to_convergence(classifier, examples.search(query))
    return classifier.predict(examples.search(query)).confidences


def test_few_examples_are_fitted_within_one_prediction() -> None:
    examples = taught(SUBSPACE_SAMPLE // 3)
    classifier = PLDAClassifier(examples)
    assert frames_to_convergence(classifier, examples) == 1


def test_the_previous_fit_is_used_until_the_new_one_is_complete() -> None:
    examples = taught(1000)
    classifier = PLDAClassifier(examples)
    query = cloud("2", 1, seed=5000)[0]
    frames_to_convergence(classifier, examples)
    before = classifier.predict(examples.search(query))
    for row in range(10):
        examples.add(cloud("4", 1, seed=row)[0], "4", 9000 + row)
    meanwhile = classifier.predict(examples.search(query))
    assert meanwhile.confidences == pytest.approx({**before.confidences, "4": 0.0}, abs=ROUNDING)
    assert frames_to_convergence(classifier, examples) <= 12
    assert classifier.predict(examples.search(cloud("4", 1, seed=77)[0])).label == "4"
    assert classifier.predict(examples.search(query)).confidences == pytest.approx(
        newly_fitted(examples, query), abs=ROUNDING
    )


def test_class_means_are_used_until_the_first_fit_is_complete() -> None:
    examples = taught(200)
    classifier = PLDAClassifier(examples)
    query = cloud("1", 1, seed=5000)[0]
    means = NearestCentroid(examples).predict(examples.search(query))
    assert classifier.predict(examples.search(query)) == means
    frames_to_convergence(classifier, examples)
    assert classifier.predict(examples.search(query)) != means


def test_a_change_during_a_fit_restarts_it() -> None:
    examples = taught(200)
    classifier = PLDAClassifier(examples)
    classifier.predict(examples.search(np.ones(SIZE)))
    examples.add(cloud("1", 1, seed=300)[0], "1", 9000)
    classifier.predict(examples.search(np.ones(SIZE)))
    examples.clear("3")
    assert frames_to_convergence(classifier, examples) > 1
    query = np.ones(SIZE)
    assert classifier.predict(examples.search(query)).confidences == pytest.approx(
        newly_fitted(examples, query), abs=ROUNDING
    )


def test_the_previous_fit_never_predicts_a_new_class() -> None:
    examples = taught(100)
    classifier = PLDAClassifier(examples)
    frames_to_convergence(classifier, examples)
    for row in range(300):
        for label in "78":
            examples.add(cloud(label, 1, seed=row)[0], label, 1000 + len(examples))
    query = cloud("7", 1, seed=900)[0]
    classifier.predict(examples.search(query))
    for label in "123":
        examples.clear(label)
    assert classifier.predict(examples.search(query)) == NearestCentroid(examples).predict(
        examples.search(query)
    )


def test_the_previous_fit_is_dropped_when_all_labels_are_new() -> None:
    examples = taught(100)
    classifier = PLDAClassifier(examples)
    frames_to_convergence(classifier, examples)
    examples.clear()
    for row in range(300):
        label = "78"[row % 2]
        examples.add(cloud(label, 1, seed=row)[0], label, row)
    assert classifier.predict(examples.search(cloud("7", 1, seed=900)[0])).label == "7"


def test_embeddings_of_another_length_start_a_new_fit() -> None:
    examples = taught(100)
    classifier = PLDAClassifier(examples)
    frames_to_convergence(classifier, examples)
    examples.clear()
    for row in range(300):
        examples.add([1.0, 0.01 * row, row % 2], "12"[row % 2], row)
    query = [1.0, 0.0, 1.0]
    assert classifier.predict(examples.search(query)) == NearestCentroid(examples).predict(
        examples.search(query)
    )


def test_accuracy_grows_with_more_than_four_hundred_examples() -> None:
    """Each class has two views, and the newest examples show only one of them."""
    examples = EmbeddingIndex()
    for row in range(1800):
        label = "12"[row % 2]
        way = label if row >= 900 else {"1": "5", "2": "6"}[label]
        examples.add(cloud(way, 1, seed=row)[0], label, row)
    classifier = PLDAClassifier(examples)
    frames_to_convergence(classifier, examples)
    old = [classifier.predict(examples.search(vector)).label for vector in cloud("5", 50, seed=7000)]
    assert old.count("1") >= 45


def many_classes(
    classes: int, each: int, size: int = 300, seed: int = 0
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Classes that differ in as many directions as there are classes, in turn."""
    rng = np.random.default_rng(seed)
    class_ids = np.tile(np.arange(classes), each)
    centres = np.random.default_rng(0).normal(size=(classes, size))
    return (centres[class_ids] + 4.0 * rng.normal(size=(len(class_ids), size))).astype(np.float32), class_ids


def test_the_directions_grow_with_the_classes() -> None:
    assert [classification_rank(classes) for classes in (2, 16, 30, 50, 90)] == [64, 64, 120, 200, 200]
    vectors, class_ids = many_classes(60, 12)
    asked, expected = many_classes(60, 5, seed=1)
    examples = EmbeddingIndex()
    for row, class_id in enumerate(class_ids.tolist()):
        examples.add(vectors[row], f"c{class_id}", row)
    classifier = PLDAClassifier(examples)
    frames_to_convergence(classifier, examples, asked[0])
    said = [classifier.predict(examples.search(vector)).label for vector in asked]
    accuracy = np.mean([label == f"c{each}" for label, each in zip(said, expected.tolist(), strict=True)])
    few = fit_plda(examples.matrix, class_ids, 60, MIN_RANK)
    assert few is not None
    unit = asked / np.linalg.norm(asked, axis=1, keepdims=True)
    few_accuracy = np.mean([few.ratios(vector).argmax() for vector in unit] == expected)
    assert accuracy > few_accuracy + 0.03, (accuracy, few_accuracy)


def test_equal_examples_of_many_classes_are_fitted() -> None:
    examples = EmbeddingIndex()
    for row in range(400):
        examples.add(np.eye(80)[row % 70 // 35], f"c{row % 70}", row)
    classifier = PLDAClassifier(examples)
    frames_to_convergence(classifier, examples, np.ones(80, np.float32))
    said = classifier.predict(examples.search(np.eye(80)[0])).confidences
    assert np.isfinite(list(said.values())).all()
