"""Object tracking: the frames of an object vote, and each object produces exactly one event."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge_daemon.domain.commands import Trigger
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.events import CommandReply, ObjectPassed
from edge_daemon.domain.types import UNKNOWN, Frame, Interpolation, Prediction

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image
    from edge_daemon.imaging.motion import MotionDetector


MAX_WAITING = 16
"""Largest number of triggers whose objects are not finished."""

MAX_NUMBERS = 4096
"""Number of latest numbers in the median of an object, which bounds the memory of one that stays."""

_CENTRED_POWER = 2
"""Exponent of an object's nearness to the middle, in its visibility."""

_SHARPNESS = 3
"""Exponent of the visibility: the frames that show an object best outvote all others."""

_MIN_VISIBILITY = 1e-9
"""Visibility of an object at the edge: above 0, so that it is an object."""

_EXIT_SHARE = 0.5
"""Share of `min_foreground` below which a present object has left the zone."""


@dataclass(frozen=True, slots=True)
class VoteResult:
    """The label of an object; `confidence` is its share of the vote, 0 for unknown.

    `best` is the frame with the largest visibility out of `frames` frames.
    """

    label: str
    confidence: float
    best: Frame
    frames: int


class VoteAggregator:
    """Adds up votes, each weighted by the visibility of the object and the confidence of the prediction.

    Confidences count relative to their mean over the named frames: with few examples all of them are low,
    and a rejected frame, which votes for `unknown`, must not count more than a named one. The weight by
    visibility suppresses the frames in which an object enters or leaves the view, where it is often rejected.
    Interpolated numbers are no classes that could win: the result is their weighted median.
    """

    def __init__(self) -> None:
        self._votes: dict[str, float] = {}
        self._numbers: deque[tuple[float, float]] = deque(maxlen=MAX_NUMBERS)
        self._number_weight = 0.0
        self._named = self._unknown = 0.0
        self._best: Frame | None = None
        self._best_rank = (0.0, 0.0)
        self.frames = 0

    def add(self, frame: Frame, prediction: Prediction, visibility: float) -> None:
        """Add the prediction of one frame; `visibility` is above 0 and at most 1."""
        if prediction.label == UNKNOWN:
            self._unknown += visibility
        else:
            weight = visibility * prediction.confidence
            self._named += visibility
            if prediction.number is None:
                self._votes[prediction.label] = self._votes.get(prediction.label, 0.0) + weight
            else:
                self._numbers.append((prediction.number, weight))
                self._number_weight += weight
        self.frames += 1
        rank = (visibility, prediction.confidence)
        if self._best is None or rank > self._best_rank:
            self._best, self._best_rank = frame, rank

    def result(self) -> VoteResult | None:
        """Return the result of the vote; None without a frame."""
        if self._best is None:
            return None
        if self._numbers:
            return self._number(self._best)
        total = sum(self._votes.values())
        label = max(self._votes, key=self._votes.__getitem__, default=UNKNOWN)
        votes = self._named * self._votes[label] / total if total else 0.0
        if votes < self._unknown or not votes:
            return VoteResult(UNKNOWN, 0.0, self._best, self.frames)
        return VoteResult(label, votes / (self._named + self._unknown), self._best, self.frames)

    def _number(self, best: Frame) -> VoteResult:
        """Return the weighted median of the numbers."""
        weight = self._number_weight
        if self._named < self._unknown or not weight:
            return VoteResult(UNKNOWN, 0.0, best, self.frames)
        confidence = weight / (self._named + self._unknown)
        return VoteResult(
            Interpolation(_weighted_median(self._numbers), confidence).label, confidence, best, self.frames
        )


def _weighted_median(numbers: Collection[tuple[float, float]]) -> float:
    """Return the median of numbers with weights; at least one number."""
    ascending = sorted(numbers)
    passed = itertools.accumulate(weight for _, weight in ascending)
    half = sum(weight for _, weight in ascending) / 2
    return next(value for (value, _), weight in zip(ascending, passed, strict=True) if weight >= half)


class ObjectTracker(Protocol):
    """Separates the objects of one region. Belongs to the pipeline thread.

    The caller passes each frame to `update`, classifies it if an object is present, passes the prediction
    to `add_vote`, and collects the events with `pop_finished`.
    """

    def update(self, image: Image, frame: Frame) -> float:
        """Return the visibility of an object in the region's picture, 0 to 1; 0 without an object."""

    def add_vote(self, frame: Frame, prediction: Prediction, visibility: float) -> None:
        """Add the prediction of the object in this frame."""

    def pop_finished(
        self, now: float, wait_s: float, *, idle: bool = False
    ) -> list[ObjectPassed | CommandReply]:
        """Return the events of the objects that have passed by `now` (monotonic), and replies to triggers.

        A trigger waits at most `wait_s` for a frame. `idle` says that no frame waits to be processed.
        """

    def trigger(self, command: Trigger) -> None:
        """Start an object by a trigger. Raises RequestError for a tracker without triggers."""

    def pop_waiting(self) -> list[Trigger]:
        """Remove and return the triggers that have no frame yet."""

    def abort(self, now: float) -> list[ObjectPassed | CommandReply]:
        """Finish the present object, as after the loss of the camera or a move of the region."""


class MotionGate:
    """Detects objects that pass a zone in the middle of a region: foreground without a gap is one object.

    An object is present from a foreground share of `min_foreground` of the zone until the share falls below
    half of that. A connected object covers every line across its path from its first edge to its last, so
    it is counted once. Two objects are counted as two if the gap between them is wider than the zone. An
    object that stops is one object.
    """

    def __init__(self, region: str, detector: MotionDetector, min_foreground: float) -> None:
        self._region = region
        self._detector = detector
        self._min_foreground = min_foreground
        self._current: VoteAggregator | None = None
        self._passed: list[VoteAggregator] = []

    def update(self, image: Image, frame: Frame) -> float:
        """Return a visibility from the object's share of the region and its distance from the middle.

        Its exponents are large, because objects are taught in the middle and often rejected farther out.
        """
        foreground = self._detector.update(image, frame.captured_s)
        min_share = self._min_foreground if self._current is None else self._min_foreground * _EXIT_SHARE
        if foreground is None or foreground.zone_share < min_share:
            self._close()
            return 0.0
        self._current = self._current or VoteAggregator()
        centred: float = max(0.0, 1 - 2 * abs(foreground.object_position - 0.5)) ** _CENTRED_POWER
        return max((centred * foreground.object_share) ** _SHARPNESS, _MIN_VISIBILITY)

    def add_vote(self, frame: Frame, prediction: Prediction, visibility: float) -> None:
        """Add the prediction of the object in this frame."""
        if self._current is not None:
            self._current.add(frame, prediction, visibility)

    def pop_finished(
        self, now: float, wait_s: float, *, idle: bool = False
    ) -> list[ObjectPassed | CommandReply]:
        """Return the events of the objects that have left the zone."""
        passed, self._passed = self._passed, []
        return [event for votes in passed for event in _passed_events(self._region, votes, now)]

    def trigger(self, command: Trigger) -> None:
        """Raise RequestError: motion starts the objects."""
        raise RequestError(
            "this device detects objects by motion; set `trigger: gpio` or `trigger: mqtt` to trigger it"
        )

    def pop_waiting(self) -> list[Trigger]:
        """Return nothing: motion starts the objects."""
        return []

    def abort(self, now: float) -> list[ObjectPassed | CommandReply]:
        """Finish the present object and relearn the background."""
        self._close()
        self._detector.reset()
        return self.pop_finished(now, 0.0)

    def _close(self) -> None:
        if self._current is not None:
            self._passed.append(self._current)
            self._current = None


class TriggerWindow:
    """Makes one object of each trigger: the frames captured within `window_s` after it, or until the next.

    At least one frame is used, even if it is captured later. Without a frame in time, the reply is an error.
    All frames have the same weight. A window ends with the first frame captured after it: on a busy board
    its own frames may be processed late.
    """

    def __init__(self, region: str, window_s: float) -> None:
        self._region = region
        self._window_s = window_s
        self._seen_s = -math.inf
        self._open: list[tuple[Trigger, VoteAggregator]] = []

    def update(self, image: Image, frame: Frame) -> float:
        """Return 1 for a frame of a trigger, else 0."""
        self._seen_s = frame.captured_s
        return 1.0 if self._receiving(frame.captured_s) else 0.0

    def add_vote(self, frame: Frame, prediction: Prediction, visibility: float) -> None:
        """Add the prediction of the object in this frame."""
        for votes in self._receiving(frame.captured_s):
            votes.add(frame, prediction, visibility)

    def pop_finished(
        self, now: float, wait_s: float, *, idle: bool = False
    ) -> list[ObjectPassed | CommandReply]:
        """Return the events of the objects whose window has ended, in the order of their triggers."""
        finished = [index for index in range(len(self._open)) if self._is_over(index, now, wait_s, idle)]
        finished_pairs = [self._open[index] for index in finished]
        self._open = [pair for index, pair in enumerate(self._open) if index not in finished]
        return [
            event
            for command, votes in finished_pairs
            for event in _reply_events(self._region, command, votes, now)
        ]

    def trigger(self, command: Trigger) -> None:
        """Start an object at `command.pressed_s`. Raises RequestError if too many triggers are waiting."""
        if len(self._open) >= MAX_WAITING:
            raise RequestError("too many triggers are waiting for a frame")
        self._open.append((command, VoteAggregator()))

    def pop_waiting(self) -> list[Trigger]:
        """Remove and return the triggers that have no frame yet."""
        waiting = [command for command, votes in self._open if not votes.frames]
        self._open = [pair for pair in self._open if pair[1].frames]
        return waiting

    def abort(self, now: float) -> list[ObjectPassed | CommandReply]:
        """Finish every object with a frame; the other triggers keep waiting."""
        seen = [pair for pair in self._open if pair[1].frames]
        self._open = [pair for pair in self._open if not pair[1].frames]
        return [
            event for command, votes in seen for event in _reply_events(self._region, command, votes, now)
        ]

    def _receiving(self, captured_s: float) -> list[VoteAggregator]:
        """Return the votes of the latest trigger before the frame, and those without a frame."""
        before = [(command, votes) for command, votes in self._open if command.pressed_s < captured_s]
        receiving = [votes for _, votes in before if not votes.frames]
        if before:
            command, votes = before[-1]
            if votes.frames and captured_s <= command.pressed_s + self._window_s:
                receiving.append(votes)
        return receiving

    def _is_over(self, index: int, now: float, wait_s: float, idle: bool) -> bool:
        command, votes = self._open[index]
        if not votes.frames:
            return now - command.pressed_s > wait_s
        later = any(other.frames for _, other in self._open[index + 1 :])
        end_s = command.pressed_s + self._window_s
        return later or self._seen_s > end_s or (idle and now > end_s)


def _reply_events(
    region: str, command: Trigger, votes: VoteAggregator, now: float
) -> list[ObjectPassed | CommandReply]:
    if not votes.frames:
        return [CommandReply(command, error="no frame came in time for the trigger")]
    events: list[ObjectPassed | CommandReply] = []
    for event in _passed_events(region, votes, now):
        data = {
            "label": event.label,
            "confidence": event.confidence,
            "seq": event.seq,
            "frames": event.frames,
        }
        events += [event, CommandReply(command, data=data)]
    return events


def _passed_events(region: str, votes: VoteAggregator, now: float) -> list[ObjectPassed]:
    result = votes.result()
    if result is None:
        return []
    latency_ms = (now - result.best.captured_s) * 1000
    best = result.best
    return [
        ObjectPassed(
            region, result.label, result.confidence, result.frames, best.seq, best.captured_at, latency_ms
        )
    ]
