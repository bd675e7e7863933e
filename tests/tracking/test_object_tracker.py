"""Object trackers: exactly one event per object, by motion and by triggers."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.domain.commands import Origin, Trigger
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.events import CommandReply, ObjectPassed
from edge_daemon.domain.types import UNKNOWN, Frame, Interpolation, Prediction
from edge_daemon.imaging.motion import WARMUP_FRAMES, MotionDetector
from edge_daemon.tracking.object_tracker import (
    MAX_NUMBERS,
    MAX_WAITING,
    MotionGate,
    ObjectTracker,
    TriggerWindow,
    VoteAggregator,
)

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

PERIOD_S = 0.1
WAIT_S = 5.0
NUT = Prediction("nut", {"nut": 1.0}, 0.9)
Spans = Sequence[tuple[float, float]]


class Belt:
    """Passes grey pictures with white blocks to a tracker, and adds a vote for each visible object."""

    def __init__(self, tracker: ObjectTracker) -> None:
        self.tracker = tracker
        self.now = 10.0
        self.seq = 0
        self.voted: list[int] = []
        self.events: list[ObjectPassed | CommandReply] = []

    def show(self, *spans: tuple[float, float], prediction: Prediction = NUT) -> None:
        """Show a frame on which blocks cover these stretches of the width."""
        self.now += PERIOD_S
        self.seq += 1
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now)
        frame = Frame(_picture(spans), self.seq, self.now, at)
        visibility = self.tracker.update(frame.image, frame)
        if visibility:
            self.voted.append(self.seq)
            self.tracker.add_vote(frame, prediction, visibility)
        self.events += self.tracker.pop_finished(self.now, WAIT_S)

    def run(self, *starts: float, length: float = 0.3, step: float = 0.05, frames: int = 40) -> None:
        """Move blocks from these positions to the right."""
        for index in range(frames):
            places = [start + index * step for start in starts]
            self.show(*((place, place + length) for place in places))

    @property
    def objects(self) -> list[ObjectPassed]:
        return [event for event in self.events if isinstance(event, ObjectPassed)]


def _picture(spans: Spans) -> Image:
    picture = np.full((60, 80, 3), 90, np.uint8)
    for start, end in spans:
        picture[15:45, max(0, round(start * 80)) : max(0, round(end * 80))] = 230
    return picture


@pytest.fixture
def belt() -> Belt:
    belt = Belt(MotionGate("frame", MotionDetector(zone=0.1), 0.05))
    for _ in range(WARMUP_FRAMES):
        belt.show()
    return belt


def test_an_object_gives_one_event_with_the_frame_in_the_middle(belt: Belt) -> None:
    belt.run(-0.3)
    (prediction_of,) = belt.objects
    centred = WARMUP_FRAMES + 1 + round((0.5 - 0.15 + 0.3) / 0.05)
    assert (prediction_of.label, prediction_of.confidence, prediction_of.seq) == ("nut", 1.0, centred)
    left_gate = (0.55 - 0.35) / 0.05
    assert prediction_of.latency_ms == pytest.approx(left_gate * PERIOD_S * 1000, abs=150)


def test_only_frames_with_an_object_in_the_zone_are_classified(belt: Belt) -> None:
    belt.run(-0.3)
    (prediction_of,) = belt.objects
    assert prediction_of.frames == len(belt.voted) == pytest.approx((0.3 + 0.1) / 0.05, abs=1)


@pytest.mark.parametrize("step", [0.02, 0.05, 0.15])
def test_two_objects_close_behind_each_other_are_two(belt: Belt, step: float) -> None:
    belt.run(-0.3, -0.3 - 0.3 - 0.1 - step, step=step, frames=round(2.2 / step))
    assert len(belt.objects) == 2


def test_each_of_two_close_objects_has_its_best_frame(belt: Belt) -> None:
    belt.run(-0.3, -0.75, frames=50)
    one, two = belt.objects
    assert two.seq - one.seq == pytest.approx(0.45 / 0.05, abs=1)


def test_an_object_that_stops_is_one(belt: Belt) -> None:
    belt.run(-0.3, frames=14)
    for _ in range(600):
        belt.show((0.35, 0.65))
    assert belt.objects == []
    belt.run(0.35, frames=20)
    assert len(belt.objects) == 1


def test_an_object_that_moves_back_and_forth_in_the_zone_is_one(belt: Belt) -> None:
    belt.run(-0.3, frames=14)
    for index in range(60):
        shift = 0.1 * (index % 3)
        belt.show((0.3 + shift, 0.6 + shift))
    belt.run(0.4, frames=20)
    assert len(belt.objects) == 1


def test_there_is_no_object_during_the_warmup() -> None:
    belt = Belt(MotionGate("frame", MotionDetector(), 0.05))
    for _ in range(WARMUP_FRAMES):
        belt.show((0.4, 0.6))
    assert belt.voted == []


def test_an_aborted_object_has_its_event_at_once(belt: Belt) -> None:
    belt.run(-0.3, frames=14)
    (prediction_of,) = belt.tracker.abort(belt.now)
    assert isinstance(prediction_of, ObjectPassed)
    assert belt.tracker.abort(belt.now) == []


def test_a_motion_gate_refuses_triggers() -> None:
    with pytest.raises(RequestError, match="gpio"):
        MotionGate("frame", MotionDetector(), 0.05).trigger(Trigger(1.0, Origin("mqtt")))


class Beam(Belt):
    """A belt with a light barrier that triggers."""

    def __init__(self) -> None:
        super().__init__(TriggerWindow("frame", window_s=0.35))

    def broken(self, name: str = "beam") -> Trigger:
        command = Trigger(self.now, Origin("gpio", name))
        self.tracker.trigger(command)
        return command

    @property
    def replies(self) -> list[CommandReply]:
        return [event for event in self.events if isinstance(event, CommandReply)]


def test_a_trigger_is_one_object_of_the_frames_in_its_window() -> None:
    belt = Beam()
    belt.show()
    command = belt.broken()
    for _ in range(8):
        belt.show()
    (prediction_of,) = belt.objects
    assert belt.voted == [2, 3, 4]
    assert (prediction_of.frames, prediction_of.label) == (3, "nut")
    (reply,) = belt.replies
    assert (reply.command, reply.error) == (command, None)
    assert reply.data["label"] == "nut"


def test_without_a_trigger_no_frame_is_classified() -> None:
    belt = Beam()
    for _ in range(20):
        belt.show()
    assert (belt.voted, belt.events) == ([], [])


def test_the_next_trigger_ends_the_object_before() -> None:
    belt = Beam()
    belt.broken("first")
    belt.show()
    belt.show()
    belt.broken("second")
    for _ in range(6):
        belt.show()
    assert [event.frames for event in belt.objects] == [2, 3]
    assert [reply.command.origin.name for reply in belt.replies] == ["first", "second"]


def test_two_triggers_between_two_frames_are_two_objects() -> None:
    belt = Beam()
    belt.broken("first")
    belt.now += 0.01
    belt.broken("second")
    for _ in range(6):
        belt.show()
    assert sorted(event.frames for event in belt.objects) == [1, 3]


def test_a_late_frame_still_counts_for_a_trigger() -> None:
    belt = Beam()
    belt.broken()
    belt.now += 1.0
    belt.show()
    assert [event.frames for event in belt.objects] == [1]


def test_a_trigger_without_a_frame_gets_an_error_reply() -> None:
    belt = Beam()
    command = belt.broken()
    assert belt.tracker.pop_finished(belt.now + WAIT_S - 0.1, WAIT_S) == []
    (reply,) = belt.tracker.pop_finished(belt.now + WAIT_S + 0.1, WAIT_S)
    assert isinstance(reply, CommandReply)
    assert reply.command == command
    assert "no frame" in str(reply.error)


def test_a_flood_of_triggers_is_refused() -> None:
    belt = Beam()
    for _ in range(MAX_WAITING):
        belt.broken()
    with pytest.raises(RequestError, match="too many"):
        belt.broken()


def _frame(seq: int) -> Frame:
    return Frame(np.zeros((1, 1, 3), np.uint8), seq, float(seq), datetime(2026, 1, 1, tzinfo=UTC))


def _votes(*frames: tuple[str, float, float]) -> VoteAggregator:
    aggregator = VoteAggregator()
    for seq, (label, confidence, visibility) in enumerate(frames):
        confidences = {} if label == UNKNOWN else {label: confidence}
        aggregator.add(_frame(seq), Prediction(label, confidences, 0.9), visibility)
    return aggregator


def test_without_a_frame_there_is_no_result() -> None:
    assert VoteAggregator().result() is None


def test_one_centred_frame_outvotes_several_at_the_edge() -> None:
    result = _votes(("nut", 1.0, 0.05), ("bolt", 1.0, 0.5), ("nut", 1.0, 0.05)).result()
    assert result is not None
    assert (result.label, result.frames, result.best.seq) == ("bolt", 3, 1)
    assert result.confidence == pytest.approx(0.5 / 0.6)


def test_a_confident_frame_outvotes_a_less_confident_one() -> None:
    result = _votes(("nut", 0.4, 0.5), ("bolt", 0.9, 0.5)).result()
    assert result is not None
    assert result.label == "bolt"


def test_an_object_rejected_in_most_frames_is_unknown_with_confidence_zero() -> None:
    result = _votes(*[(UNKNOWN, 0.0, 0.5)] * 5, ("nut", 1.0, 0.5)).result()
    assert result is not None
    assert (result.label, result.confidence) == (UNKNOWN, 0.0)


def test_an_object_rejected_only_at_the_edges_keeps_its_label() -> None:
    result = _votes((UNKNOWN, 0, 0.1), ("nut", 1.0, 0.5), (UNKNOWN, 0, 0.2)).result()
    assert result is not None
    assert result.label == "nut"


def test_the_most_confident_of_equally_visible_frames_is_the_best() -> None:
    result = _votes(("nut", 0.5, 1.0), ("nut", 0.9, 1.0), ("nut", 0.7, 1.0)).result()
    assert result is not None
    assert result.best.seq == 1


@pytest.mark.parametrize(
    ("unknown", "label", "confidence"), [(0, "34", 0.8), (3, "34", 0.4), (4, UNKNOWN, 0.0)]
)
def test_the_number_of_an_object_is_the_median_of_its_frames(
    unknown: int, label: str, confidence: float
) -> None:
    votes = VoteAggregator()
    frame = Frame(_picture([]), 1, 10.0, datetime(2026, 1, 1, tzinfo=UTC))
    for value in (33.9, 34.0, 78.0):
        found = Interpolation(value, 0.8)
        votes.add(frame, Prediction(found.label, {"30": 1.0}, 0.9, interpolation=found), 1.0)
    for _ in range(unknown):
        votes.add(frame, Prediction(UNKNOWN, {"30": 1.0}, 0.1), 1.0)
    result = votes.result()
    assert result is not None
    assert result.label == label
    assert result.confidence == pytest.approx(confidence)


def test_an_object_that_never_leaves_takes_no_more_memory() -> None:
    votes = VoteAggregator()
    frame = Frame(_picture([]), 1, 10.0, datetime(2026, 1, 1, tzinfo=UTC))
    reading = Prediction("5", {"5": 1.0}, 0.9, interpolation=Interpolation(5.0, 0.5))
    for _ in range(MAX_NUMBERS):
        votes.add(frame, reading, 1.0)
    tracemalloc.start()
    for _ in range(4 * MAX_NUMBERS):
        votes.add(frame, reading, 1.0)
    grown_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown_bytes < 200 * MAX_NUMBERS
    result = votes.result()
    assert result is not None
    assert (result.label, result.frames) == ("5", 5 * MAX_NUMBERS)
    assert result.confidence == pytest.approx(0.5)


@pytest.mark.parametrize("lag_s", [0.0, 0.04, 0.3, 0.9])
def test_frames_of_a_window_that_are_processed_late_vote_too(lag_s: float) -> None:
    window = TriggerWindow("region", 0.3)
    window.trigger(Trigger(10.0, Origin("mqtt", "trigger", 1)))
    found: list[ObjectPassed | CommandReply] = []
    votes = {10.05: "nut", 10.15: "bolt", 10.25: "bolt", 10.35: "nut"}
    for number, (captured_s, label) in enumerate(votes.items()):
        frame = Frame(_picture([]), number, captured_s, datetime(2026, 1, 1, tzinfo=UTC))
        if window.update(frame.image, frame):
            window.add_vote(frame, Prediction(label, {label: 1.0}, 0.9), 1.0)
        found += window.pop_finished(captured_s + lag_s, WAIT_S)
    event = found[0]
    assert isinstance(event, ObjectPassed)
    assert (event.label, event.frames) == ("bolt", 3)
