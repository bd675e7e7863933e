"""One contract for all classifiers, tested through the open-set classifier of the pipeline."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.domain.errors import ConfigError, EmbeddingError, LabelError
from edge_daemon.domain.types import UNKNOWN, Prediction
from edge_daemon.learning.classifiers.knn import Vote
from edge_daemon.learning.open_set_classifier import OpenSetClassifier, make_classifier

TYPES = ["knn", "centroid", "linear", "regression", "auto"]
LABELS = ["10", "2", "30"]


def cloud(label: str, count: int, seed: int = 0, size: int = 40) -> npt.NDArray[np.float32]:
    """Points around the direction of the label."""
    centre = np.random.default_rng(int(label)).normal(size=size)
    spread = np.random.default_rng([int(label), seed]).normal(size=(count, size))
    return (centre + 0.4 * spread).astype(np.float32)


def teach(classifier: OpenSetClassifier, each: int = 6) -> None:
    example_id = 0
    for label in LABELS:
        for embedding in cloud(label, each):
            classifier.add(embedding, label, example_id)
            example_id += 1


@pytest.fixture(params=TYPES)
def classifier(request: pytest.FixtureRequest) -> OpenSetClassifier:
    return make_classifier(request.param, unknown="off")


def test_nothing_taught_is_unknown(classifier: OpenSetClassifier) -> None:
    assert classifier.predict(np.ones(40, np.float32)) == Prediction(UNKNOWN, {}, 0.0)


def test_one_example_is_predicted_for_everything(classifier: OpenSetClassifier) -> None:
    classifier.add(cloud("2", 1)[0], "2", 0)
    prediction = classifier.predict(cloud("30", 1)[0])
    assert prediction.label == "2"
    assert prediction.confidences == pytest.approx({"2": 1.0})


def test_taught_classes_are_named_on_what_was_not_shown(classifier: OpenSetClassifier) -> None:
    teach(classifier)
    for label in LABELS:
        for embedding in cloud(label, 10, seed=1):
            assert classifier.predict(embedding).label == label


def test_confidences_cover_every_class_in_class_order_and_sum_to_one(classifier: OpenSetClassifier) -> None:
    teach(classifier)
    prediction = classifier.predict(cloud("10", 1, seed=2)[0])
    assert list(prediction.confidences) == ["2", "10", "30"] == list(classifier.counts)
    assert sum(prediction.confidences.values()) == pytest.approx(1.0, abs=1e-5)
    assert prediction.ranking[0].label == "10"


def test_the_length_of_a_query_changes_nothing(classifier: OpenSetClassifier) -> None:
    teach(classifier)
    query = cloud("30", 1, seed=3)[0]
    short, long = classifier.predict(query), classifier.predict(query * np.float32(50))
    assert short.label == long.label
    assert short.confidences == pytest.approx(dict(long.confidences), abs=1e-4)


def test_similarity_is_the_cosine_to_the_nearest_example(classifier: OpenSetClassifier) -> None:
    teach(classifier)
    taught = cloud("2", 6)[4]
    assert classifier.predict(taught).similarity == pytest.approx(1.0, abs=1e-5)


def test_a_class_taught_later_is_named_within_a_second_of_frames(classifier: OpenSetClassifier) -> None:
    teach(classifier)
    classifier.predict(cloud("2", 1)[0])
    for example_id, embedding in enumerate(cloud("4", 6), start=100):
        classifier.add(embedding, "4", example_id)
    queries = cloud("4", 15, seed=5)
    assert [classifier.predict(query).label for query in queries][-1] == "4"
    assert classifier.predict(cloud("10", 1, seed=1)[0]).label == "10"


def test_removed_examples_are_forgotten(classifier: OpenSetClassifier) -> None:
    teach(classifier)
    classifier.predict(cloud("2", 1)[0])
    assert classifier.remove(range(6, 12)) == 6
    assert list(classifier.counts) == ["10", "30"]
    assert classifier.predict(cloud("2", 1)[0]).label != "2"


def test_all_taken_back_begins_again_with_another_size(classifier: OpenSetClassifier) -> None:
    teach(classifier)
    classifier.predict(cloud("2", 1)[0])
    classifier.remove(range(18))
    classifier.add(np.ones(7, np.float32), "5", 0)
    assert classifier.predict(np.ones(7, np.float32)).label == "5"


def test_adding_again_under_the_same_ids_equals_a_new_classifier(classifier: OpenSetClassifier) -> None:
    def teach_noise(target: OpenSetClassifier, seed: int) -> None:
        for example_id, embedding in enumerate(np.random.default_rng(seed).normal(size=(30, 40))):
            target.add(embedding, LABELS[example_id % 3], example_id)

    teach_noise(classifier, seed=1)
    before = classifier.evaluate()
    assert classifier.clear() == 30
    teach_noise(classifier, seed=2)
    after = classifier.evaluate()
    assert after != before
    classifier.clear()
    teach_noise(classifier, seed=1)
    assert classifier.evaluate() == before


@pytest.mark.parametrize("vote", ["plain", "padded"])
@pytest.mark.parametrize("type_name", ["knn", "regression"])
def test_k_may_exceed_the_examples(type_name: str, vote: Vote) -> None:
    classifier = make_classifier(type_name, k=50, vote=vote, unknown="off")
    for example_id, label in enumerate(["2", "2", "30"]):
        classifier.add(cloud(label, 3)[example_id], label, example_id)
    assert 2 <= float(classifier.predict(cloud("2", 3)[0]).label) <= 30
    assert classifier.evaluate().classes["2"].count == 2


def test_all_examples_equal_still_answers(classifier: OpenSetClassifier) -> None:
    for example_id in range(8):
        classifier.add(np.ones(12, np.float32), str(example_id % 2), example_id)
    prediction = classifier.predict(np.ones(12, np.float32))
    assert np.isfinite(list(prediction.confidences.values())).all()
    assert classifier.evaluate().near_duplicates == 6, "all but the first of each class"


@pytest.mark.parametrize("bad", [np.zeros(40), np.full(40, np.nan), np.ones(39), np.ones((2, 20))])
def test_bad_embeddings_are_refused_and_lose_nothing(
    classifier: OpenSetClassifier, bad: npt.NDArray[np.float64]
) -> None:
    teach(classifier)
    with pytest.raises(EmbeddingError):
        classifier.add(bad, "2", 99)
    with pytest.raises(EmbeddingError):
        classifier.predict(bad)
    assert sum(classifier.counts.values()) == 18


@pytest.mark.parametrize("type_name", TYPES)
def test_the_same_presses_give_the_same_answers(type_name: str) -> None:
    answers = []
    for _ in range(2):
        classifier = make_classifier(type_name)
        teach(classifier)
        answers.append([classifier.predict(query) for query in cloud("10", 5, seed=6)])
    assert answers[0] == answers[1]


@pytest.mark.parametrize("type_name", TYPES)
def test_unknown_is_one_rule_for_all_classifiers(type_name: str) -> None:
    classifier = make_classifier(type_name, unknown="auto")
    teach(classifier, each=10)
    assert all(classifier.predict(query).label == UNKNOWN for query in cloud("77", 20))
    known = [classifier.predict(query).label for label in LABELS for query in cloud(label, 20, seed=7)]
    assert known.count(UNKNOWN) <= 9


def test_an_unknown_type_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="knn, centroid, linear, regression, auto, pretrained"):
        make_classifier("tree")


def test_regression_answers_between_the_numbers_taught() -> None:
    classifier = make_classifier("regression", k=2, unknown="off")
    classifier.add([1.0, 0.0], "0", 0)
    classifier.add([0.0, 1.0], "10", 1)
    assert classifier.predict([1.0, 1.0]).label == "5"
    assert float(classifier.predict([2.0, 1.0]).label) < 5
    assert float(classifier.predict([1.0, 0.0]).label) < 0.1


def test_the_confidence_of_a_number_is_the_weight_of_the_taught_ones_beside_it() -> None:
    classifier = make_classifier("regression", k=3, unknown="off")
    for number, (label, angle) in enumerate((("0", 0.0), ("20", 0.4), ("40", 0.5)), 1):
        classifier.add(np.array([np.cos(angle), np.sin(angle)]), label, number)
    certain = classifier.predict(np.array([1.0, 0.0]))
    assert certain.confidence > 0.97
    between = classifier.predict(np.array([np.cos(0.2), np.sin(0.2)]))
    assert between.number == pytest.approx(
        sum(float(each.label) * each.confidence for each in between.ranking)
    )
    assert 0.7 < between.confidence < 0.9, "the third neighbour is beyond the second"
    assert between.label not in between.confidences


def test_an_unknown_view_has_no_number() -> None:
    classifier = make_classifier("regression", unknown=0.9)
    classifier.add(np.array([1.0, 0.0]), "1", 1)
    classifier.add(np.array([0.9, 0.1]), "2", 2)
    prediction = classifier.predict(np.array([0.0, 1.0]))
    assert (prediction.label, prediction.number, prediction.confidence) == (UNKNOWN, None, 0.0)


def test_regression_refuses_a_label_that_is_no_number() -> None:
    classifier = make_classifier("regression")
    for bad in ("cat", "nan", "inf"):
        with pytest.raises(LabelError, match="is not a number"):
            classifier.add([1.0, 0.0], bad, 0)
        with pytest.raises(LabelError):
            classifier.check(bad)
    assert classifier.counts == {}


def test_on_a_tie_the_named_label_leads_the_ranking() -> None:
    tied = Prediction("dog", {"bird": 0.2, "cat": 0.4, "dog": 0.4}, 0.9)
    assert [row.label for row in tied.ranking] == ["dog", "cat", "bird"]
    rejected = Prediction(UNKNOWN, {"cat": 0.5, "dog": 0.5}, 0.1)
    assert [row.label for row in rejected.ranking] == ["cat", "dog"]


def test_two_spellings_of_a_number_are_one_number() -> None:
    classifier = make_classifier("regression", k=3, unknown="off")
    for example_id, label in enumerate(("10", "10.0", "1e1"), 1):
        classifier.add(np.array([1.0, 0.1 * example_id]), label, example_id)
    prediction = classifier.predict(np.array([1.0, 0.2]))
    assert prediction.label == "10"
    assert prediction.confidence == pytest.approx(1.0)
