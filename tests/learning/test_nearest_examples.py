"""The nearest example and its runner-up, with every classifier and with objects of a known scene."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.domain.types import UNKNOWN, Prediction
from edge_daemon.learning.embedding_index import EmbeddingIndex, normalize
from edge_daemon.learning.nearest_examples import nearest_examples
from edge_daemon.learning.object_classifier import make_object_classifier
from edge_daemon.learning.open_set_classifier import OpenSetClassifier, make_classifier
from edge_daemon.learning.pretrained_classifier import PretrainedClassifier
from tests.harness.unit_vectors import unit

TYPES = ("knn", "centroid", "linear", "auto", "regression")
LABELS = ("1", "2", "3")


def taught(classifier: OpenSetClassifier, each: int = 6) -> OpenSetClassifier:
    """Teach three classes, `each` examples of each; ids count from 100."""
    for number in range(3 * each):
        label = LABELS[number % 3]
        vector = normalize(unit(int(label), 32) + 0.6 * unit(1000 + number, 32))[0]
        classifier.add(vector, label, 100 + number)
    return classifier


def expected(query: np.ndarray, each: int = 6) -> list[tuple[int, str, float]]:
    """Return id, label and similarity of the nearest example and of the nearest of another class."""
    rows = []
    for number in range(3 * each):
        label = LABELS[number % 3]
        vector = normalize(unit(int(label), 32) + 0.6 * unit(1000 + number, 32))[0]
        rows.append((float(vector @ query), 100 + number, label))
    rows.sort(reverse=True)
    runner_up = next(row for row in rows if row[2] != rows[0][2])
    return [(row[1], row[2], row[0]) for row in (rows[0], runner_up)]


def assert_nearest(prediction: Prediction, rows: list[tuple[int, str, float]]) -> None:
    assert [(each.id, each.label) for each in prediction.nearest] == [(row[0], row[1]) for row in rows]
    assert [each.similarity for each in prediction.nearest] == pytest.approx(
        [row[2] for row in rows], abs=1e-5
    )
    assert prediction.nearest[0].similarity == pytest.approx(prediction.similarity, abs=1e-6)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("unknown", ["auto", "off", 0.99])
def test_every_classifier_names_the_nearest_examples(type: str, unknown: float | str) -> None:
    classifier = taught(make_classifier(type, unknown=unknown))
    for seed in range(8):
        query = normalize(unit(1 + seed % 3, 32) + 0.5 * unit(2000 + seed, 32))[0]
        prediction = classifier.predict(query)
        assert_nearest(prediction, expected(query))
        assert unknown != 0.99 or prediction.label == UNKNOWN


def test_one_class_has_no_runner_up_and_none_has_nothing() -> None:
    classifier = make_classifier()
    assert classifier.predict(unit(1)).nearest == ()
    classifier.add(unit(1), "a", 7)
    assert [each.id for each in classifier.predict(unit(1)).nearest] == [7]


def test_a_removed_example_is_not_the_nearest() -> None:
    classifier = taught(make_classifier())
    query = unit(1, 32)
    first = expected(query)[0][0]
    classifier.remove([first])
    assert first not in [each.id for each in classifier.predict(query).nearest]


def test_the_runner_up_is_found_among_the_rows_that_were_searched_and_beyond() -> None:
    examples = EmbeddingIndex()
    for number, cosine in enumerate((0.9, 0.8, 0.7, 0.6)):
        examples.add([cosine, (1 - cosine**2) ** 0.5], "near" if number < 3 else "far", number)
    for searched in (1, 2, 4):
        query = examples.search([1.0, 0.0])
        query.top_k(searched)
        found = nearest_examples(examples, query)
        assert [(each.id, each.label) for each in found] == [(0, "near"), (3, "far")]
        assert [each.similarity for each in found] == pytest.approx([0.9, 0.6])


def test_an_object_is_compared_with_the_objects_of_the_examples() -> None:
    classifier = make_object_classifier("knn", unknown=0.9)
    classifier.add(unit(1), "a", 1, object_embedding=unit(11), scene_id=1)
    classifier.add(unit(2), "b", 2, object_embedding=unit(12), scene_id=1)
    by_object = classifier.predict_object(unit(12), {"a", "b"})
    assert [(each.id, each.label) for each in by_object.nearest] == [(2, "b"), (1, "a")]
    assert by_object.nearest[0].similarity == pytest.approx(1)
    by_region = classifier.predict(unit(1))
    assert [each.id for each in by_region.nearest] == [1, 2]
    rejected = classifier.predict_object(normalize(unit(12) + unit(11))[0], {"a", "b"})
    assert rejected.label == UNKNOWN
    assert {each.id for each in rejected.nearest} == {1, 2}


def test_the_model_s_own_classes_have_no_examples() -> None:
    assert PretrainedClassifier(["a", "b"]).predict([0.9, 0.1]).nearest == ()
