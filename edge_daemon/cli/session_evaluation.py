"""`edge-daemon evaluate --sessions`: accuracy in the sessions that were taught and in other ones."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from edge_daemon.app.model_factory import (
    build_classifier,
    build_embedder,
    build_object_classifier,
    build_object_embedder,
    load_cohort,
)
from edge_daemon.board.digits import read_digits
from edge_daemon.cli.config import note
from edge_daemon.cli.progress import Progress
from edge_daemon.cli.session_report import SessionResult
from edge_daemon.config.schema import Config
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ConfigError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.evaluation.across_sessions import (
    WHERE,
    EmbeddingRecognizer,
    RecognizerFactory,
    SessionScore,
    Where,
    measure,
)
from edge_daemon.evaluation.frame_copies import FrameCopies
from edge_daemon.evaluation.scene_recognizer import ObjectEmbeddings, SceneRecognizer
from edge_daemon.evaluation.session_set import (
    Session,
    SessionPicture,
    find_sessions,
    read_sessions,
)
from edge_daemon.evaluation.teaching_plan import Teach, TeachingPlan, make_plans, shortfalls
from edge_daemon.example_store.image_folders import find_pictures
from edge_daemon.tflite.embedder import TfliteEmbedder

CLASSIFIERS = ("knn", "centroid", "linear", "auto")
"""Values of `classifier.type` that sessions can be measured with."""


def parse_teach(text: str) -> Teach:
    """Parse `--teach`. Raises ArgumentTypeError."""
    if text == "one":
        return "one"
    if text == "each":
        return "each"
    sessions = read_digits(text)
    if not sessions:
        raise argparse.ArgumentTypeError(f"expected one, each or a number of sessions, got '{text}'")
    return sessions


class SessionEvaluation:
    """Measures classifiers on the sessions of a folder. `results` and `notes` grow with `rows`."""

    def __init__(self, config: Config, root: Path, far: Path | None) -> None:
        """Read and embed the pictures. Raises ArchiveError, ModelError."""
        self._config = config
        found = find_sessions(root)
        far_pictures = [SessionPicture("", each) for each in find_pictures(far)] if far else []
        embedder = build_embedder(config)
        self._sessions = _read(found, embedder)
        self._copies = FrameCopies(embedder.embed)
        self._objects = _object_embeddings(config, embedder, self._sessions)
        self._far = [
            frame
            for session in _read(far_pictures, embedder)
            for frames in session.frames.values()
            for frame in frames
        ]
        self.results: list[SessionResult] = []
        self.notes: list[str] = []
        self._printed = 0

    def rows(
        self, teach: Teach, shots: Sequence[int], classifiers: Sequence[str], seeds: int
    ) -> Iterator[dict[str, object]]:
        """Yield a row per classifier, number of shots and kind of query.

        Raises ConfigError if no number of shots can be measured.
        """
        plans = {each: self._plans(teach, each) for each in shots}
        if not any(plans.values()):
            raise ConfigError(self.notes[0])
        self._print_notes()
        jobs = [(classifier, each) for each in shots if plans[each] for classifier in classifiers]
        for classifier, each in jobs:
            scores = self._measure(classifier, plans[each], each, seeds)
            self.results.append(SessionResult(classifier, each, scores))
            yield from (_row(classifier, each, where, score) for where, score in scores.items())
        self.notes += _reasons(self.results, self._sessions)
        self._print_notes()

    def _plans(self, teach: Teach, shots: int) -> list[TeachingPlan]:
        plans = make_plans(self._sessions, teach, shots)
        if plans:
            self.notes += shortfalls(self._sessions, teach, shots)
        else:
            self.notes.append(_too_few(teach, shots))
        return plans

    def _measure(
        self, classifier: str, plans: Sequence[TeachingPlan], shots: int, seeds: int
    ) -> Mapping[Where, SessionScore]:
        scores = {where: SessionScore() for where in WHERE}
        make = _recognizer_factory(self._config, classifier, self._copies, self._objects)
        draws = [(plan, seed) for plan in plans for seed in range(seeds)]
        for plan, seed in Progress(f"{classifier}, {counted(shots, 'shot')}")(draws, len(draws)):
            measure(self._sessions, plan, make, shots, seed, self._far, scores)
        return {where: score for where, score in scores.items() if score.count}

    def _print_notes(self) -> None:
        for text in self.notes[self._printed :]:
            note(text)
        self._printed = len(self.notes)


def _read(pictures: Sequence[SessionPicture], embedder: Embedder) -> list[Session]:
    return read_sessions(Progress("embedding")(pictures, len(pictures)), embedder.embed)


def _object_embeddings(
    config: Config, embedder: Embedder, sessions: Sequence[Session]
) -> ObjectEmbeddings | None:
    """Return the embeddings of objects; None with `scene: off`, without scenes, and without such features."""
    if not isinstance(embedder, TfliteEmbedder) or embedder.features != "embedding":
        return None
    if config.scene == "off" or not any(session.scene for session in sessions):
        return None
    return ObjectEmbeddings(build_object_embedder(embedder))


def _recognizer_factory(
    config: Config, classifier: str, copies: FrameCopies, objects: ObjectEmbeddings | None
) -> RecognizerFactory:
    options = msgspec.structs.replace(config.classifier, type=classifier)
    own = msgspec.structs.replace(config, classifier=options)
    cohort = load_cohort(own)
    if objects is None:
        return lambda: EmbeddingRecognizer(build_classifier(own, cohort), copies)
    return lambda: SceneRecognizer(build_object_classifier(own, cohort), objects, copies)


def _row(classifier: str, shots: int, where: Where, score: SessionScore) -> dict[str, object]:
    row: dict[str, object] = {
        "classifier": classifier,
        "shots": shots,
        "where": where,
        "count": score.count,
        "first": score.first_share,
        "named": score.named / score.count,
        "unknown": score.unknown / score.count,
    }
    if where in ("same", "across"):
        row["calibration_error"] = score.calibration_error
    return row


def _too_few(teach: Teach, shots: int) -> str:
    pictures = counted(shots, "picture")
    if teach == "each":
        return f"{counted(shots, 'shot')} left out: two classes need more than {pictures} in a session"
    count = 1 if teach == "one" else teach
    return (
        f"{counted(shots, 'shot')} left out: {counted(count, 'session')} with more than {pictures} of most "
        "classes would be needed to teach"
    )


def _reasons(results: Sequence[SessionResult], sessions: Sequence[Session]) -> Iterator[str]:
    """Yield why a kind of query has no row."""
    measured = {where for result in results for where in result.scores}
    if "across" not in measured:
        yield "no row for across: no other session has pictures of a taught class"
    if "strangers_same" not in measured:
        yield "no rows for held-out classes: holding one out needs three taught classes"
    if "scene" not in measured and any(session.scene for session in sessions):
        yield "no row for scene: a session needs two pictures in _scene, the first half is its reference"
