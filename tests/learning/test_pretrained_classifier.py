"""Pretrained classifier: the classes of the model."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.domain.errors import ConfigError, EmbeddingError, LabelError
from edge_daemon.domain.types import UNKNOWN
from edge_daemon.learning.open_set_classifier import make_classifier


def test_the_most_probable_class_is_predicted_at_any_length_of_the_vector() -> None:
    classifier = make_classifier("pretrained", classes=["cat", "dog", "hot dog"])
    shares = np.array([0.1, 0.2, 0.7], np.float32)
    prediction = classifier.predict(shares / np.linalg.norm(shares))
    assert prediction.label == "hot dog"
    assert prediction.confidences == pytest.approx({"cat": 0.1, "dog": 0.2, "hot dog": 0.7}, abs=1e-6)
    assert prediction.similarity == pytest.approx(0.7)


def test_an_improbable_best_class_is_unknown() -> None:
    classifier = make_classifier("pretrained", classes=list("abcde"))
    flat = np.array([0.22, 0.2, 0.2, 0.19, 0.19], np.float32)
    assert classifier.predict(flat).label == UNKNOWN
    classifier.set_unknown("off")
    assert classifier.predict(flat).label == "a"
    classifier.set_unknown(0.25)
    assert classifier.predict(flat).label == UNKNOWN


def test_probabilities_of_classes_of_one_name_are_added() -> None:
    classifier = make_classifier("pretrained", classes=["crane", "bird", "crane"])
    assert classifier.predict(np.array([0.4, 0.2, 0.4])).confidences == pytest.approx(
        {"crane": 0.8, "bird": 0.2}
    )


def test_examples_are_refused() -> None:
    classifier = make_classifier("pretrained", classes=["a"])
    with pytest.raises(LabelError, match="can't be taught"):
        classifier.add([1.0], "b", 0)
    assert classifier.remove([0]) == 0
    assert classifier.evaluate().accuracy is None


def test_wrong_models_are_refused() -> None:
    with pytest.raises(ConfigError, match="with class names"):
        make_classifier("pretrained")
    classifier = make_classifier("pretrained", classes=["a", "b"])
    with pytest.raises(EmbeddingError):
        classifier.predict([1.0, 0.0, 0.0])
    with pytest.raises(EmbeddingError, match="negative"):
        classifier.predict([1.0, -1.0])
