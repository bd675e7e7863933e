"""Simulated conveyor belt through the real pipeline on a manual clock, with counts of events and labels."""

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
"""Frames of the empty belt at the start, which train the background model."""

_JITTER = (0, -1, 1)
"""Offsets of the presses from the middle of an interval, in frames: a person does not press to the frame."""

_UNKNOWN_EVERY = 5
_FIRST_TEST_VARIATION = 10_000


@dataclass(frozen=True, slots=True)
class BeltPlan:
    """Train each label on `presses` objects, then test with `objects`, of which every fifth is unknown."""

    labels: tuple[str, ...]
    objects: int
    speed: float
    presses: int = 8
    fps: float = 15.0
    size: tuple[int, int] = (640, 480)
    seed: int = 7


@dataclass(slots=True)
class BeltTally:
    """Events and ground truth of the test phase; `step_s` are wall times of the machine."""

    plan: BeltPlan
    intervals: Sequence[GroundTruthInterval]
    events: list[ObjectPassed] = field(default_factory=list)
    frames: int = 0
    embedded: int = 0
    step_s: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, object]:
        """Return the counts; `latency_ms` is in simulated time, without the model's."""
        found = [(interval.kind, self._events_of(interval)) for interval in self.intervals]
        known = [(kind, events) for kind, events in found if kind in self.plan.labels]
        unknown = [events for kind, events in found if kind not in self.plan.labels]
        latencies = [event.latency_ms for event in self.events]
        return {
            "speed": self.plan.speed,
            "seed": self.plan.seed,
            "presses": self.plan.presses,
            "objects": len(found),
            "events": len(self.events),
            "missed": sum(not events for _, events in found),
            "duplicated": sum(len(events) > 1 for _, events in found),
            "false_events": len(self.events) - sum(len(events) for _, events in found),
            "known": len(known),
            "known_correct": sum([event.label for event in events] == [kind] for kind, events in known),
            "unknown": len(unknown),
            "unknown_correct": sum([event.label for event in events] == [UNKNOWN] for events in unknown),
            "wrong": [f"{kind} as {e.label}" for kind, events in known for e in events if e.label != kind],
            "frames": self.frames,
            "embedded": self.embedded,
            "step_ms": round(statistics.fmean(self.step_s) * 1000, 2),
            "latency_ms": round(statistics.median(latencies), 1) if latencies else None,
        }

    def _events_of(self, interval: GroundTruthInterval) -> list[ObjectPassed]:
        return [event for event in self.events if interval.first <= event.seq < interval.end]


class BeltRun:
    """Run source and pipeline of `config` frame by frame, without threads and without waiting."""

    def __init__(self, config: Config, plan: BeltPlan) -> None:
        self._clock = ManualClock()
        options = SyntheticOptions(
            scene="belt", size=plan.size, fps=plan.fps, seed=plan.seed, belt_speed=plan.speed
        )
        training, test = _segments(plan)
        self._source = SyntheticSource(options, self._clock, [*training, *test], sleep=self._clock.sleep)
        self._training_frames = sum(segment.frames for segment in training)
        self._pipeline = build_pipeline(config, self._clock)
        end = self._training_frames + sum(segment.frames for segment in test)
        intervals = self._source.intervals(end)
        trained = [interval for interval in intervals if interval.first < self._training_frames]
        self._presses = {
            (interval.first + interval.end) // 2 + _JITTER[index % len(_JITTER)]: interval.kind
            for index, interval in enumerate(trained)
        }
        self._tally = BeltTally(plan, intervals[len(trained) :])

    def run(self) -> BeltTally:
        """Run training and test phase; return the counts of the test phase."""
        self._source.open()
        try:
            for seq, events in enumerate(self._steps()):
                if seq >= self._training_frames:
                    self._count(events)
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
            events = list(self._pipeline.process(frame, press))
            self._tally.step_s.append(time.perf_counter() - started_s)
            yield events
            seq += 1

    def _press(self, seq: int) -> Sequence[AddExample]:
        if seq not in self._presses:
            return ()
        return (AddExample(self._presses[seq], self._clock.monotonic(), Origin("gpio", self._presses[seq])),)

    def _count(self, events: Sequence[Event]) -> None:
        self._tally.frames += 1
        for event in events:
            if isinstance(event, ObjectPassed):
                self._tally.events.append(event)
            elif isinstance(event, Classified) and event.embedding is not None:
                self._tally.embedded += 1


def _segments(plan: BeltPlan) -> tuple[list[Segment], list[Segment]]:
    from edge_daemon.camera.simulator.objects import KINDS
    from edge_daemon.camera.simulator.scenes import travel_frames

    frames = travel_frames(plan.size, plan.speed * plan.size[0] / plan.fps)
    rng = random.Random(plan.seed)
    unknown = [kind for kind in KINDS if kind not in plan.labels]
    trained = [kind for kind in plan.labels for _ in range(plan.presses)]
    training = [Segment(kind, frames, index) for index, kind in enumerate(trained)]
    tested = [
        rng.choice(unknown if index % _UNKNOWN_EVERY == _UNKNOWN_EVERY - 1 else plan.labels)
        for index in range(plan.objects)
    ]
    test = [Segment(kind, frames, _FIRST_TEST_VARIATION + index) for index, kind in enumerate(tested)]
    return [Segment(None, EMPTY_FRAMES), *training], [*test, Segment(None, EMPTY_FRAMES)]
