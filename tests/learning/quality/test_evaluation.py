"""Evaluation and recommendation, on figures computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.domain.types import Evaluation
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.quality.evaluation import (
    centroid_scores,
    confusion_matrix,
    evaluate_examples,
    knn_scores,
)
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut


def evaluated(rows: list[tuple[float, str]], groups: dict[int, str] | None = None, k: int = 1) -> Evaluation:
    """Evaluate unit vectors at angles (degrees) by their nearest neighbours."""
    examples = EmbeddingIndex()
    for example_id, (degrees, label) in enumerate(rows):
        angle = np.radians(degrees)
        group = (groups or {}).get(example_id, "")
        examples.add([np.cos(angle), np.sin(angle)], label, example_id, group)
    loo = LeaveOneOut(examples, k).scores()
    return evaluate_examples(examples.labels, loo, knn_scores(loo), ids=examples.ids)


def test_separate_classes_are_ok() -> None:
    rows = [(float(degrees), "a") for degrees in range(0, 80, 16)]
    rows += [(float(degrees), "b") for degrees in range(180, 260, 16)]
    evaluation = evaluated(rows)
    assert evaluation.accuracy == 1.0
    assert {report.status for report in evaluation.classes.values()} == {"ok"}
    assert evaluation.most_confused is None
    assert evaluation.near_duplicates == 0


def test_a_class_within_another_is_confused_with_it() -> None:
    rows = [(float(degrees), "ring") for degrees in range(0, 60, 6)]
    rows += [(degrees + 0.5, "coin") for degrees in (6.0, 24.0, 42.0)]
    evaluation = evaluated(rows)
    report = evaluation.classes["coin"]
    assert (report.status, report.confused_with, report.recall) == ("confused", "ring", 0.0)
    assert evaluation.most_confused is not None
    assert set(evaluation.most_confused) == {"coin", "ring"}
    assert evaluation.recommendation is not None
    assert evaluation.recommendation.label == "coin"
    assert "confused with ring" in evaluation.recommendation.reason


def test_the_prediction_of_each_scored_example_is_named() -> None:
    rows = [(0.0, "a"), (20.0, "a"), (31.0, "b"), (90.0, "b"), (110.0, "b"), (40.0, "once")]
    evaluation = evaluated(rows)
    assert evaluation.predicted == {0: "a", 1: "b", 2: "once", 3: "b", 4: "b"}
    right = sum(rows[each][1] == label for each, label in evaluation.predicted.items())
    assert evaluation.accuracy == right / len(evaluation.predicted)
    assert evaluated([(0.0, "a"), (5.0, "a")]).predicted == {}


def test_a_burst_does_not_raise_the_accuracy() -> None:
    rows = [(0.0, "a"), (15.0, "a"), (30.0, "a"), (90.0, "b"), (106.0, "b"), (50.0, "b"), (150.0, "a")]
    alone = evaluated(rows)
    grouped = evaluated(rows, {0: "burst", 1: "burst", 2: "burst"})
    assert alone.accuracy is not None
    assert grouped.accuracy is not None
    assert grouped.accuracy < alone.accuracy


def test_near_duplicate_presses_count_as_one_burst() -> None:
    still = [(0.0, "a"), (1.0, "a"), (2.0, "a"), (90.0, "b"), (50.0, "b"), (150.0, "a")]
    once = evaluated(still)
    assert once.accuracy == evaluated(still, {0: "burst", 1: "burst", 2: "burst"}).accuracy
    assert once.near_duplicates == 2
    assert evaluated([row for row in still if row not in ((1.0, "a"), (2.0, "a"))]).near_duplicates == 0


def test_equal_views_of_two_classes_are_no_near_duplicates() -> None:
    evaluation = evaluated([(0.0, "a"), (0.0, "b"), (50.0, "a"), (50.0, "b")])
    assert evaluation.near_duplicates == 0
    assert evaluation.accuracy == 0.0


def test_a_class_of_one_burst_has_no_recall() -> None:
    evaluation = evaluated([(0.0, "a"), (1.0, "a"), (90.0, "b"), (100.0, "b")], {0: "burst", 1: "burst"})
    assert evaluation.classes["a"].recall is None
    assert evaluation.classes["a"].status == "needs_examples"


def test_without_two_classes_there_is_no_accuracy() -> None:
    assert evaluated([]) == Evaluation(None, {})
    evaluation = evaluated([(0.0, "a"), (5.0, "a")])
    assert evaluation.accuracy is None
    assert evaluation.recommendation is not None
    assert "only class" in evaluation.recommendation.reason


def test_centroid_scores_equal_the_means_without_the_example_and_its_burst() -> None:
    rng = np.random.default_rng(4)
    examples = EmbeddingIndex()
    for example_id in range(40):
        group = f"g{example_id % 3}" if example_id % 2 else ""
        examples.add(rng.normal(size=6) + 0.3, "abc"[example_id % 3], example_id, group)
    loo = LeaveOneOut(examples).scores()
    scores = centroid_scores(loo)
    for row in range(40):
        for class_id in range(3):
            kept = (examples.class_ids == class_id) & (loo.burst_ids != loo.burst_ids[row])
            mean = examples.matrix[kept].sum(axis=0)
            expected = examples.matrix[row] @ mean / np.linalg.norm(mean)
            assert scores[row, class_id] == pytest.approx(expected, abs=1e-5)
    assert confusion_matrix(loo, scores).sum() == 40


@pytest.mark.parametrize("others", ["b", "bc"])
def test_a_class_older_than_the_evaluated_examples_is_not_recommended(others: str) -> None:
    examples = EmbeddingIndex()
    for row, label in enumerate("aaaa" + 4 * others):
        angle = np.radians(20 * row)
        examples.add([np.cos(angle), np.sin(angle)], label, row)
    loo = LeaveOneOut(examples, 1, limit=4 * len(others)).scores()
    recommendation = evaluate_examples(examples.labels, loo, knn_scores(loo)).recommendation
    if others == "b":
        assert recommendation is None
    else:
        assert recommendation is not None
        assert recommendation.label in others
