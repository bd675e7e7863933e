"""The lower threshold of other sessions, on synthetic sessions: a shared background and moving objects."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.open_set.augmented_copies import COPIES, AugmentedCopies
from edge_daemon.learning.open_set.calibration_sample import calibration_sample
from edge_daemon.learning.open_set.cohort import Cohort
from edge_daemon.learning.open_set.other_sessions import REFUTING_FRAMES, OtherSessions, fit_other_sessions
from edge_daemon.learning.open_set.rejector import UnknownRejector
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut
from edge_daemon.learning.recent_frames import RecentFrames
from tests.learning.open_set.test_rejector import rejected

SIZE = 96
CLASSES, EACH = 4, 8


def pattern(seed: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=SIZE)


def views(session: int, object_id: int, count: int, seed: int) -> npt.NDArray[np.float32]:
    """Return embeddings of an object before the background of a session."""
    noise = np.random.default_rng([session, object_id, seed]).normal(size=(count, SIZE))
    rows = pattern(1000 + session) + pattern(object_id) + 0.4 * noise
    unit: npt.NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def copies_of(object_id: int, seed: int) -> npt.NDArray[np.float32]:
    """Return copies as different as views before other backgrounds."""
    rng = np.random.default_rng(seed)
    rows = [
        views(100 + int(rng.integers(50)), object_id, 1, int(rng.integers(1000)))[0] for _ in range(COPIES)
    ]
    return np.stack(rows)


def teach(*, with_copies: bool, classes: int = CLASSES) -> tuple[EmbeddingIndex, UnknownRejector]:
    examples = EmbeddingIndex()
    copies = AugmentedCopies(examples)
    for object_id in range(classes):
        for number, view in enumerate(views(0, object_id, EACH, seed=0)):
            examples.add(view, f"c{object_id}", object_id * EACH + number)
    if with_copies:
        for example_id in tuple(copies.missing):
            copies.add(example_id, list(copies_of(example_id // EACH, example_id)))
    return examples, UnknownRejector(examples, LeaveOneOut(examples), "auto", copies)


def known_elsewhere() -> npt.NDArray[np.float32]:
    return np.concatenate(
        [views(session, object_id, 5, 1) for session in (1, 2, 3) for object_id in range(CLASSES)]
    )


def test_known_objects_in_another_session_are_rejected_less_with_copies() -> None:
    without = rejected(*teach(with_copies=False), known_elsewhere())
    assert without >= 0.5
    assert rejected(*teach(with_copies=True), known_elsewhere()) <= without / 2


def test_other_objects_stay_unknown() -> None:
    examples, rejector = teach(with_copies=True)
    far = np.concatenate([views(session, 50 + session, 10, 2) for session in (1, 2, 3)])
    assert rejected(examples, rejector, far) >= 0.9


@pytest.mark.parametrize("with_copies", [False, True])
def test_the_taught_session_keeps_its_threshold(with_copies: bool) -> None:
    examples, rejector = teach(with_copies=with_copies)
    new_objects = np.concatenate([views(0, 60 + number, 5, 3) for number in range(6)])
    assert rejected(examples, rejector, new_objects) >= 0.95


def test_the_decision_in_the_taught_session_is_the_same_with_copies() -> None:
    queries = np.concatenate([views(0, number, 20, 4) for number in (0, 1, 2, 70)])
    decisions = []
    for with_copies in (False, True):
        examples, rejector = teach(with_copies=with_copies)
        decisions.append([rejector.rejects(examples.search(query)) for query in queries])
    assert decisions[0] == decisions[1]


def test_a_single_class_has_one_threshold_for_all_sessions() -> None:
    elsewhere = views(1, 0, 20, 5)
    results = [rejected(*teach(with_copies=each, classes=1), elsewhere) for each in (False, True)]
    assert results[0] == results[1]


def with_cohort(held_out: list[float]) -> OtherSessions:
    """Return the thresholds for classes whose held-out queries have these scores; the threshold is 0."""
    examples = EmbeddingIndex()
    copies = AugmentedCopies(examples)
    for object_id in range(CLASSES):
        for number, view in enumerate(views(0, object_id, EACH, seed=0)):
            examples.add(view, f"c{object_id}", object_id * EACH + number)
    for example_id in tuple(copies.missing):
        copies.add(example_id, list(copies_of(example_id // EACH, example_id)))
    sample = calibration_sample(examples, LeaveOneOut(examples).scores())
    cohort = Cohort(np.concatenate([views(200 + each, 200 + each, 1, 0) for each in range(128)]))
    found = fit_other_sessions(examples, sample, copies, held_out, 0.0, cohort)
    assert found is not None
    return found


def watch(session: int, known: list[bool]) -> RecentFrames:
    """Return recent frames of the taught objects in a session, of which the threshold accepts some."""
    recent = RecentFrames()
    for number, accepted in enumerate(known):
        recent.add(views(session, number % CLASSES, 1, number)[0])
        recent.record_known(known=accepted)
    return recent


ALIKE = [1.0] * 9 + [-1.0]
"""Scores of held-out classes that look like the taught ones: a tenth is below the threshold."""
DIFFERENT = [-1.0] * 10


def test_a_session_that_rejects_more_than_new_classes_would_be_is_another_one() -> None:
    half = [True, False] * REFUTING_FRAMES
    assert with_cohort(ALIKE).session_shift(watch(0, half)) is not None
    assert with_cohort(DIFFERENT).session_shift(watch(0, half)) is None
    assert with_cohort([]).session_shift(watch(0, half)) is None


def test_a_few_rejected_frames_leave_the_taught_session() -> None:
    assert with_cohort(ALIKE).session_shift(watch(0, [False] * (REFUTING_FRAMES - 1))) is None
    assert with_cohort(ALIKE).session_shift(watch(0, [False, *[True] * 7] * 8)) is None


def test_the_margin_decides_in_another_session() -> None:
    other = with_cohort(DIFFERENT)
    session_shift = other.session_shift(watch(1, [False] * 16))
    assert session_shift is not None
    known, new = views(1, 0, 10, 2), np.concatenate([views(1, each, 1, 2) for each in range(300, 340)])
    assert not any(other.rejects_shifted(session_shift, each, 0.0) for each in known)
    assert sum(bool(other.rejects_shifted(session_shift, each, 0.0)) for each in new) >= 0.8 * len(new)


def test_a_query_that_is_unlike_all_classes_is_unknown_whatever_its_score() -> None:
    other, high = with_cohort(DIFFERENT), 1000.0
    new = np.concatenate([views(9, number, 1, 2) for number in range(300, 340)])
    assert not any(other.accepts(each, high) for each in new)
    taught = np.concatenate([views(9, object_id, 5, 2) for object_id in range(CLASSES)])
    assert all(other.accepts(each, high) for each in taught)
