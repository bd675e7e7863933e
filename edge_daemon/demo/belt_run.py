"""A drawn belt past the real pipeline, by a clock turned by hand: what was counted and named right."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from edge_daemon.app.build import build_pipeline
from edge_daemon.camera.simulator.source import SyntheticSource
from edge_daemon.camera.simulator.timeline import GroundTruthInterval, Segment
from edge_daemon.config.camera import SyntheticOptions
from edge_daemon.config.schema import Config
from edge_daemon.domain.commands import AddExample, Origin
from edge_daemon.domain.events import Classified, Event, ObjectPassed
from edge_daemon.domain.types import UNKNOWN
from edge_daemon.system.testing import ManualClock

EMPTY_FRAMES = 30
"""The belt runs empty at the start, while the background is learnt."""

_JITTER = (0, -1, 1)
"""Frames by which the presses miss the middle: nobody presses to the frame."""

_STRANGER_EVERY = 5
_FIRST_SHOWN = 10_000


@dataclass(frozen=True, slots=True)
class BeltPlan:
    """Teach each label with a press at each of `presses` passes, then send `objects`, one in 5 a stranger."""

    labels: tuple[str, ...]
    objects: int
    speed: float
    presses: int = 8
    fps: float = 15.0
    size: tuple[int, int] = (640, 480)
    seed: int = 7


@dataclass(slots=True)
class BeltTally:
    """What was counted: `events` of the show, `passages` as they truly were; times of the real machine."""

    plan: BeltPlan
    passages: Sequence[GroundTruthInterval]
    events: list[ObjectPassed] = field(default_factory=list)
    frames: int = 0
    embedded: int = 0
    step_s: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, object]:
        """Return counts and shares; latencies are those of the belt, without the model's time."""
        found = [(passage.kind, self._events_of(passage)) for passage in self.passages]
        known = [(kind, events) for kind, events in found if kind in self.plan.labels]
        strangers = [events for kind, events in found if kind not in self.plan.labels]
        latencies = [event.latency_ms for event in self.events]
        return {
            "speed": self.plan.speed,
            "seed": self.plan.seed,
            "presses": self.plan.presses,
            "objects": len(found),
            "events": len(self.events),
            "missed": sum(not events for _, events in found),
            "doubled": sum(len(events) > 1 for _, events in found),
            "phantoms": len(self.events) - sum(len(events) for _, events in found),
            "known": len(known),
            "known_right": sum([event.label for event in events] == [kind] for kind, events in known),
            "strangers": len(strangers),
            "strangers_unknown": sum([event.label for event in events] == [UNKNOWN] for events in strangers),
            "wrong": [f"{kind} as {e.label}" for kind, events in known for e in events if e.label != kind],
            "frames": self.frames,
            "embedded": self.embedded,
            "step_ms": round(statistics.fmean(self.step_s) * 1000, 2),
            "latency_ms": round(statistics.median(latencies), 1) if latencies else None,
        }

    def _events_of(self, passage: GroundTruthInterval) -> list[ObjectPassed]:
        return [event for event in self.events if passage.first <= event.seq < passage.end]


class BeltRun:
    """Drives source and pipeline of `config` frame by frame, without a thread or a wait."""

    def __init__(self, config: Config, plan: BeltPlan) -> None:
        self._clock = ManualClock()
        options = SyntheticOptions(
            scene="belt", size=plan.size, fps=plan.fps, seed=plan.seed, belt_speed=plan.speed
        )
        lesson, show = _showings(plan)
        self._source = SyntheticSource(options, self._clock, [*lesson, *show], sleep=self._clock.sleep)
        self._lesson_end = sum(showing.frames for showing in lesson)
        self._pipeline = build_pipeline(config, self._clock)
        end = self._lesson_end + sum(showing.frames for showing in show)
        passages = self._source.intervals(end)
        lessons = [passage for passage in passages if passage.first < self._lesson_end]
        self._presses = {
            (passage.first + passage.end) // 2 + _JITTER[index % len(_JITTER)]: passage.kind
            for index, passage in enumerate(lessons)
        }
        self._tally = BeltTally(plan, [passage for passage in passages if passage.first >= self._lesson_end])

    def run(self) -> BeltTally:
        """Teach, show, count."""
        self._source.open()
        try:
            for seq, happened in enumerate(self._steps()):
                if seq >= self._lesson_end:
                    self._count(happened)
        finally:
            self._pipeline.close()
        return self._tally

    def _steps(self) -> Iterator[Sequence[Event]]:
        seq = 0
        while True:
            press = self._press(seq)
            frame = self._source.read()
            if frame is None:
                return
            started_s = time.perf_counter()
            happened = list(self._pipeline.process(frame, press))
            self._tally.step_s.append(time.perf_counter() - started_s)
            yield happened
            seq += 1

    def _press(self, seq: int) -> Sequence[AddExample]:
        if seq not in self._presses:
            return ()
        return (AddExample(self._presses[seq], self._clock.monotonic(), Origin("gpio", self._presses[seq])),)

    def _count(self, happened: Sequence[Event]) -> None:
        self._tally.frames += 1
        for event in happened:
            if isinstance(event, ObjectPassed):
                self._tally.events.append(event)
            elif isinstance(event, Classified) and event.embedding is not None:
                self._tally.embedded += 1


def _showings(plan: BeltPlan) -> tuple[list[Segment], list[Segment]]:
    from edge_daemon.camera.simulator.objects import KINDS
    from edge_daemon.camera.simulator.scenes import travel_frames

    frames = travel_frames(plan.size, plan.speed * plan.size[0] / plan.fps)
    shuffle = random.Random(plan.seed)
    strangers = [kind for kind in KINDS if kind not in plan.labels]
    taught = [kind for kind in plan.labels for _ in range(plan.presses)]
    lesson = [Segment(kind, frames, index) for index, kind in enumerate(taught)]
    shown = [
        shuffle.choice(strangers if index % _STRANGER_EVERY == _STRANGER_EVERY - 1 else plan.labels)
        for index in range(plan.objects)
    ]
    show = [Segment(kind, frames, _FIRST_SHOWN + index) for index, kind in enumerate(shown)]
    return [Segment(None, EMPTY_FRAMES), *lesson], [*show, Segment(None, EMPTY_FRAMES)]
