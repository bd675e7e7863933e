"""Ensemble: as good as the better of its parts, and usable before each of them is fitted."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.learning.classifiers.base import run_to_convergence, softmax
from edge_daemon.learning.classifiers.ensemble import DEFAULT_WEIGHTS, ITERATIONS, PoolFit
from edge_daemon.learning.classifiers.model_selection import build_candidates
from edge_daemon.learning.classifiers.plda_classifier import PLDAClassifier
from edge_daemon.learning.classifiers.softmax_regression import SoftmaxRegression
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Floats

SIZE = 48


def cloud(label: int, count: int, seed: int = 0, size: int = SIZE) -> Floats:
    centre = np.random.default_rng(label).normal(size=size)
    noise = np.random.default_rng([label, seed]).normal(size=(count, size))
    return (centre + noise).astype(np.float32)


def taught(each: int, classes: int = 3, size: int = SIZE) -> EmbeddingIndex:
    examples = EmbeddingIndex()
    for row in range(each):
        for label in range(classes):
            examples.add(cloud(label, 1, seed=row, size=size)[0], f"c{label}", len(examples))
    return examples


def test_confidences_are_the_geometric_mean_of_both() -> None:
    examples = taught(8)
    parts = build_candidates(examples)
    query = examples.search(cloud(1, 1, seed=900)[0])
    run_to_convergence(parts["ensemble"], query)
    shares = [
        np.array(list(parts[each].predict(query).confidences.values())) for each in ("discriminant", "linear")
    ]
    mean = np.sqrt(shares[0] * shares[1])
    said = parts["ensemble"].predict(query)
    assert list(said.confidences.values()) == pytest.approx(mean / mean.sum(), abs=1e-5)
    assert said.label == "c1"


def test_one_example_of_each_is_left_to_the_softmax_regression() -> None:
    examples = taught(1)
    query = examples.search(cloud(2, 1, seed=900)[0])
    linear = SoftmaxRegression(examples, spread_first_fit=True)
    ensemble = build_candidates(examples)["ensemble"]
    run_to_convergence(ensemble, query)
    run_to_convergence(linear, query)
    assert ensemble.predict(query) == linear.predict(query)


def test_the_discriminant_decides_until_the_first_fit_of_the_softmax_regression() -> None:
    examples = taught(200, size=512)
    query = examples.search(cloud(1, 1, seed=900, size=512)[0])
    alone = PLDAClassifier(examples)
    run_to_convergence(alone, query)
    parts = build_candidates(examples)
    assert parts["ensemble"].predict(query) == alone.predict(query)
    run_to_convergence(parts["ensemble"], query)
    assert parts["ensemble"].predict(query).confidences != alone.predict(query).confidences


@pytest.mark.parametrize("before", [6, 100])
def test_a_new_class_is_predicted_after_its_examples(before: int) -> None:
    examples = taught(before)
    ensemble = build_candidates(examples)["ensemble"]
    run_to_convergence(ensemble, examples.search(np.ones(SIZE)))
    for row in range(4):
        examples.add(cloud(9, 1, seed=row)[0], "new", 1000 + row)
    query = examples.search(cloud(9, 1, seed=800)[0])
    said = ensemble.predict(query)
    assert sum(said.confidences.values()) == pytest.approx(1.0, abs=1e-5)
    run_to_convergence(ensemble, query)
    assert ensemble.predict(query).label == "new"


def test_many_single_examples_are_classified_before_any_fit() -> None:
    examples = taught(1, classes=120, size=640)
    ensemble = build_candidates(examples)["ensemble"]
    query = examples.search(cloud(7, 1, size=640)[0])
    assert ensemble.predict(query).label == "c7"
    run_to_convergence(ensemble, query)
    assert ensemble.predict(query).label == "c7"


def held_out(count: int, sharpness: float, reliability: float, seed: int = 0) -> tuple[Floats, Floats]:
    """Return probabilities (n x 4) of a good classifier and one by chance. Class i % 4 is true."""
    rng = np.random.default_rng(seed)
    class_ids = np.arange(count) % 4
    scores = reliability * np.eye(4)[class_ids] + rng.normal(size=(count, 4))
    return softmax((sharpness * scores).astype(np.float32)), softmax(
        rng.normal(size=(count, 4)).astype(np.float32)
    )


def fitted(discriminant: Floats, linear: Floats, count: int) -> tuple[float, float]:
    fit = PoolFit(discriminant, linear, np.arange(count) % 4)
    assert len(list(fit.iterate())) == (ITERATIONS if count else 0)
    return fit.weights


def test_the_better_classifier_gets_the_weight() -> None:
    good, bad = held_out(400, 1.0, 2.0)
    assert fitted(good, bad, 400) == pytest.approx((2.0, 0.0), abs=0.4)
    assert fitted(bad, good, 400) == pytest.approx((0.0, 2.0), abs=0.4)


def test_the_weights_calibrate_overconfident_classifiers() -> None:
    good, bad = held_out(2000, 4.0, 2.0)
    assert fitted(good, bad, 2000)[0] == pytest.approx(0.5, abs=0.1)


def test_few_held_out_examples_change_the_weights_little() -> None:
    good, bad = held_out(2, 1.0, 2.0)
    assert fitted(good, bad, 2) == pytest.approx(DEFAULT_WEIGHTS, abs=0.5)
    assert fitted(good[:0], bad[:0], 0) == DEFAULT_WEIGHTS


def test_a_certain_mistake_leaves_finite_weights() -> None:
    certain = np.tile(np.eye(4, dtype=np.float32)[1], (40, 1))
    weights = fitted(certain, certain, 40)
    assert all(0 <= each <= 3 for each in weights)
