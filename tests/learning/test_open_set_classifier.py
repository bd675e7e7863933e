"""Open-set classifier of a pool of examples."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from edge_daemon.config.schema import ClassifierOptions
from edge_daemon.domain.errors import ConfigError, EmbeddingError
from edge_daemon.domain.types import UNKNOWN, Prediction
from edge_daemon.learning.object_classifier import make_object_classifier
from edge_daemon.learning.open_set_classifier import OpenSetClassifier, make_classifier


def taught(classifier: OpenSetClassifier) -> OpenSetClassifier:
    examples = (([1.0, 0.0], "a"), ([0.0, 1.0], "b"), ([0.1, 1.0], "b"))
    for example_id, (embedding, label) in enumerate(examples):
        classifier.add(embedding, label, example_id)
    return classifier


@pytest.mark.parametrize("factory", [make_classifier, make_object_classifier])
def test_the_defaults_are_those_of_the_configuration(factory: Callable[..., OpenSetClassifier]) -> None:
    parameters = inspect.signature(factory).parameters
    configured = msgspec.structs.asdict(ClassifierOptions())
    configured["kind"] = configured.pop("type")
    assert {name: parameters[name].default for name in configured} == configured


def test_nothing_taught_is_unknown() -> None:
    assert make_classifier().predict([1.0, 0.0]) == Prediction(UNKNOWN, {}, 0.0)


def test_a_query_below_the_similarity_threshold_is_unknown_and_keeps_its_ranking() -> None:
    classifier = taught(make_classifier(k=1, unknown=0.9))
    assert classifier.predict([1.0, 0.1]).label == "a"
    rejected = classifier.predict([1.0, -1.0])
    assert rejected.label == UNKNOWN
    assert rejected.confidence == 0.0
    assert rejected.ranking[0].confidence > 0
    assert rejected.similarity == pytest.approx(0.5**0.5)


def test_the_threshold_can_be_set_while_running() -> None:
    classifier = taught(make_classifier(unknown="off"))
    assert classifier.predict([-1.0, -1.0]).label != UNKNOWN
    classifier.set_unknown(0.5)
    assert classifier.predict([-1.0, -1.0]).label == UNKNOWN
    for bad in ("maybe", 1.5, float("nan")):
        with pytest.raises(ConfigError, match="auto, off or a similarity"):
            classifier.set_unknown(bad)


def test_remove_is_by_id() -> None:
    classifier = taught(make_classifier(unknown="off"))
    assert classifier.remove([1, 2, 77]) == 2
    assert classifier.counts == {"a": 1}
    assert classifier.predict([0.0, 1.0]).label == "a"


def test_an_embedding_of_another_length_is_refused() -> None:
    classifier = taught(make_classifier())
    with pytest.raises(EmbeddingError):
        classifier.predict(np.ones(3, np.float32))


def test_a_single_class_has_no_accuracy() -> None:
    classifier = make_classifier()
    assert classifier.evaluate().accuracy is None
    classifier.add([1.0, 0.0], "a", 0)
    assert classifier.evaluate().classes["a"].status == "needs_examples"


@pytest.mark.parametrize("kind", ["knn", "centroid", "linear", "auto"])
def test_the_evaluation_names_the_prediction_of_each_example(kind: str) -> None:
    classifier = make_classifier(kind)
    rng = np.random.default_rng(3)
    for number in range(40):
        centre = np.eye(8)[number % 2]
        classifier.add(centre + 0.2 * rng.standard_normal(8), "ab"[number % 2], 100 + number)
    classifier.add(np.eye(8)[0] + 0.2 * rng.standard_normal(8), "b", 140)
    classifier.remove([100])
    evaluation = classifier.evaluate()
    labels = {100 + number: "ab"[number % 2] for number in range(1, 40)} | {140: "b"}
    assert evaluation.predicted.keys() == labels.keys()
    assert evaluation.predicted[140] == "a"
    right = sum(label == labels[each] for each, label in evaluation.predicted.items())
    assert evaluation.accuracy == pytest.approx(right / len(labels))


def test_a_label_of_one_session_is_predicted_within_it() -> None:
    classifier = make_classifier("centroid")
    views = ((0, "a", 0), (40, "a", 1), (180, "b", 0), (220, "b", 1), (90, "c", 1), (120, "c", 1))
    for number, (degrees, label, session) in enumerate(views):
        angle = np.radians(degrees)
        classifier.add([np.cos(angle), np.sin(angle)], label, number, session=session)
    evaluation = classifier.evaluate()
    assert evaluation.across_sessions
    assert evaluation.predicted.keys() == set(range(6))
    assert evaluation.predicted[4] == "c"
