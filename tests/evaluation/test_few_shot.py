"""Few-shot measurements on synthetic embeddings with known results."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.cli.tuning import choice_settings
from edge_daemon.config.schema import load_config
from edge_daemon.domain.errors import ConfigError
from edge_daemon.evaluation import few_shot
from edge_daemon.evaluation.few_shot import CLASSIFIERS, ClassifierScore, Dataset, TuningDraw
from edge_daemon.learning.open_set_classifier import make_classifier


def dataset(classes: int = 4, each: int = 30, spread: float = 0.5, size: int = 48) -> Dataset:
    rng = np.random.default_rng(8)
    class_ids = np.repeat(np.arange(classes), each)
    rows = rng.exponential(size=(classes, size))[class_ids] + spread * rng.exponential(
        size=(len(class_ids), size)
    )
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Dataset(rows.astype(np.float32), class_ids, tuple("abcdefgh"[:classes]))


def test_a_split_trains_with_the_shots_of_each_class_and_tests_with_all_others() -> None:
    data = dataset()
    part = few_shot.split(data, 5, seed=3)
    assert np.bincount(data.class_ids[part.train]).tolist() == [5, 5, 5, 5]
    assert sorted([*part.train, *part.test]) == list(range(120))
    again, other = few_shot.split(data, 5, seed=3), few_shot.split(data, 5, seed=4)
    np.testing.assert_array_equal(part.train, again.train)
    assert set(part.train) != set(other.train)


def test_too_few_pictures_are_named() -> None:
    with pytest.raises(ConfigError, match="'a' has 30 pictures; at least 31 are needed for 30 shots"):
        few_shot.split(dataset(), 30, 0)


def test_knn_votes_as_on_the_device() -> None:
    data = dataset(spread=1.5)
    part, device = few_shot.split(data, 2, seed=0), make_classifier("knn", unknown="off")
    for row in part.train.tolist():
        device.add(data.vectors[row], data.labels[data.class_ids[row]], row)
    expected = np.zeros((4, 4), np.intp)
    for row in part.test.tolist():
        named = device.predict(data.vectors[row]).label
        expected[data.class_ids[row], data.labels.index(named)] += 1
    np.testing.assert_array_equal(few_shot.evaluate_split(data, CLASSIFIERS["knn"], part), expected)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_separate_classes_are_classified_correctly(classifier: str) -> None:
    score = few_shot.measure(dataset(spread=0.2), classifier, CLASSIFIERS[classifier], 5, range(2))
    assert score.accuracy == 1.0
    assert score.confusion.sum() == 200
    assert score.interval == (1.0, 1.0)


def test_shuffled_labels_have_chance_accuracy() -> None:
    data = dataset()
    shuffled = Dataset(data.vectors, np.random.default_rng(1).permutation(data.class_ids), data.labels)
    score = few_shot.measure(shuffled, "knn", CLASSIFIERS["knn"], 5, range(4))
    assert 0.15 < score.accuracy < 0.35


def test_the_interval_is_students() -> None:
    score = ClassifierScore("knn", 5, (0.5, 0.6, 0.7), np.eye(2, dtype=np.intp), CLASSIFIERS["knn"])
    assert score.interval == pytest.approx((0.6 - 4.30 * 0.1 / 3**0.5, 0.6 + 4.30 * 0.1 / 3**0.5), abs=1e-6)


def test_tuning_does_not_use_the_test_set() -> None:
    data = dataset()
    part = few_shot.split(data, 6, 0)
    changed = data.vectors.copy()
    changed[part.test] = changed[part.test][:, ::-1]
    (first,) = few_shot.tune(data, 6, [0])
    (second,) = few_shot.tune(Dataset(changed, data.class_ids, data.labels), 6, [0])
    assert first.choice == second.choice
    assert first.correct == second.correct


def test_the_choice_of_most_draws_wins_and_among_equals_the_one_with_more_correct_examples() -> None:
    draws = [
        TuningDraw("centroid", 0.5, {"centroid": 9, "linear": 8}),
        TuningDraw("linear", 0.5, {"centroid": 3, "linear": 7}),
    ]
    assert few_shot.most_frequent(draws) == "linear"
    assert few_shot.most_frequent([*draws, draws[0]]) == "centroid"


def test_each_choice_of_tuning_has_the_values_of_the_configuration() -> None:
    for name in few_shot.GRID:
        settings = choice_settings(name)
        load_config(None, [f"classifier.{key}={value}" for key, value in settings.items()])
        assert set(settings) == ({"type", "k", "metric", "vote"} if name.startswith("knn") else {"type"})


def test_leave_one_out_accuracy_is_close_to_held_out_accuracy() -> None:
    data = dataset(spread=2.0)
    leave_one_out = float(
        np.mean([list(each.values()) for each in few_shot.leave_one_out_accuracies(data, 12, range(3))])
    )
    held_out = few_shot.measure(data, "centroid", CLASSIFIERS["centroid"], 12, range(3)).accuracy
    assert leave_one_out == pytest.approx(held_out, abs=0.15)
