"""The discriminant head: fitted at once to few examples, over some frames to many."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.learning.classifiers.base import run_to_convergence
from edge_daemon.learning.classifiers.nearest_centroid import NearestCentroid
from edge_daemon.learning.classifiers.plda import ROWS_PER_FRAME, SAMPLE, SUBSPACE_SAMPLE, PLDAClassifier
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Floats

SIZE = 48
ROUNDING = 1e-5
"""Confidences come of float32 sums, and each processor adds in an order of its own: some 1e-6 apart."""


def cloud(label: str, count: int, seed: int = 0) -> Floats:
    """Points around a direction of the label's own."""
    centre = np.random.default_rng(int(label)).normal(size=SIZE)
    noise = np.random.default_rng([int(label), seed]).normal(size=(count, SIZE))
    return (centre + noise).astype(np.float32)


def taught(each: int, labels: str = "123") -> EmbeddingIndex:
    examples = EmbeddingIndex()
    for row in range(each):
        for label in labels:
            examples.add(cloud(label, 1, seed=row)[0], label, len(examples))
    return examples


def frames_to_settle(classifier: PLDAClassifier, examples: EmbeddingIndex) -> int:
    frames = 0
    while not classifier.is_converged:
        classifier.predict(examples.search(np.ones(SIZE)))
        frames += 1
    return frames


def fresh(examples: EmbeddingIndex, query: npt.ArrayLike) -> Mapping[str, float]:
    """The confidences of a head that is fitted to the examples as they are."""
    classifier = PLDAClassifier(examples)
    run_to_convergence(classifier, examples.search(query))
    return classifier.predict(examples.search(query)).confidences


def test_few_examples_are_fitted_in_the_frame_that_asks() -> None:
    examples = taught(SUBSPACE_SAMPLE // 3)
    classifier = PLDAClassifier(examples)
    assert frames_to_settle(classifier, examples) == 1


def test_a_press_on_many_is_answered_by_the_old_fit_until_the_new_one_is_done() -> None:
    examples = taught(1000)
    classifier = PLDAClassifier(examples)
    query = cloud("2", 1, seed=5000)[0]
    frames_to_settle(classifier, examples)
    before = classifier.predict(examples.search(query))
    for row in range(10):
        examples.add(cloud("4", 1, seed=row)[0], "4", 9000 + row)
    meanwhile = classifier.predict(examples.search(query))
    assert meanwhile.confidences == pytest.approx({**before.confidences, "4": 0.0}, abs=ROUNDING)
    assert frames_to_settle(classifier, examples) <= SAMPLE // ROWS_PER_FRAME + 2
    assert classifier.predict(examples.search(cloud("4", 1, seed=77)[0])).label == "4"
    assert classifier.predict(examples.search(query)).confidences == pytest.approx(
        fresh(examples, query), abs=ROUNDING
    )


def test_the_class_means_answer_until_the_first_fit_to_many_is_done() -> None:
    examples = taught(200)
    classifier = PLDAClassifier(examples)
    query = cloud("1", 1, seed=5000)[0]
    means = NearestCentroid(examples).predict(examples.search(query))
    assert classifier.predict(examples.search(query)) == means
    frames_to_settle(classifier, examples)
    assert classifier.predict(examples.search(query)) != means


def test_a_change_during_a_fit_begins_it_again() -> None:
    examples = taught(200)
    classifier = PLDAClassifier(examples)
    classifier.predict(examples.search(np.ones(SIZE)))
    examples.add(cloud("1", 1, seed=300)[0], "1", 9000)
    classifier.predict(examples.search(np.ones(SIZE)))
    examples.clear("3")
    assert frames_to_settle(classifier, examples) > 1
    query = np.ones(SIZE)
    assert classifier.predict(examples.search(query)).confidences == pytest.approx(
        fresh(examples, query), abs=ROUNDING
    )


def test_a_class_the_old_fit_never_saw_is_not_named_by_it_alone() -> None:
    examples = taught(100)
    classifier = PLDAClassifier(examples)
    frames_to_settle(classifier, examples)
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


def test_when_all_labels_are_new_nothing_old_answers() -> None:
    examples = taught(100)
    classifier = PLDAClassifier(examples)
    frames_to_settle(classifier, examples)
    examples.clear()
    for row in range(300):
        label = "78"[row % 2]
        examples.add(cloud(label, 1, seed=row)[0], label, row)
    assert classifier.predict(examples.search(cloud("7", 1, seed=900)[0])).label == "7"


def test_embeddings_of_another_length_begin_anew() -> None:
    examples = taught(100)
    classifier = PLDAClassifier(examples)
    frames_to_settle(classifier, examples)
    examples.clear()
    for row in range(300):
        examples.add([1.0, 0.01 * row, row % 2], "12"[row % 2], row)
    query = [1.0, 0.0, 1.0]
    assert classifier.predict(examples.search(query)) == NearestCentroid(examples).predict(
        examples.search(query)
    )


def test_more_examples_tell_more_than_the_first_four_hundred() -> None:
    """Each class is shown in two ways, the older of which the newest examples no longer show."""
    examples = EmbeddingIndex()
    for row in range(1800):
        label = "12"[row % 2]
        way = label if row >= 900 else {"1": "5", "2": "6"}[label]
        examples.add(cloud(way, 1, seed=row)[0], label, row)
    classifier = PLDAClassifier(examples)
    frames_to_settle(classifier, examples)
    old = [classifier.predict(examples.search(vector)).label for vector in cloud("5", 50, seed=7000)]
    assert old.count("1") >= 45
