"""Evaluation across sessions: train on some sessions, test on the same and on other sessions.

The loop presents frames in order of time; a `Recognizer` learns and predicts. A recognizer gets no label
except those of the presses, and no later frame.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np

from edge_daemon.domain.types import UNKNOWN, Prediction
from edge_daemon.evaluation.calibration import ReliabilityBin, expected_calibration_error, reliability
from edge_daemon.evaluation.session_set import Session, SessionFrame
from edge_daemon.evaluation.teaching_plan import TeachingPlan, press_count
from edge_daemon.learning.open_set_classifier import OpenSetClassifier
from edge_daemon.learning.recent_frames import RecentFrames

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

Where: TypeAlias = Literal["same", "across", "scene", "strangers_same", "strangers_across", "far"]

WHERE: tuple[Where, ...] = ("same", "across", "scene", "strangers_same", "strangers_across", "far")
"""Kinds of queries: taught classes in the sessions that taught them and in other sessions, frames without
an object, a class that was not taught in sessions that taught and in other ones, pictures of other sets."""

SCENE_REFERENCE = 12
"""Largest number of a session's frames without an object that precede its other frames; later ones are
queries."""

RUN_FRAMES = 8
"""Number of successive frames of one class: a device sees an object for a while."""


class Recognizer(Protocol):
    """Learns and predicts. The calls arrive in the order of time."""

    def start_session(self) -> None:
        """Begin a session: another place, day or light. A session may be visited repeatedly."""

    def observe(self, frame: SessionFrame) -> None:
        """Process an unlabelled frame without a prediction."""

    def teach(self, frame: SessionFrame, label: str) -> None:
        """Learn from a press."""

    def predict(self, frame: SessionFrame) -> Prediction:
        """Classify an unlabelled frame, as `observe` with a result."""


RecognizerFactory: TypeAlias = Callable[[], Recognizer]


CopySource: TypeAlias = Callable[[SessionFrame], "Sequence[Vector]"]
"""Returns the embeddings of the augmented copies of a press."""


class EmbeddingRecognizer:
    """The daemon's path from an embedding to a prediction, with the recent frames of the session.

    `copies` makes the augmented copies that calibrate the unknown threshold; None makes none.
    """

    def __init__(self, classifier: OpenSetClassifier, copies: CopySource | None = None) -> None:
        self._classifier = classifier
        self._copies = copies
        self._recent = RecentFrames()
        self._presses: dict[int, SessionFrame] = {}
        self._session = 0
        self._converged_at = 0

    def start_session(self) -> None:
        """Count the session, by which `auto` cross-validates. The device was out of use before."""
        self._session += 1
        self._recent.reset()

    def observe(self, frame: SessionFrame) -> None:
        """Count the frame among the recent ones; a device classifies it as well."""
        if self._presses and self._converged_at == len(self._presses):
            self.predict(frame)
        else:
            self._recent.add(frame.embedding)

    def teach(self, frame: SessionFrame, label: str) -> None:
        """Add an example."""
        self._recent.add(frame.embedding)
        example_id = len(self._presses) + 1
        self._classifier.add(frame.embedding, label, example_id, session=self._session)
        self._presses[example_id] = frame

    def predict(self, frame: SessionFrame) -> Prediction:
        """Classify, after the fit to the examples has converged and all copies are made."""
        self._recent.add(frame.embedding)
        if self._converged_at != len(self._presses):
            self._add_copies()
            self._classifier.run_to_convergence(frame.embedding)
            self._converged_at = len(self._presses)
        return self._classifier.predict(frame.embedding, recent=self._recent)

    def _add_copies(self) -> None:
        if self._copies is not None:
            for example_id in tuple(self._classifier.missing_copies):
                self._classifier.add_copies(example_id, self._copies(self._presses[example_id]))


@dataclass(slots=True)
class SessionScore:
    """Counts of the results of one kind of query.

    `first` counts the rankings whose first label is right. `named` counts the right labels with rejection
    on; for a query without a right label it counts the labels other than `unknown`. `confidences` are those
    of the first labels.
    """

    count: int = 0
    first: int = 0
    named: int = 0
    unknown: int = 0
    confidences: list[float] = field(default_factory=list)
    correct: list[bool] = field(default_factory=list)

    def add(self, truth: str | None, prediction: Prediction) -> None:
        """Count a prediction; `truth` is None for a query without a right label."""
        rejected = prediction.label == UNKNOWN
        self.count += 1
        self.unknown += rejected
        if truth is None:
            self.named += not rejected
            return
        self.named += prediction.label == truth
        if prediction.confidences:
            head = prediction.ranking[0]
            self.first += head.label == truth
            self.confidences.append(head.confidence)
            self.correct.append(head.label == truth)

    @property
    def first_share(self) -> float | None:
        """Share of rankings whose first label is right; None without a right label."""
        return self.first / self.count if self.confidences else None

    def reliability(self) -> list[ReliabilityBin]:
        """Return the reliability diagram of the rankings' heads, with rejection off."""
        return reliability(self.confidences, self.correct)

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error with rejection off; None without a right label."""
        return expected_calibration_error(self.reliability()) if self.confidences else None


def measure(
    sessions: Sequence[Session],
    plan: TeachingPlan,
    make: RecognizerFactory,
    shots: int,
    seed: int,
    far: Sequence[SessionFrame],
    scores: Mapping[Where, SessionScore],
) -> None:
    """Add the results of one plan and one draw of presses and runs to `scores`.

    All classes are taught first; then all but one, for each class in turn, which is held out. Pictures
    of other sets (`far`) are a session of their own.
    """
    visits = _Visits(sessions, shots, seed)
    recognizer = make()
    visits.teach(plan, recognizer)
    visits.ask(plan, recognizer, None, scores)
    recognizer.start_session()
    for frame in far:
        scores["far"].add(None, recognizer.predict(frame))
    taught = {label for labels in plan.values() for label in labels}
    for held_out in sorted(taught) if len(taught) > 2 else ():
        others = {name: [each for each in labels if each != held_out] for name, labels in plan.items()}
        recognizer = make()
        visits.teach(others, recognizer)
        visits.ask(others, recognizer, held_out, scores)


@dataclass(frozen=True, slots=True)
class _Visits:
    """Presents the frames of sessions in the order of time, with presses and runs drawn at random."""

    sessions: Sequence[Session]
    shots: int
    seed: int

    def teach(self, plan: TeachingPlan, recognizer: Recognizer) -> None:
        """Visit the sessions that teach; present their presses, class by class."""
        for session in self.sessions:
            if labels := plan.get(session.name):
                self._start(session, recognizer)
                for label in labels:
                    for frame in self._split(session, label)[0]:
                        recognizer.teach(frame, label)

    def ask(
        self,
        plan: TeachingPlan,
        recognizer: Recognizer,
        held_out: str | None,
        scores: Mapping[Where, SessionScore],
    ) -> None:
        """Visit all sessions; present the frames that are no presses.

        With a class `held_out`, only its frames count; those of the taught classes are observed.
        """
        asked = {label for labels in plan.values() for label in labels} | {held_out}
        for session in self.sessions:
            self._start(session, recognizer)
            own = plan.get(session.name, ())
            for label, frame in self._queries(session, asked, own):
                where = _where(label, own, held_out)
                if where is None:
                    recognizer.observe(frame)
                else:
                    truth = label if where in ("same", "across") else None
                    scores[where].add(truth, recognizer.predict(frame))

    def _start(self, session: Session, recognizer: Recognizer) -> None:
        recognizer.start_session()
        for frame in session.scene[: _reference_count(session)]:
            recognizer.observe(frame)

    def _queries(
        self, session: Session, asked: Collection[str | None], own: Sequence[str]
    ) -> Iterator[tuple[str | None, SessionFrame]]:
        """Yield labels and frames in runs of one class; the label of the empty scene is None."""
        queries: dict[str | None, Sequence[SessionFrame]] = {None: session.scene[_reference_count(session) :]}
        for label in session.frames:
            if label in asked:
                presses, others = self._split(session, label)
                queries[label] = others if label in own else [*presses, *others]
        runs = [(label, run) for label, frames in queries.items() for run in _cut(frames)]
        for number in self._random(session, "").permutation(len(runs)).tolist():
            label, run = runs[number]
            yield from ((label, frame) for frame in run)

    def _split(self, session: Session, label: str) -> tuple[Sequence[SessionFrame], Sequence[SessionFrame]]:
        """Return the presses of a class in a session that teaches it, and the other frames."""
        frames = session.frames[label]
        drawn = [frames[row] for row in self._random(session, label).permutation(len(frames)).tolist()]
        count = press_count(session, label, self.shots)
        return drawn[:count], drawn[count:]

    def _random(self, session: Session, label: str) -> np.random.Generator:
        """Return a generator that depends on names, not on the plan: all plans have the same presses."""
        return np.random.default_rng([self.seed, *f"{session.name}/{label}".encode()])


def _reference_count(session: Session) -> int:
    return min(SCENE_REFERENCE, (len(session.scene) + 1) // 2)


def _cut(frames: Sequence[SessionFrame]) -> Iterator[Sequence[SessionFrame]]:
    for start in range(0, len(frames), RUN_FRAMES):
        yield frames[start : start + RUN_FRAMES]


def _where(label: str | None, own: Sequence[str], held_out: str | None) -> Where | None:
    """Return the kind of a query in a session that teaches the labels `own`; None if it does not count."""
    if held_out is not None:
        if label != held_out:
            return None
        return "strangers_same" if own else "strangers_across"
    if label is None:
        return "scene"
    return "same" if label in own else "across"
