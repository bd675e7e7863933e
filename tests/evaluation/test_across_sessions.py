"""The loop over sessions, with a recognizer that records its calls and with the daemon's classifier."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.types import UNKNOWN, Prediction
from edge_daemon.evaluation.across_sessions import (
    RUN_FRAMES,
    SCENE_REFERENCE,
    WHERE,
    EmbeddingRecognizer,
    SessionScore,
    Where,
    measure,
)
from edge_daemon.evaluation.session_set import Session, SessionFrame
from edge_daemon.evaluation.teaching_plan import TeachingPlan
from edge_daemon.learning.open_set_classifier import make_classifier

SHOTS = 4
LABELS = ("cat", "dog", "owl")


def frames(session: int, label: str, count: int) -> list[SessionFrame]:
    """Return embeddings that share a direction by class, and a weaker one by session."""
    random = np.random.default_rng([session, *label.encode()])
    rows = []
    for number in range(count):
        vector = 0.1 * random.normal(size=16)
        vector[(*LABELS, "scene").index(label)] += 1
        vector[10 + session] += 0.7
        unit = (vector / np.linalg.norm(vector)).astype(np.float32)
        rows.append(SessionFrame(Path(f"s{session}/{label}/{number}.png"), unit))
    return rows


def sessions(scene_frames: int = 0) -> list[Session]:
    return [
        Session(
            f"s{number}",
            {label: frames(number, label, 20) for label in LABELS},
            frames(number, "scene", scene_frames),
        )
        for number in range(3)
    ]


class Recorder:
    """Records the calls; predicts the first label taught."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.labels: dict[str, None] = {}

    def start_session(self) -> None:
        self.calls.append(("start", "", ""))

    def observe(self, frame: SessionFrame) -> None:
        self._record("observe", frame)

    def teach(self, frame: SessionFrame, label: str) -> None:
        self._record("teach", frame)
        self.labels[label] = None

    def predict(self, frame: SessionFrame) -> Prediction:
        self._record("predict", frame)
        label = next(iter(self.labels))
        return Prediction(label, dict.fromkeys(self.labels, 1 / len(self.labels)), 1.0)

    def _record(self, call: str, frame: SessionFrame) -> None:
        self.calls.append((call, frame.path.parts[-2], str(frame.path)))

    def visits(self) -> list[list[tuple[str, str, str]]]:
        """Return the calls of each visit to a session."""
        starts = [number for number, call in enumerate(self.calls) if call[0] == "start"]
        return [self.calls[a + 1 : b] for a, b in zip(starts, [*starts[1:], None], strict=True)]


def record(
    found: Sequence[Session], plan: TeachingPlan, seed: int = 0, far: Sequence[SessionFrame] = ()
) -> tuple[list[Recorder], dict[Where, SessionScore]]:
    recorders: list[Recorder] = []

    def make() -> Recorder:
        recorders.append(Recorder())
        return recorders[-1]

    scores = {where: SessionScore() for where in WHERE}
    measure(found, plan, make, SHOTS, seed, far, scores)
    return recorders, scores


def test_a_visit_begins_with_the_empty_scene_and_presses_precede_queries() -> None:
    (recorder, *_), _ = record(sessions(scene_frames=40), {"s1": LABELS})
    teaching, *asking = recorder.visits()
    assert [call for call, _, _ in teaching] == ["observe"] * SCENE_REFERENCE + ["teach"] * 3 * SHOTS
    for visit in asking[:3]:
        assert all(call == ("observe", "scene", call[2]) for call in visit[:SCENE_REFERENCE])
        assert all(call == "predict" for call, _, _ in visit[SCENE_REFERENCE:])


def test_no_frame_is_used_twice_in_a_visit_and_no_press_is_a_query_where_it_was_taught() -> None:
    (recorder, *_), scores = record(sessions(scene_frames=40), {"s1": LABELS})
    teaching, first, taught, last, _ = recorder.visits()
    presses = {path for call, _, path in teaching if call == "teach"}
    assert len(presses) == 3 * SHOTS
    assert presses.isdisjoint(path for _, _, path in taught)
    for visit in (first, taught, last):
        assert len({path for _, _, path in visit}) == len(visit)
    counts = {where: score.count for where, score in scores.items()}
    assert counts == {
        "same": 3 * (20 - SHOTS),
        "across": 2 * 3 * 20,
        "scene": 3 * (40 - SCENE_REFERENCE),
        "strangers_same": 3 * 20,
        "strangers_across": 2 * 3 * 20,
        "far": 0,
    }


def test_queries_come_in_seeded_runs_of_one_class() -> None:
    first, again, other = (record(sessions(), {"s0": LABELS}, seed)[0][0].calls for seed in (0, 0, 1))
    assert first == again != other
    (recorder, *_), _ = record(sessions(), {"s0": LABELS})
    runs = [len(list(run)) for _, run in groupby(label for _, label, _ in recorder.visits()[2])]
    assert 3 < len(runs) <= 3 * -(-20 // RUN_FRAMES)


def test_a_held_out_class_is_never_taught_and_only_its_frames_count() -> None:
    recorders, scores = record(sessions(), {"s0": LABELS})
    for recorder, held_out in zip(recorders[1:], LABELS, strict=True):
        assert held_out not in recorder.labels
        predicted = {label for call, label, _ in recorder.calls if call == "predict"}
        observed = {label for call, label, _ in recorder.calls if call == "observe"}
        assert predicted == {held_out}
        assert observed == set(LABELS) - {held_out}
    assert scores["strangers_same"].named == scores["strangers_same"].count == 60
    assert scores["strangers_same"].first_share is None


def test_classes_taught_in_sessions_of_their_own_are_the_same_session_only_there() -> None:
    _, scores = record(sessions(), {"s0": ["cat"], "s1": ["dog"]})
    assert scores["same"].count == 2 * (20 - SHOTS)
    assert scores["across"].count == 2 * 2 * 20
    assert scores["strangers_same"].count == 0


def test_far_pictures_are_a_session_of_their_own() -> None:
    (recorder, *others), scores = record(sessions(), {"s0": LABELS}, far=frames(0, "scene", 5))
    assert [label for _, label, _ in recorder.visits()[-1]] == ["scene"] * 5
    assert scores["far"].count == scores["far"].named == 5
    assert all(label != "scene" for other in others for _, label, _ in other.calls)


def test_a_score_separates_ranking_label_and_unknown() -> None:
    score = SessionScore()
    score.add("cat", Prediction("cat", {"cat": 0.9, "dog": 0.1}, 0.9))
    score.add("cat", Prediction(UNKNOWN, {"cat": 0.7, "dog": 0.3}, 0.2))
    score.add("cat", Prediction("dog", {"cat": 0.2, "dog": 0.8}, 0.9))
    score.add("cat", Prediction(UNKNOWN, {"cat": 0.4, "dog": 0.6}, 0.2))
    assert (score.count, score.first, score.named, score.unknown) == (4, 2, 1, 2)
    assert score.calibration_error == pytest.approx((0.1 + 0.3 + 0.8 + 0.6) / 4)


@pytest.mark.parametrize("classifier", ["knn", "centroid", "linear", "auto"])
def test_the_daemons_classifier_knows_the_taught_classes_and_rejects_other_objects(classifier: str) -> None:
    scores: dict[Where, SessionScore] = defaultdict(SessionScore)
    measure(
        sessions(),
        {"s0": LABELS},
        lambda: EmbeddingRecognizer(make_classifier(classifier)),
        10,
        0,
        frames(0, "scene", 20),
        scores,
    )
    same, across = scores["same"], scores["across"]
    assert same.first == same.count
    assert same.named / same.count > 0.8
    assert across.first / across.count > 0.9
    assert scores["far"].unknown == 20


def test_a_frame_that_is_not_asked_is_classified_as_a_device_would() -> None:
    """The share of recent frames that are known is that of all frames, not of the queries alone."""
    classifier = make_classifier("knn")
    judged: list[int] = []

    class Watched(EmbeddingRecognizer):
        def observe(self, frame: SessionFrame) -> None:
            super().observe(frame)
            judged.append(self._recent.scored)

    recognizer = Watched(classifier)
    recognizer.start_session()
    for label in LABELS:
        for frame in frames(0, label, SHOTS):
            recognizer.teach(frame, label)
    before, asked, after = frames(1, "cat", 3)
    recognizer.start_session()
    recognizer.observe(before)
    recognizer.predict(asked)
    recognizer.observe(after)
    assert judged == [0, 2]


def test_a_prediction_is_made_after_the_fit_has_converged() -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(2, 512))
    recognizer = EmbeddingRecognizer(make_classifier("linear", unknown="off"))
    for label, centre in zip(("cat", "dog"), centres, strict=True):
        for _ in range(80):
            recognizer.teach(SessionFrame(Path(), centre + random.normal(size=512)), label)
        query = SessionFrame(Path(), centre)
        first = recognizer.predict(query)
    for _ in range(500):
        last = recognizer.predict(query)
    assert first.label == "dog"
    assert first.confidences == pytest.approx(dict(last.confidences), abs=1e-6)
