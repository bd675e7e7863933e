"""Softmax regression in chunks: the same weights as at once, and bounded work at a time."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

from edge_daemon.learning.classifiers.base import run_to_convergence
from edge_daemon.learning.classifiers.softmax_regression import (
    L2,
    MAX_ITERATIONS,
    SCALE,
    SoftmaxFit,
    SoftmaxRegression,
)
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Floats, Ints

SIZE, CLASSES = 64, 4


def cloud(count: int, seed: int = 0) -> tuple[Floats, Ints]:
    """Unit vectors around a direction per class, classes in turn."""
    rng = np.random.default_rng(seed)
    class_ids = np.arange(count) % CLASSES
    rows = np.eye(CLASSES, SIZE)[class_ids] + 0.3 * rng.normal(size=(count, SIZE))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), class_ids


def test_chunked_work_gives_the_same_weights() -> None:
    vectors, class_ids = cloud(200)
    whole = SoftmaxFit(vectors, class_ids, CLASSES).run_iterations(MAX_ITERATIONS)
    fit = SoftmaxFit(vectors, class_ids, CLASSES, chunk_work=SIZE * 2 * CLASSES * 17)
    while fit.iterations < MAX_ITERATIONS:
        weights = fit.run(1.0)
    assert weights is not None
    np.testing.assert_allclose(weights.matrix, whole.matrix, atol=1e-3)
    np.testing.assert_allclose(weights.bias, whole.bias, atol=1e-4)
    assert (weights.scores(vectors).argmax(axis=1) == class_ids).mean() > 0.95


def test_only_the_given_rows_are_fitted() -> None:
    vectors, class_ids = cloud(80)
    rows = np.arange(0, 80, 3)
    chosen = SoftmaxFit(vectors, class_ids, CLASSES, rows=rows).run_iterations(5)
    alone = SoftmaxFit(vectors[rows], class_ids[rows], CLASSES).run_iterations(5)
    np.testing.assert_array_equal(chosen.matrix, alone.matrix)


def test_little_work_does_few_iterations() -> None:
    vectors, class_ids = cloud(1000)
    fit = SoftmaxFit(vectors, class_ids, CLASSES, chunk_work=1e5)
    round_costs = 2 * SIZE * CLASSES * 1000
    assert fit.run(1e5) is None
    spent = 1
    while fit.iterations < MAX_ITERATIONS:
        fit.run(1e5)
        spent += 1
    assert MAX_ITERATIONS * round_costs / 2e5 < spent < 1.5 * MAX_ITERATIONS * round_costs / 1e5


def test_the_weights_minimise_the_regularised_loss() -> None:
    vectors, class_ids = cloud(60)
    weights = SoftmaxFit(vectors, class_ids, CLASSES).run_iterations(3000)
    matrix = weights.matrix.astype(np.float64)
    scores = (vectors - weights.centre) @ matrix.T + weights.bias
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    residuals = (probabilities - np.eye(CLASSES)[class_ids]) / len(vectors)
    # The fitted data are SCALE times the vectors, the fitted weights 1 / SCALE of these.
    gradient = SCALE * residuals.T @ (vectors - weights.centre) + L2 * matrix / SCALE
    assert np.abs(gradient).max() < 1e-4
    assert np.abs(residuals.sum(axis=0)).max() < 1e-4


def test_equal_vectors_have_finite_weights() -> None:
    vectors = np.full((6, SIZE), 1 / 8, np.float32)
    weights = SoftmaxFit(vectors, np.arange(6) % 2, 2).run_iterations(MAX_ITERATIONS)
    assert np.isfinite(weights.scores(vectors)).all()


@pytest.mark.parametrize("count", [40, 2500])
def test_a_change_is_fitted_over_several_predictions_with_the_previous_weights_until_then(count: int) -> None:
    examples = EmbeddingIndex()
    vectors, class_ids = cloud(count)
    for row, class_id in enumerate(class_ids.tolist()):
        examples.add(vectors[row], "abcd"[class_id], row)
    classifier = SoftmaxRegression(examples)
    classifier.predict(examples.search(vectors[0]))
    assert classifier.is_converged
    examples.add(vectors[1], "b", count)
    frames = 0
    while not classifier.is_converged:
        assert classifier.predict(examples.search(vectors[0])).label == "a"
        frames += 1
    # Above the sample, each iteration copies the rows of the sample.
    per_round = (2 * CLASSES + 10 * (count > 2000)) * SIZE * min(count, 2000)
    assert frames == pytest.approx(1.2 * MAX_ITERATIONS * per_round / 2e7, abs=2)


def softmax_regression(count: int, *, spread_first_fit: bool) -> tuple[SoftmaxRegression, EmbeddingIndex]:
    vectors, class_ids = cloud(count)
    examples = EmbeddingIndex()
    for row, vector in enumerate(vectors):
        examples.add(vector, str(class_ids[row]), row)
    return SoftmaxRegression(examples, spread_first_fit=spread_first_fit), examples


def test_a_spread_first_fit_has_no_long_prediction_and_the_same_result() -> None:
    classifier, examples = softmax_regression(2000, spread_first_fit=True)
    at_once, same = softmax_regression(2000, spread_first_fit=False)
    expected = at_once.predict(same.search(np.ones(SIZE))).confidences
    assert at_once.is_converged
    frames = 0
    while not classifier.is_converged:
        classifier.predict(examples.search(np.ones(SIZE)))
        frames += 1
    assert frames > 3
    assert classifier.predict(examples.search(np.ones(SIZE))).confidences == pytest.approx(expected, abs=1e-3)


def test_a_finished_or_stopped_fit_releases_its_memory() -> None:
    classifier, examples = softmax_regression(2000, spread_first_fit=False)
    query = np.ones(SIZE)
    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        for press in range(5):
            examples.add(np.arange(SIZE), "0", 5000 + press)
            classifier.predict(examples.search(query))
        while not classifier.is_converged:
            classifier.predict(examples.search(query))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert kept < 2000 * SIZE * 4


@pytest.mark.parametrize("spread_first_fit", [True, False])
def test_embeddings_of_another_length_start_a_new_fit(spread_first_fit: bool) -> None:
    classifier, examples = softmax_regression(40, spread_first_fit=spread_first_fit)
    run_to_convergence(classifier, examples.search(np.ones(SIZE)))
    examples.clear()
    for row in range(40):
        examples.add(np.eye(5)[row % 2], "01"[row % 2], row)
    run_to_convergence(classifier, examples.search(np.eye(5)[1]))
    assert classifier.predict(examples.search(np.eye(5)[1])).label == "1"
