"""The whole daemon at work, with a broker and a subscriber, beside the bare interpreter loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from edge_daemon.app.build import build
from edge_daemon.app.model_factory import model_path
from edge_daemon.benchmark.listener import ReceivedLabel, listening, read_notes
from edge_daemon.benchmark.sources import LEAD_IN, Camera, Replay, ReplayPass
from edge_daemon.benchmark.statistics import Percentiles, frame_size, percentiles, pictures
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import EdgeError
from edge_daemon.domain.interfaces import FrameSource
from edge_daemon.mqtt.topics import device_topics
from edge_daemon.system.clock import SystemClock
from edge_daemon.tflite.embedder import baseline_loop

ROUNDS = 6
FASTER = 1.3
"""By so much the camera outruns the daemon while the age of labels is measured."""
LEAST_S = 1.0
"""So long that camera films at least; a busy machine may keep the daemon waiting for a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Milliseconds for each frame, medians over rounds that take turns with the bare loop."""

    frame_ms: float
    frame_cpu_ms: float
    bare_ms: float
    bare_cpu_ms: float

    @property
    def ratio(self) -> float:
        """How much longer a frame takes than the bare interpreter."""
        return self.frame_ms / self.bare_ms

    @property
    def cpu_ratio(self) -> float:
        """How much more processor time a frame takes, in all threads."""
        return self.frame_cpu_ms / self.bare_cpu_ms


@dataclass(frozen=True, slots=True)
class FrameAges:
    """From a frame's capture to its label, and to a subscriber, of so many frames that it heard of."""

    labelled: Percentiles
    received: Percentiles
    frames: int


def measure_throughput(config: Config, folder: Path, frames: int) -> Throughput:
    """Replay raw frames as fast as they are consumed."""
    bare = baseline_loop(model_path(config), config.model.threads, config.model.delegate)
    shown = pictures(frame_size(config))
    film: list[Replay] = []

    def open_film(ready: Callable[[], bool]) -> FrameSource:
        film.append(Replay(SystemClock(), shown, bare, max(frames // ROUNDS, 2), ROUNDS, ready))
        return film[0]

    _play(config, folder, open_film)
    return Throughput(
        _middle(film[0].whole, lambda each: each.wall_s),
        _middle(film[0].whole, lambda each: each.cpu_s),
        _middle(film[0].bare, lambda each: each.wall_s),
        _middle(film[0].bare, lambda each: each.cpu_s),
    )


def measure_ages(config: Config, folder: Path, frames: int, frame_ms: float) -> FrameAges:
    """Run with a camera that is faster than the daemon. Needs a broker."""
    fps = FASTER * 1000 / frame_ms
    count = max(frames, round(fps * LEAST_S))
    shown = pictures(frame_size(config))
    return ages_of(_play(config, folder, lambda ready: Camera(SystemClock(), shown, fps, count, ready)))


def ages_of(heard: list[ReceivedLabel]) -> FrameAges:
    """Sum up what a subscriber heard after the lead-in. Raises EdgeError when that is nothing."""
    late = heard[LEAD_IN:]
    if not late:
        raise EdgeError(
            f"the subscriber heard {len(heard)} labels, and the first {LEAD_IN} do not count; "
            "the machine is busy: try again, or with more --frames"
        )
    return FrameAges(
        percentiles([each.label_ms for each in late]),
        percentiles([each.received_ms for each in late]),
        len(late),
    )


def _play(
    config: Config, folder: Path, open_source: Callable[[Callable[[], bool]], FrameSource]
) -> list[ReceivedLabel]:
    """Run the daemon to the source's end; return what a subscriber heard."""
    if config.mqtt.host is None:
        build(config, once=True, source=open_source(lambda: True)).run()
        return []
    device = config.device.topic_id
    topic = device_topics(config.mqtt.base_topic, device, ("frame",)).result("frame")
    notes = folder / "heard.jsonl"
    with listening(config.mqtt, topic, notes):
        build(config, once=True, source=open_source(lambda: notes.stat().st_size > 0)).run()
    return read_notes(notes)


def _middle(passes: list[ReplayPass], value: Callable[[ReplayPass], float]) -> float:
    return median(value(each) for each in passes) * 1000
