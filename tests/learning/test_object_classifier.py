"""Objects are compared with objects and regions with regions; the scene chooses the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.domain.types import UNKNOWN
from edge_daemon.learning.example_classifier import make_example_classifier
from edge_daemon.learning.object_classifier import ObjectClassifier, make_object_classifier
from edge_daemon.learning.open_set.rejection_settings import RejectionSettings

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

SIZE = 32
CLASSES = ("cup", "key", "pen")
HOME, ELSEWHERE = 1, 2


class Scenes:
    """Vectors of classes in places: a region shows mostly the place, an object mostly its class."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(5)

    def region(self, label: str, place: int) -> Vector:
        return self._vector(label, place, 0.5, 1.0, 0.0)

    def object(self, label: str, place: int) -> Vector:
        return self._vector(label, place, 0.5, 0.5, 1.0)

    def _vector(self, label: str, place: int, of_class: float, of_place: float, common: float) -> Vector:
        vector = 0.06 * self._random.standard_normal(SIZE)
        vector[(*CLASSES, "nothing", "spoon").index(label)] += of_class
        vector[10 + place] += of_place
        vector[-1] += common
        unit: Vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        return unit


@pytest.fixture
def scenes() -> Scenes:
    return Scenes()


def taught(scenes: Scenes, *, copies: bool = True) -> ObjectClassifier:
    """Return a classifier that was taught eight of each class at home, in mixed order.

    Its threshold is not relaxed, so that the threshold of the copies is far below it.
    """
    regions = make_example_classifier("centroid", 3, "cosine", "plain", "auto")
    objects = make_example_classifier(
        "centroid", 3, "cosine", "plain", "auto", settings=RejectionSettings(relaxation=0.0)
    )
    classifier = ObjectClassifier(regions, objects)
    for number in range(8 * len(CLASSES)):
        label = CLASSES[number % len(CLASSES)]
        classifier.add(
            scenes.region(label, HOME),
            label,
            number,
            object_embedding=scenes.object(label, HOME),
            scene_id=HOME,
        )
    for example_id in tuple(classifier.objects.missing_copies) if copies else ():
        label = CLASSES[example_id % len(CLASSES)]
        places = (3, 4, 5, 6, 7, 8, 9, 10)
        classifier.objects.add_copies(example_id, [scenes.object(label, place) for place in places])
    return classifier


def test_the_object_decides_where_every_class_has_objects(scenes: Scenes) -> None:
    classifier = taught(scenes)
    assert classifier.embed_target("object") == "object"
    assert classifier.embed_target("empty") == "nothing"
    assert classifier.embed_target("untrusted") == "region"
    assert classifier.taught_scenes == {HOME}


def test_an_object_elsewhere_is_named_by_the_lower_threshold(scenes: Scenes) -> None:
    classifier = taught(scenes)
    queries = [(label, scenes.object(label, ELSEWHERE)) for label in CLASSES for _ in range(10)]
    at_home = [classifier.predict_object(vector, CLASSES).label for _, vector in queries]
    elsewhere = [classifier.predict_object(vector, ()).label for _, vector in queries]
    assert at_home.count(UNKNOWN) >= elsewhere.count(UNKNOWN) + 10
    assert [label == truth for label, (truth, _) in zip(elsewhere, queries, strict=True)].count(True) > 25


def test_a_class_that_was_taught_elsewhere_has_the_lower_threshold_here(scenes: Scenes) -> None:
    classifier = taught(scenes)
    assert classifier.labels_taught_in({HOME}) == set(CLASSES)
    assert classifier.labels_taught_in({ELSEWHERE}) == frozenset()
    vectors = [scenes.object("cup", ELSEWHERE) for _ in range(20)]

    def named(*taught_here: str) -> int:
        predictions = (classifier.predict_object(vector, taught_here) for vector in vectors)
        return sum(prediction.label == "cup" for prediction in predictions)

    assert named("key", "pen") > 15
    assert named("cup", "key", "pen") <= named("key", "pen") - 8


def test_another_object_is_unknown_in_every_scene(scenes: Scenes) -> None:
    classifier = taught(scenes)
    for place in (HOME, ELSEWHERE):
        labels = [
            classifier.predict_object(scenes.object("spoon", place), CLASSES if place == HOME else ()).label
            for _ in range(20)
        ]
        assert labels.count(UNKNOWN) == 20


def test_without_copies_the_threshold_is_that_of_the_taught_scene(scenes: Scenes) -> None:
    classifier = taught(scenes, copies=False)
    for _ in range(5):
        vector = scenes.object("cup", ELSEWHERE)
        at_home = classifier.predict_object(vector, CLASSES)
        assert classifier.predict_object(vector, ()) == at_home


def test_a_number_as_threshold_holds_in_all_scenes(scenes: Scenes) -> None:
    classifier = taught(scenes)
    classifier.set_unknown(0.99)
    assert classifier.predict_object(scenes.object("cup", ELSEWHERE), ()).label == UNKNOWN


def test_a_class_without_objects_leaves_the_decision_to_the_region(scenes: Scenes) -> None:
    classifier = taught(scenes)
    for number in range(100, 103):
        classifier.add(scenes.region("spoon", HOME), "spoon", number)
    assert {classifier.embed_target(state) for state in ("object", "empty", "untrusted")} == {"region"}
    classifier.remove((100, 101, 102))
    assert classifier.embed_target("object") == "object"


def test_an_empty_scene_is_no_class_that_has_a_few_objects(scenes: Scenes) -> None:
    classifier = taught(scenes)
    for number in range(100, 105):
        classifier.add(scenes.region("spoon", HOME), "spoon", number)
    assert classifier.embed_target("empty") == "region", "the class may be one of the empty scene"
    classifier.add_view(100, scenes.object("spoon", HOME), HOME)
    assert classifier.embed_target("empty") == "nothing"
    assert classifier.embed_target("object") == "region"


def test_a_view_can_follow_its_example(scenes: Scenes) -> None:
    classifier = taught(scenes)
    classifier.add(scenes.region("spoon", HOME), "spoon", 100)
    assert classifier.embed_target("object") == "region"
    classifier.add_view(100, scenes.object("spoon", HOME), HOME)
    assert classifier.embed_target("object") == "object"


def test_the_view_of_an_example_that_was_removed_is_ignored(scenes: Scenes) -> None:
    classifier = taught(scenes)
    classifier.add_view(999, scenes.object("cup", HOME), HOME)
    assert classifier.counts == dict.fromkeys(CLASSES, 8)


def test_a_class_of_the_empty_scene_is_asked_by_the_region(scenes: Scenes) -> None:
    classifier = taught(scenes)
    for number in range(100, 108):
        classifier.add(scenes.region("nothing", HOME), "nothing", number, scene_id=HOME)
    assert classifier.embed_target("object") == "object"
    assert classifier.embed_target("empty") == "region"
    assert classifier.predict(scenes.region("nothing", HOME)).label == "nothing"


def test_nothing_is_left_after_a_clear(scenes: Scenes) -> None:
    classifier = taught(scenes)
    assert classifier.clear() == 24
    assert classifier.embed_target("object") == "region"
    assert classifier.taught_scenes == frozenset()
    assert classifier.predict_object(scenes.object("cup", HOME), ()).label == UNKNOWN


def test_an_example_that_can_not_be_added_leaves_no_trace(scenes: Scenes) -> None:
    classifier = taught(scenes)
    with pytest.raises(ValueError, match="numbers"):
        classifier.add(
            scenes.region("cup", HOME), "cup", 100, object_embedding=np.ones(3, np.float32), scene_id=HOME
        )
    assert classifier.counts == dict.fromkeys(CLASSES, 8)


def test_a_single_press_of_each_class_has_the_threshold_of_its_copies(scenes: Scenes) -> None:
    classifier = make_object_classifier("auto")
    for number, label in enumerate(CLASSES):
        vector = scenes.object(label, HOME)
        classifier.add(scenes.region(label, HOME), label, number, object_embedding=vector, scene_id=HOME)
        classifier.objects.add_copies(number, [scenes.object(label, place) for place in range(3, 11)])
    for label in CLASSES:
        predictions = [
            classifier.predict_object(scenes.object(label, place), CLASSES if place == HOME else ())
            for place in (HOME, HOME, HOME, ELSEWHERE, ELSEWHERE)
        ]
        assert [each.label for each in predictions].count(label) >= 4


def test_one_class_alone_can_be_taught(scenes: Scenes) -> None:
    classifier = make_object_classifier("auto")
    for number in range(6):
        classifier.add(
            scenes.region("cup", HOME),
            "cup",
            number,
            object_embedding=scenes.object("cup", HOME),
            scene_id=HOME,
        )
    assert classifier.predict_object(scenes.object("cup", HOME), CLASSES).label == "cup"
    assert classifier.predict_object(scenes.object("spoon", HOME), ()).label == UNKNOWN
