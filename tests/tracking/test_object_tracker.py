"""Exactly one event for each object: by motion, and by triggers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.domain.commands import Origin, Trigger
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.events import CommandReply, ObjectPassed
from edge_daemon.domain.types import Frame, Prediction
from edge_daemon.imaging.motion import LEARN_FRAMES, MotionDetector
from edge_daemon.tracking.object_tracker import MAX_WAITING, MotionGate, ObjectTracker, TriggerWindow

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

PERIOD_S = 0.1
NUT = Prediction("nut", {"nut": 1.0}, 0.9)
Spans = Sequence[tuple[float, float]]


class Belt:
    """Shows grey pictures with white blocks to a passage and votes for whatever it asks about."""

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
        self.events += self.tracker.pop_finished(self.now)

    def run(self, *starts: float, length: float = 0.3, step: float = 0.05, frames: int = 40) -> None:
        """Let blocks travel from these places to the right."""
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
    for _ in range(LEARN_FRAMES):
        belt.show()
    return belt


def test_an_object_gives_one_event_with_the_frame_that_shows_it_in_the_middle(belt: Belt) -> None:
    belt.run(-0.3)
    (seen,) = belt.objects
    centred = LEARN_FRAMES + 1 + round((0.5 - 0.15 + 0.3) / 0.05)
    assert (seen.label, seen.confidence, seen.seq) == ("nut", 1.0, centred)
    left_gate = (0.55 - 0.35) / 0.05
    assert seen.latency_ms == pytest.approx(left_gate * PERIOD_S * 1000, abs=150)


def test_only_frames_with_an_object_at_the_gate_are_asked_about(belt: Belt) -> None:
    belt.run(-0.3)
    (seen,) = belt.objects
    assert seen.frames == len(belt.voted) == pytest.approx((0.3 + 0.1) / 0.05, abs=1)


@pytest.mark.parametrize("step", [0.02, 0.05, 0.15])
def test_two_objects_close_behind_each_other_are_two(belt: Belt, step: float) -> None:
    belt.run(-0.3, -0.3 - 0.3 - 0.1 - step, step=step, frames=round(2.2 / step))
    assert len(belt.objects) == 2


def test_both_of_two_close_objects_have_a_best_frame_of_their_own(belt: Belt) -> None:
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


def test_an_object_that_rocks_within_the_gate_is_one(belt: Belt) -> None:
    belt.run(-0.3, frames=14)
    for index in range(60):
        shift = 0.1 * (index % 3)
        belt.show((0.3 + shift, 0.6 + shift))
    belt.run(0.4, frames=20)
    assert len(belt.objects) == 1


def test_nothing_is_an_object_while_the_scene_is_learnt() -> None:
    belt = Belt(MotionGate("frame", MotionDetector(), 0.05))
    for _ in range(LEARN_FRAMES):
        belt.show((0.4, 0.6))
    assert belt.voted == []


def test_an_interrupted_object_gets_its_event_at_once(belt: Belt) -> None:
    belt.run(-0.3, frames=14)
    (seen,) = belt.tracker.abort(belt.now)
    assert isinstance(seen, ObjectPassed)
    assert belt.tracker.abort(belt.now) == []


def test_a_trigger_means_nothing_where_motion_tells() -> None:
    with pytest.raises(RequestError, match="gpio"):
        MotionGate("frame", MotionDetector(), 0.05).trigger(Trigger(1.0, Origin("mqtt")))


class Beam(Belt):
    """A belt whose light barrier is broken now and then."""

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
    (seen,) = belt.objects
    assert belt.voted == [2, 3, 4]
    assert (seen.frames, seen.label) == (3, "nut")
    (reply,) = belt.replies
    assert (reply.command, reply.error) == (command, None)
    assert reply.data["label"] == "nut"


def test_without_a_trigger_no_frame_is_asked_about() -> None:
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


def test_a_late_frame_still_answers_a_trigger() -> None:
    belt = Beam()
    belt.broken()
    belt.now += 1.0
    belt.show()
    assert [event.frames for event in belt.objects] == [1]


def test_a_trigger_without_any_frame_is_answered_with_an_error() -> None:
    belt = Beam()
    command = belt.broken()
    assert belt.tracker.pop_finished(belt.now + 4.9) == []
    (reply,) = belt.tracker.pop_finished(belt.now + 5.1)
    assert isinstance(reply, CommandReply)
    assert reply.command == command
    assert "no frame" in str(reply.error)


def test_a_flood_of_triggers_is_refused() -> None:
    belt = Beam()
    for _ in range(MAX_WAITING):
        belt.broken()
    with pytest.raises(RequestError, match="too many"):
        belt.broken()
