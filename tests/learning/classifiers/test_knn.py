"""The KNN vote against conformance data, and invalid input."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edge_daemon.domain.errors import ConfigError, EmbeddingError, NoExamplesError
from edge_daemon.learning.classifiers.knn import KNNClassifier
from tests.harness.shared_files import shared_path


def conformance() -> list[Any]:
    cases: list[Any] = json.loads(shared_path("reference/knn-conformance.json").read_text())["predict"]
    return cases


@pytest.mark.parametrize("case", conformance(), ids=lambda case: case["name"])
def test_conformance(case: Any) -> None:
    classifier = KNNClassifier(case["k"], case.get("vote", "plain"))
    for embedding, label in case["add"]:
        classifier.add(embedding, label)
    prediction = classifier.predict(case["query"])
    assert prediction.label == case["label"]
    if "confidences" in case:
        assert prediction.confidences == pytest.approx(case["confidences"], abs=1e-6)
    if "counts" in case:
        assert list(classifier.counts.items()) == list(case["counts"].items())


def test_predict_with_no_example_is_refused() -> None:
    with pytest.raises(NoExamplesError, match="nothing is taught"):
        KNNClassifier().predict([1.0, 0.0])


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(k: int) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        KNNClassifier(k)


def test_k_may_be_a_whole_number_of_numpy() -> None:
    classifier = KNNClassifier(np.int64(1))  # type: ignore[arg-type]
    classifier.add([1.0, 0.0], "a")
    classifier.add([0.0, 1.0], "b")
    assert classifier.predict([1.0, 0.1]).confidences == {"a": 1.0, "b": 0.0}


def test_an_embedding_of_another_length_is_refused() -> None:
    classifier = KNNClassifier()
    classifier.add([1.0, 0.0], "a")
    with pytest.raises(EmbeddingError, match="3 numbers, the examples have 2"):
        classifier.add([1.0, 0.0, 0.0], "a")
    with pytest.raises(EmbeddingError):
        classifier.predict(np.ones(3, np.float32))
    assert classifier.counts == {"a": 1}


@pytest.mark.parametrize("bad", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0], [[1.0]], [], ["x"]])
def test_an_embedding_without_direction_is_refused_and_changes_nothing(bad: list[Any]) -> None:
    classifier = KNNClassifier()
    classifier.add([1.0, 0.0], "a")
    with pytest.raises(EmbeddingError):
        classifier.add(bad, "b")
    with pytest.raises(EmbeddingError):
        classifier.predict(np.array(bad, np.float32) if "x" not in bad else bad)
    assert classifier.counts == {"a": 1}


def test_clear_of_an_unknown_label_is_refused() -> None:
    classifier = KNNClassifier()
    classifier.add([1.0, 0.0], "a")
    with pytest.raises(NoExamplesError, match="'b'"):
        classifier.clear("b")


def test_clear_removes_one_label_or_all() -> None:
    classifier = KNNClassifier(k=1)
    for embedding, label in (([1.0, 0.0], "a"), ([0.0, 1.0], "b"), ([0.1, 1.0], "b")):
        classifier.add(embedding, label)
    assert classifier.clear("b") == 2
    assert classifier.predict([0.0, 1.0]).label == "a"
    assert classifier.clear() == 1
    assert classifier.counts == {}
    classifier.add([1.0, 0.0, 0.0], "c")
    assert classifier.predict([1.0, 0.0, 0.0]).label == "c"


def test_undo_removes_the_last_example_and_returns_its_label() -> None:
    classifier = KNNClassifier()
    classifier.add([1.0, 0.0], "a")
    classifier.add([0.0, 1.0], "b")
    assert classifier.undo() == "b"
    assert classifier.counts == {"a": 1}
    classifier.undo()
    with pytest.raises(NoExamplesError):
        classifier.undo()


def test_class_order_is_integers_ascending_then_first_use() -> None:
    classifier = KNNClassifier()
    for label in ("b", "10", "a", "2", "007", "4294967295"):
        classifier.add([1.0, 1.0], label)
    assert list(classifier.counts) == ["2", "10", "b", "a", "007", "4294967295"]


def test_similarity_is_the_cosine_to_the_nearest_example() -> None:
    classifier = KNNClassifier()
    classifier.add([3.0, 0.0], "a")
    assert classifier.predict([5.0, 5.0]).similarity == pytest.approx(0.5**0.5, abs=1e-6)


def test_equal_similarities_give_the_same_votes_at_any_row() -> None:
    rng = np.random.default_rng(3)
    row, query = rng.normal(size=(2, 257))
    for many in (5, 50, 500):
        classifier = KNNClassifier(k=4)
        for index in range(many):
            classifier.add(row * rng.uniform(0.5, 2), ("a", "b", "c")[index % 3])
        share = 0.5 if many == 5 else 1.0
        assert classifier.predict(query).confidences == {"a": share, "b": 1.0 - share, "c": 0.0}


def test_euclidean_uses_the_lengths_that_cosine_ignores() -> None:
    examples = (([1.0, 1.0], "near"), ([9.0, 8.0], "far"))
    for metric, expected in (("cosine", "near"), ("euclidean", "far"), ("manhattan", "far")):
        classifier = KNNClassifier(1, metric=metric)  # type: ignore[arg-type]
        for embedding, label in examples:
            classifier.add(embedding, label)
        assert classifier.predict([10.0, 10.0]).label == expected


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_metrics_agree_with_their_definition(metric: Any) -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(600, 20))
    classifier = KNNClassifier(1, metric=metric)
    for index, row in enumerate(rows):
        classifier.add(row, str(index))
    order = {"euclidean": 2, "manhattan": 1}[metric]
    for query in rng.normal(size=(20, 20)):
        expected = np.linalg.norm(rows - query, ord=order, axis=1).argmin()
        assert classifier.predict(query).label == str(expected)


def test_padding_repeats_forwards_and_backwards() -> None:
    classifier = KNNClassifier(7, "padded")
    for embedding, label in (([1.0, 0.19], "a"), ([1.0, 0.1], "b"), ([1.0, 0.2], "b"), ([1.0, 0.3], "b")):
        classifier.add(embedding, label)
    assert classifier.predict([1.0, 0.196]).confidences == {"a": 4 / 7, "b": 3 / 7}


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
@pytest.mark.parametrize("size", [12, 1280])
def test_with_padding_an_equal_example_is_never_outvoted(metric: Any, size: int) -> None:
    rng = np.random.default_rng(size)
    view = rng.exponential(size=size) * 7
    classifier = KNNClassifier(3, "padded", metric)
    for _ in range(4):
        classifier.add(view * (1 + 0.01 * rng.normal(size=size)), "many")
        classifier.add(view * (1 + 0.05 * rng.normal(size=size)), "few")
    classifier.add(view, "few")
    prediction = classifier.predict(view)
    assert prediction.label == "few"
    assert prediction.confidences == {"many": 0.0, "few": 1.0}


def test_equal_examples_of_two_classes_share_the_votes() -> None:
    classifier = KNNClassifier(4, "padded")
    for label in ("a", "b", "a", "b"):
        classifier.add([1.0, 2.0, 3.0], label)
        classifier.add([1.0, 2.0, 3.1], "c")
    assert classifier.predict([1.0, 2.0, 3.0]).confidences == {"a": 0.5, "c": 0.0, "b": 0.5}


def test_the_plain_vote_counts_an_equal_example_once() -> None:
    classifier = KNNClassifier(3, "plain")
    classifier.add([1.0, 0.0, 0.0], "few")
    for shift in (0.01, 0.02):
        classifier.add([1.0, shift, 0.0], "many")
    assert classifier.predict([1.0, 0.0, 0.0]).label == "many"
