"""When an object is before the camera, and when it has passed: each object gives exactly one event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge_daemon.domain.commands import Trigger
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.events import CommandReply, ObjectPassed
from edge_daemon.domain.types import UNKNOWN, Frame, Prediction

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image
    from edge_daemon.imaging.motion import MotionDetector


@dataclass(frozen=True, slots=True)
class VoteResult:
    """What a ballot says: `confidence` is the label's share of the vote, 0 for unknown.

    `best` is the frame that shows the object best, out of `frames`.
    """

    label: str
    confidence: float
    best: Frame
    frames: int


class VoteAggregator:
    """Adds up votes, each weighted by how well the object is seen (`clarity`) and how sure the head is.

    A frame on which the object is rejected votes for `unknown` with a whole voice. Clarity keeps the
    frames from counting on which an object comes in or leaves, half in view, and looks like nothing taught.
    """

    def __init__(self) -> None:
        self._votes: dict[str, float] = {}
        self._best: Frame | None = None
        self._best_rank = (0.0, 0.0)
        self.frames = 0

    def add(self, frame: Frame, prediction: Prediction, clarity: float) -> None:
        """Take one frame's prediction; `clarity` is above 0 and at most 1."""
        sure = 1.0 if prediction.label == UNKNOWN else prediction.confidence
        self._votes[prediction.label] = self._votes.get(prediction.label, 0.0) + clarity * sure
        self.frames += 1
        rank = (clarity, prediction.confidence)
        if self._best is None or rank > self._best_rank:
            self._best, self._best_rank = frame, rank

    def outcome(self) -> VoteResult | None:
        """Return what the frames say; None when there were none."""
        if self._best is None:
            return None
        label = max(self._votes, key=self._votes.__getitem__)
        share = 0.0 if label == UNKNOWN else self._votes[label] / sum(self._votes.values())
        return VoteResult(label, share, self._best, self.frames)


MAX_WAITING = 16
_WAITS_S = 5.0
_CENTRED_POWER = 2
_SHARPNESS = 3
_LEAST_CLARITY = 1e-9
_GONE = 0.5
"""Of the share that makes an object be there: below so much of it the object is gone."""


class ObjectTracker(Protocol):
    """Tells objects apart in one region. Pure; every call comes from the pipeline thread.

    The caller brings each frame to `look`, classifies it if an object is there, brings the prediction to
    `vote`, and takes what has passed with `finished`.
    """

    def look(self, image: Image, frame: Frame) -> float:
        """Return how well an object is seen in the region's picture, 0 to 1; 0 when there is none."""

    def vote(self, frame: Frame, prediction: Prediction, clarity: float) -> None:
        """Take the prediction for the object of this frame."""

    def finished(self, now: float) -> list[ObjectPassed | CommandReply]:
        """Return the objects that have passed by `now` (monotonic), and answers to their triggers."""

    def trigger(self, command: Trigger) -> None:
        """Take the word that an object is there. Raises RequestError where that is not asked for."""

    def interrupt(self, now: float) -> list[ObjectPassed | CommandReply]:
        """End the present object: the camera was lost, or looks elsewhere."""


class MotionGate:
    """Watches the zone in the middle of a region: what covers it without a gap is one object.

    An object is there once it covers `foreground` of the zone, and gone below half of that. A thing in
    one piece covers every line across its way from its first edge to its last, so it can't count twice;
    two things count as two when the gap between them is wider than the zone. One that stops is one.
    """

    def __init__(self, region: str, detector: MotionDetector, foreground: float) -> None:
        self._region = region
        self._detector = detector
        self._foreground = foreground
        self._ballot: VoteAggregator | None = None
        self._passed: list[VoteAggregator] = []

    def look(self, image: Image, frame: Frame) -> float:
        """Return how much of the region the object fills and how near it is to the middle.

        The power is steep: things are taught in the middle, and farther out are often taken for unknown.
        """
        seen = self._detector.update(image, frame.captured_s)
        least = self._foreground if self._ballot is None else self._foreground * _GONE
        if seen is None or seen.gate_share < least:
            self._close()
            return 0.0
        self._ballot = self._ballot or VoteAggregator()
        centred: float = max(0.0, 1 - 2 * abs(seen.object_middle - 0.5)) ** _CENTRED_POWER
        return max((centred * seen.object_share) ** _SHARPNESS, _LEAST_CLARITY)

    def vote(self, frame: Frame, prediction: Prediction, clarity: float) -> None:
        """Take the prediction for the object of this frame."""
        if self._ballot is not None:
            self._ballot.add(frame, prediction, clarity)

    def finished(self, now: float) -> list[ObjectPassed | CommandReply]:
        """Return the objects that have left the zone."""
        passed, self._passed = self._passed, []
        return [event for ballot in passed for event in _passed(self._region, ballot, now)]

    def trigger(self, command: Trigger) -> None:
        """Refuse: the picture says when an object is there."""
        raise RequestError(
            "this device sees objects come by itself; set `trigger: gpio` or `mqtt` to tell it"
        )

    def interrupt(self, now: float) -> list[ObjectPassed | CommandReply]:
        """End the present object and learn the scene anew."""
        self._close()
        self._detector.reset()
        return self.finished(now)

    def _close(self) -> None:
        if self._ballot is not None:
            self._passed.append(self._ballot)
            self._ballot = None


class TriggerWindow:
    """Each trigger is one object: the frames captured within `window_s` after it, or until the next one.

    At least one frame is taken, however late it comes; without any for 5 s the trigger is answered with
    an error. The frames count alike.
    """

    def __init__(self, region: str, window_s: float) -> None:
        self._region = region
        self._window_s = window_s
        self._open: list[tuple[Trigger, VoteAggregator]] = []

    def look(self, image: Image, frame: Frame) -> float:
        """Return 1 for a frame that belongs to a trigger, else 0."""
        return 1.0 if self._ballots(frame.captured_s) else 0.0

    def vote(self, frame: Frame, prediction: Prediction, clarity: float) -> None:
        """Take the prediction for the object of this frame."""
        for ballot in self._ballots(frame.captured_s):
            ballot.add(frame, prediction, clarity)

    def finished(self, now: float) -> list[ObjectPassed | CommandReply]:
        """Return the objects whose time is over, in the order of their triggers."""
        over = [index for index in range(len(self._open)) if self._is_over(index, now)]
        done = [self._open[index] for index in over]
        self._open = [pair for index, pair in enumerate(self._open) if index not in over]
        return [event for command, ballot in done for event in _answered(self._region, command, ballot, now)]

    def trigger(self, command: Trigger) -> None:
        """Await an object from `command.pressed_s` on."""
        if len(self._open) >= MAX_WAITING:
            raise RequestError("too many triggers are waiting for a frame")
        self._open.append((command, VoteAggregator()))

    def interrupt(self, now: float) -> list[ObjectPassed | CommandReply]:
        """End every object that was seen; other triggers go on waiting for a frame."""
        seen = [pair for pair in self._open if pair[1].frames]
        self._open = [pair for pair in self._open if not pair[1].frames]
        return [event for command, ballot in seen for event in _answered(self._region, command, ballot, now)]

    def _ballots(self, captured_s: float) -> list[VoteAggregator]:
        """Return the ballot of the latest trigger before the frame, and those that have no frame yet."""
        before = [(command, ballot) for command, ballot in self._open if command.pressed_s < captured_s]
        found = [ballot for _, ballot in before if not ballot.frames]
        if before:
            command, ballot = before[-1]
            if ballot.frames and captured_s <= command.pressed_s + self._window_s:
                found.append(ballot)
        return found

    def _is_over(self, index: int, now: float) -> bool:
        command, ballot = self._open[index]
        if not ballot.frames:
            return now - command.pressed_s > _WAITS_S
        later = any(other.frames for _, other in self._open[index + 1 :])
        return later or now > command.pressed_s + self._window_s


def _answered(
    region: str, command: Trigger, ballot: VoteAggregator, now: float
) -> list[ObjectPassed | CommandReply]:
    if not ballot.frames:
        return [CommandReply(command, error="no frame came in time for the trigger")]
    events: list[ObjectPassed | CommandReply] = []
    for event in _passed(region, ballot, now):
        data = {
            "label": event.label,
            "confidence": event.confidence,
            "seq": event.seq,
            "frames": event.frames,
        }
        events += [event, CommandReply(command, data=data)]
    return events


def _passed(region: str, ballot: VoteAggregator, now: float) -> list[ObjectPassed]:
    outcome = ballot.outcome()
    if outcome is None:
        return []
    latency_ms = (now - outcome.best.captured_s) * 1000
    best = outcome.best
    return [
        ObjectPassed(
            region, outcome.label, outcome.confidence, outcome.frames, best.seq, best.captured_at, latency_ms
        )
    ]
