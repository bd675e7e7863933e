"""Recent frames in taught and in other sessions: synthetic objects of one kind in several rooms."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.domain.types import UNKNOWN
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.open_set.augmented_copies import COPIES
from edge_daemon.learning.open_set.cohort import Cohort
from edge_daemon.learning.open_set.taught_sessions import (
    FRAME_COUNTS,
    MAX_SESSIONS,
    MIN_FRAMES,
    TaughtSession,
    TaughtSessions,
    fit_taught_sessions,
)
from edge_daemon.learning.open_set_classifier import OpenSetClassifier, make_classifier
from edge_daemon.learning.recent_frames import RecentFrames
from tests.learning.open_set.test_other_sessions import CLASSES, EACH, SIZE, pattern

OTHER_KIND = 50
"""Objects from this number on are of another kind."""


def views(session: int, object_id: int, count: int, seed: int) -> npt.NDArray[np.float32]:
    """Return embeddings of an object in a room. Objects of one kind are alike, so a room shows less."""
    noise = np.random.default_rng([session, object_id, seed]).normal(size=(count, SIZE))
    kind = pattern(900 if object_id < OTHER_KIND else 901)
    rows = 1.2 * kind + 0.7 * pattern(1000 + session) + 0.7 * pattern(object_id) + 0.6 * noise
    unit: npt.NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def copies_of(object_id: int, seed: int) -> list[npt.NDArray[np.float32]]:
    """Return copies as different as views in other rooms."""
    rng = np.random.default_rng(seed)
    return [
        views(100 + int(rng.integers(50)), object_id, 1, int(rng.integers(1000)))[0] for _ in range(COPIES)
    ]


def index(sessions: dict[int, Iterable[int]]) -> EmbeddingIndex:
    """Return examples of some objects in some sessions."""
    examples = EmbeddingIndex()
    for session, objects in sessions.items():
        for object_id in objects:
            for view in views(session, object_id, EACH, 0):
                examples.add(view, f"c{object_id}", len(examples), session=session)
    return examples


def watch(session: int, objects: Iterable[int], each: int = 10, *, known: bool | None = None) -> RecentFrames:
    """Return recent frames that show some objects in a session, one after another.

    `known`: whether the threshold accepts them; by default those of the taught session 0.
    """
    recent = RecentFrames()
    for object_id in objects:
        for frame in views(session, object_id, each, 9):
            recent.add(frame)
            recent.record_known(known=session == 0 if known is None else known)
    return recent


@pytest.fixture(scope="module")
def one_session() -> TaughtSessions:
    return fit_taught_sessions(index({0: range(CLASSES)}))


@pytest.mark.parametrize("objects", [range(CLASSES), [0] * 4, [1, 2], [0, 20], [20, 1]])
def test_the_taught_session_is_recognized_with_any_objects_in_view(
    one_session: TaughtSessions, objects: Iterable[int]
) -> None:
    assert one_session.session_shift(watch(0, objects)) is None


@pytest.mark.parametrize("objects", [range(CLASSES), [0, 1, 2], [0, 3, 20]])
def test_another_session_is_noticed_and_the_offset_leads_to_the_taught_one(
    one_session: TaughtSessions, objects: Iterable[int]
) -> None:
    recent = watch(1, objects)
    session_shift = one_session.session_shift(recent)
    assert session_shift is not None
    assert session_shift.offset is not None
    taught = np.mean([views(0, each, 20, 3).mean(axis=0) for each in range(CLASSES)], axis=0)
    before, after = (
        np.linalg.norm(taught - each) for each in (recent.mean, recent.mean + session_shift.offset)
    )
    assert after < 0.8 * before


def test_a_session_that_shows_other_things_is_not_moved(one_session: TaughtSessions) -> None:
    session_shift = one_session.session_shift(watch(1, range(OTHER_KIND, OTHER_KIND + 4)))
    assert session_shift is not None
    assert session_shift.offset is None


def test_less_of_a_difference_is_another_session_where_the_frames_are_unknown() -> None:
    objects = range(CLASSES)
    taught = TaughtSessions(
        [TaughtSession(np.ones(SIZE), np.eye(1, SIZE, dtype=np.float32), [(0.0, 1.0)] * 4)]
    )
    assert taught.session_shift(watch(1, objects, known=True)) is None
    assert taught.session_shift(watch(1, objects, known=False)) is not None


def test_more_frames_make_less_of_a_difference_another_session() -> None:
    """A difference within the noise of the mean of few frames."""
    taught = fit_taught_sessions(index({0: range(CLASSES)}))
    near = 0.4 * np.stack([views(0, each, 40, 3) for each in range(CLASSES)], axis=1)
    near = near + 0.6 * np.stack([views(1, each, 40, 3) for each in range(CLASSES)], axis=1)
    recent, found = RecentFrames(), {}
    for frame in near.reshape(-1, SIZE)[: 2 * FRAME_COUNTS[-1]]:
        recent.add((frame / np.linalg.norm(frame)).astype(np.float32))
        found[recent.count] = taught.session_shift(recent) is not None
    assert not found[MIN_FRAMES]
    assert found[2 * FRAME_COUNTS[-1]]


def test_a_still_picture_is_counted_once() -> None:
    recent = RecentFrames()
    for _ in range(5):
        recent.add(views(0, 0, 1, 0)[0])
        recent.record_known(known=False)
    recent.add(views(0, 1, 1, 0)[0])
    recent.record_known(known=True)
    assert recent.known_share == pytest.approx(0.5)


@pytest.mark.parametrize("rectified", [False, True])
def test_the_similarity_of_a_session_does_not_depend_on_a_common_mean(rectified: bool) -> None:
    random = np.random.default_rng(0)
    taught, other = random.normal(size=(2, 500))
    if rectified:
        taught, other = np.exp(taught), np.exp(other)
    session = TaughtSession(taught, taught[None].astype(np.float32), [(0.9, 0.9)] * 4)
    assert session.similarity(taught) == pytest.approx(1)
    assert session.similarity(other) == pytest.approx(0, abs=0.2)


def test_a_few_frames_give_no_shift(one_session: TaughtSessions) -> None:
    assert one_session.session_shift(watch(1, [0], MIN_FRAMES - 1)) is None
    assert one_session.session_shift(RecentFrames()) is None


def test_every_taught_session_is_recognized_up_to_a_number() -> None:
    sessions = fit_taught_sessions(index({number: range(CLASSES) for number in range(MAX_SESSIONS + 1)}))
    assert sessions.session_shift(watch(0, range(CLASSES))) is not None
    assert all(
        sessions.session_shift(watch(each, range(CLASSES))) is None for each in range(1, MAX_SESSIONS + 1)
    )


def test_classes_that_were_each_taught_in_their_own_session_tell_nothing_about_sessions() -> None:
    sessions = fit_taught_sessions(index({number: [number] for number in range(CLASSES)}))
    assert sessions.session_shift(watch(9, range(CLASSES))) is None


def test_a_session_that_added_one_class_counts_as_taught() -> None:
    sessions = fit_taught_sessions(index({0: range(CLASSES), 1: [5]}))
    assert sessions.session_shift(watch(1, [5], MIN_FRAMES)) is None


def unrelated(count: int) -> npt.NDArray[np.float32]:
    """Return embeddings of objects of many kinds in many rooms."""
    rows = np.stack([pattern(5000 + number) + 0.3 * pattern(901) for number in range(count)])
    unit: npt.NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def taught_classifier(cohort: Cohort | None = None) -> OpenSetClassifier:
    classifier = make_classifier(cohort=cohort)
    for object_id in range(CLASSES):
        for number, view in enumerate(views(0, object_id, EACH, 0)):
            classifier.add(view, f"c{object_id}", object_id * EACH + number)
    for example_id in tuple(classifier.missing_copies):
        classifier.add_copies(example_id, copies_of(example_id // EACH, example_id))
    classifier.run_to_convergence(views(0, 0, 1, 5)[0])
    return classifier


def ask(
    classifier: OpenSetClassifier, session: int, objects: Iterable[int], recent: RecentFrames | None
) -> list[str]:
    return [
        classifier.predict(frame, recent=recent).label
        for object_id in objects
        for frame in views(session, object_id, 10, 4)
    ]


def test_what_was_taught_is_named_in_another_session_once_its_frames_are_known() -> None:
    classifier = taught_classifier()
    truth = [f"c{each}" for each in range(CLASSES) for _ in range(10)]
    without = ask(classifier, 1, range(CLASSES), None)
    named = ask(classifier, 1, range(CLASSES), watch(1, range(CLASSES)))
    right = [sum(np.array(each) == truth) for each in (without, named)]
    assert right[1] >= 0.9 * len(truth)
    assert right[1] > right[0] + 0.2 * len(truth)


@pytest.mark.parametrize("seen", [range(CLASSES), range(50, 54), [0, 50, 1, 51]])
def test_objects_of_another_kind_stay_unknown_in_another_session(seen: Iterable[int]) -> None:
    classifier = taught_classifier()
    labels = ask(classifier, 1, range(50, 56), watch(1, seen))
    assert labels.count(UNKNOWN) >= 0.9 * len(labels)


def test_nothing_changes_in_the_taught_session() -> None:
    classifier = taught_classifier()
    objects = (0, 1, 20, 21)
    assert ask(classifier, 0, objects, watch(0, objects)) == ask(classifier, 0, objects, None)


def test_with_a_cohort_objects_are_named_in_a_session_of_which_little_was_seen() -> None:
    recent = watch(1, [0, 1])
    truth = ["c2"] * 10 + ["c3"] * 10
    named = [
        sum(np.array(ask(taught_classifier(cohort), 1, [2, 3], recent)) == truth)
        for cohort in (None, Cohort(unrelated(128)))
    ]
    assert named[1] >= max(named[0], 18)


@pytest.mark.parametrize("seen", [range(CLASSES), range(50, 54), [0, 50, 1, 51]])
def test_with_a_cohort_unrelated_objects_stay_unknown_in_another_session(seen: Iterable[int]) -> None:
    classifier = taught_classifier(Cohort(unrelated(128)))
    recent = watch(1, seen)
    labels = [classifier.predict(each, recent=recent).label for each in unrelated(160)[128:]]
    assert labels.count(UNKNOWN) >= 0.9 * len(labels)


def test_a_cohort_changes_nothing_in_the_taught_session() -> None:
    objects = (0, 1, 20, 21)
    recent = watch(0, objects)
    with_cohort = ask(taught_classifier(Cohort(unrelated(128))), 0, objects, recent)
    assert with_cohort == ask(taught_classifier(), 0, objects, recent)


def test_a_cohort_of_another_model_is_not_used() -> None:
    recent = watch(1, range(CLASSES))
    other = Cohort(np.eye(8, SIZE + 1, dtype=np.float32))
    assert ask(taught_classifier(other), 1, [0, 50], recent) == ask(taught_classifier(), 1, [0, 50], recent)
