"""The measuring itself, on made-up embeddings whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.domain.errors import ConfigError
from edge_daemon.evaluation import few_shot as evaluate
from edge_daemon.evaluation import open_set as unknowns
from edge_daemon.evaluation.few_shot import CLASSIFIERS, ClassifierScore, Dataset


def dataset(classes: int = 4, each: int = 30, spread: float = 0.5, size: int = 48) -> Dataset:
    rng = np.random.default_rng(8)
    class_ids = np.repeat(np.arange(classes), each)
    rows = rng.exponential(size=(classes, size))[class_ids] + spread * rng.exponential(
        size=(len(class_ids), size)
    )
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Dataset(rows.astype(np.float32), class_ids, tuple("abcdefgh"[:classes]))


def test_a_split_takes_so_many_of_each_class_and_asks_all_others_once() -> None:
    data = dataset()
    part = evaluate.split(data, 5, seed=3)
    assert np.bincount(data.class_ids[part.train]).tolist() == [5, 5, 5, 5]
    assert sorted([*part.train, *part.test]) == list(range(120))
    again, other = evaluate.split(data, 5, seed=3), evaluate.split(data, 5, seed=4)
    np.testing.assert_array_equal(part.train, again.train)
    assert set(part.train) != set(other.train)


def test_too_few_pictures_are_named() -> None:
    with pytest.raises(ConfigError, match="'a' has 30 pictures; 30 shots need at least 31"):
        evaluate.split(dataset(), 30, 0)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_separate_classes_are_all_named_right(classifier: str) -> None:
    score = evaluate.measure(dataset(spread=0.2), classifier, CLASSIFIERS[classifier], 5, 2)
    assert score.accuracy == 1.0
    assert score.confusion.sum() == 200
    assert score.interval == (1.0, 1.0)


def test_shuffled_labels_are_named_at_chance() -> None:
    data = dataset()
    shuffled = Dataset(data.vectors, np.random.default_rng(1).permutation(data.class_ids), data.labels)
    score = evaluate.measure(shuffled, "knn", CLASSIFIERS["knn"], 5, 4)
    assert 0.15 < score.accuracy < 0.35


def test_the_interval_is_students() -> None:
    score = ClassifierScore("knn", 5, (0.5, 0.6, 0.7), np.eye(2, dtype=np.intp))
    assert score.interval == pytest.approx((0.6 - 4.30 * 0.1 / 3**0.5, 0.6 + 4.30 * 0.1 / 3**0.5), abs=1e-6)


def test_tuning_never_looks_at_what_is_asked() -> None:
    data = dataset()
    part = evaluate.split(data, 6, 0)
    spoilt = data.vectors.copy()
    spoilt[part.test] = np.roll(spoilt[part.test], 7, axis=1)
    ((first, _),) = evaluate.tune(data, 6, 1)
    ((second, _),) = evaluate.tune(Dataset(spoilt, data.class_ids, data.labels), 6, 1)
    assert first == second


def test_the_exam_comes_close_to_what_is_held_out() -> None:
    data = dataset(spread=2.0)
    exam = float(np.mean([list(each.values()) for each in evaluate.leave_one_out_accuracies(data, 12, 3)]))
    held_out = evaluate.measure(data, "centroid", CLASSIFIERS["centroid"], 12, 3).accuracy
    assert exam == pytest.approx(held_out, abs=0.15)


def test_auroc_is_the_chance_of_the_right_order() -> None:
    assert unknowns.auroc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1.0
    assert unknowns.auroc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    assert unknowns.auroc(np.array([0.0, 2.0]), np.array([1.0])) == 0.5


def test_strangers_and_hidden_classes_are_rejected() -> None:
    data = dataset(spread=0.3)
    unknown = np.random.default_rng(0).exponential(size=(50, 48)).astype(np.float32)
    unknown /= np.linalg.norm(unknown, axis=1, keepdims=True)
    far = unknowns.average(unknowns.far_ood(data, unknown, 8, 2))
    near = unknowns.average(unknowns.near_ood(data, 8, 1))
    assert far.auroc > 0.98
    assert near.auroc > 0.98
    assert far.false_accepts_at_5pct_false_rejects < 0.05
    assert far.false_rejects < 0.15
    assert far.false_accepts < 0.1
