"""Cross-validated scores: no example is scored by a model that was fitted to it."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.evaluation.few_shot import Dataset, build_index, evaluate_split, split
from edge_daemon.learning.classifiers.plda_classifier import PLDAClassifier
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.quality.cross_validation import SAMPLE, CrossValidationScores
from edge_daemon.learning.quality.evaluation import centroid_scores, confusion_matrix
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut


def wide_classes(count: int, classes: int = 4, size: int = 60, seed: int = 0) -> Dataset:
    """Classes that differ in a few directions and vary more in others."""
    rng = np.random.default_rng(seed)
    class_ids = np.arange(count) % classes
    wide = 3.0 * rng.normal(size=(count, 5)) @ rng.normal(size=(5, size))
    rows = 4.0 * np.eye(classes, size)[class_ids] + wide + rng.normal(size=(count, size)) + 5
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return Dataset(vectors, class_ids, tuple("abcdefgh"[:classes]))


def accuracy(examples: EmbeddingIndex, scores: CrossValidationScores | None = None) -> float:
    loo = LeaveOneOut(examples).scores()
    confusion = confusion_matrix(loo, (scores or centroid_scores)(loo))
    return float(np.trace(confusion) / confusion.sum())


def test_cross_validation_estimates_accuracy_better_than_class_means() -> None:
    data = wide_classes(1000)
    errors = []
    for seed in range(3):
        part = split(data, 20, seed)
        confusion = evaluate_split(data, PLDAClassifier, part)
        truth = float(np.trace(confusion) / confusion.sum())
        examples = build_index(data, part.train)
        errors.append(
            (accuracy(examples, CrossValidationScores(examples)) - truth, accuracy(examples) - truth)
        )
    folds, means = np.abs(np.mean(errors, axis=0)).tolist()
    assert folds < 0.15 < 0.3 < means


def test_random_labels_have_a_low_accuracy() -> None:
    data = wide_classes(80)
    shuffled = np.random.default_rng(1).permutation(data.class_ids)
    examples = build_index(Dataset(data.vectors, shuffled, data.labels), np.arange(80))
    assert accuracy(examples, CrossValidationScores(examples)) < 0.45


def test_a_burst_is_not_scored_by_itself() -> None:
    examples = EmbeddingIndex()
    rng = np.random.default_rng(3)
    for burst in range(10):
        centre = rng.normal(size=20)
        for shot in range(4):
            examples.add(centre + 0.01 * rng.normal(size=20), "ab"[burst % 2], 4 * burst + shot, f"{burst}")
    assert accuracy(examples, CrossValidationScores(examples)) < 0.8


def test_a_few_presses_keep_the_scores_and_the_new_go_by_class_means() -> None:
    data = wide_classes(130)
    examples = build_index(data, np.arange(120))
    scores = CrossValidationScores(examples)
    before = scores(LeaveOneOut(examples).scores())
    for row in range(120, 130):
        examples.add(data.vectors[row], data.labels[data.class_ids[row]], row)
        loo = LeaveOneOut(examples).scores()
        after = scores(loo)
        if row < 125:
            np.testing.assert_array_equal(after[:120], before)
            np.testing.assert_array_equal(after[120:], centroid_scores(loo)[120:])
    assert not np.array_equal(after[:120], before)


def test_only_a_sample_is_fitted_and_all_are_scored() -> None:
    data = wide_classes(SAMPLE + 60)
    examples = build_index(data, np.arange(SAMPLE + 60))
    loo = LeaveOneOut(examples).scores()
    scores = CrossValidationScores(examples)(loo)
    by_means = (scores == centroid_scores(loo)).all(axis=1)
    assert by_means.sum() == 60
    assert by_means[:130].any()
    assert by_means[130:].any(), "the sample is even over the history"


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_too_few_examples_are_scored_by_the_class_means(count: int) -> None:
    data = wide_classes(8)
    examples = build_index(data, np.arange(count))
    loo = LeaveOneOut(examples).scores()
    np.testing.assert_array_equal(CrossValidationScores(examples)(loo), centroid_scores(loo))
