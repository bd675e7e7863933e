"""Speed of the whole daemon with a broker and a subscriber, against the baseline loop and one thread."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edge_daemon.app.build import build, build_pipeline
from edge_daemon.app.model_factory import model_path
from edge_daemon.benchmark.listener import ReceivedLabel, read_log, recording
from edge_daemon.benchmark.sources import SETTLE, WARM_UP, Camera, Replay, ReplayPass
from edge_daemon.benchmark.statistics import Percentiles, frame_size, percentiles, pictures
from edge_daemon.camera.frames import make_frame
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import EdgeError
from edge_daemon.domain.interfaces import FrameSource
from edge_daemon.mqtt.topics import device_topics
from edge_daemon.system.clock import SystemClock
from edge_daemon.tflite.embedder import baseline_loop

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image
    from edge_daemon.pipeline.pipeline import Pipeline

ROUNDS = 6
_BASELINE, _ONE_THREAD = "baseline", "one thread"
CAMERA_SPEED_FACTOR = 1.3
"""Camera frame rate, relative to the daemon's, while the age of labels is measured."""
MIN_DURATION_S = 1.0
"""Minimum length of that measurement; on a busy machine the daemon may stall for a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Milliseconds per frame: medians over rounds of the daemon, of the baseline loop and of one thread.

    The one thread copies the pixels of a frame and runs the pipeline, without a broker.
    """

    frame_ms: float
    frame_cpu_ms: float
    baseline_ms: float
    baseline_cpu_ms: float
    one_thread_cpu_ms: float

    @property
    def ratio(self) -> float:
        """Wall time of a frame relative to the baseline."""
        return self.frame_ms / self.baseline_ms

    @property
    def cpu_ratio(self) -> float:
        """CPU time of a frame in all threads, relative to the baseline."""
        return self.frame_cpu_ms / self.baseline_cpu_ms

    @property
    def one_thread_ratio(self) -> float:
        """CPU time of a frame in all threads, relative to the pipeline in one thread without a broker."""
        return self.frame_cpu_ms / self.one_thread_cpu_ms


@dataclass(frozen=True, slots=True)
class FrameAges:
    """Time from a frame's capture to its label, and to a subscriber; `frames` is the number received."""

    labelled: Percentiles
    received: Percentiles
    frames: int


def measure_throughput(config: Config, folder: Path, frames: int) -> Throughput:
    """Replay raw frames as fast as they are consumed."""
    baseline = baseline_loop(model_path(config), config.model.threads, config.model.delegate)
    images = pictures(frame_size(config))
    pipeline = build_pipeline(_with_copied_store(config, folder), SystemClock())
    loops = {_BASELINE: baseline, _ONE_THREAD: _one_thread_loop(pipeline, images)}
    source: list[Replay] = []

    def open_source(received: Callable[[], int]) -> FrameSource:
        length = max(frames // ROUNDS, 2)
        source.append(Replay(SystemClock(), images, loops, length, ROUNDS, lambda: received() > 0))
        return source[0]

    try:
        _run_daemon(config, folder, open_source)
    finally:
        pipeline.close()
    daemon, passes = source[0].daemon_passes, source[0].loop_passes
    return Throughput(
        _median_ms(daemon, lambda each: each.wall_s),
        _median_ms(daemon, lambda each: each.cpu_s),
        _median_ms(passes[_BASELINE], lambda each: each.wall_s),
        _median_ms(passes[_BASELINE], lambda each: each.cpu_s),
        _median_ms(passes[_ONE_THREAD], lambda each: each.cpu_s),
    )


def _with_copied_store(config: Config, folder: Path) -> Config:
    """Return the configuration with a copy of the store, which one process opens once."""
    copied = folder / "one-thread.sqlite"
    shutil.copy(str(config.store.path), copied)
    return replace(config, store=replace(config.store, path=str(copied)))


def _one_thread_loop(pipeline: Pipeline, images: Sequence[Image]) -> Callable[[], object]:
    """Return a loop that copies a frame's pixels and runs the pipeline; the first frames have been run."""
    clock, numbers = SystemClock(), count()

    def loop() -> None:
        number = next(numbers)
        list(pipeline.process(make_frame(images[number % len(images)], number, clock), ()))

    for _ in range(SETTLE):
        loop()
    return loop


def measure_ages(config: Config, folder: Path, frames: int, frame_ms: float) -> FrameAges:
    """Measure label ages with a camera that is faster than the daemon. Needs a broker."""
    fps = CAMERA_SPEED_FACTOR * 1000 / frame_ms
    count = WARM_UP + max(frames, round(fps * MIN_DURATION_S))
    images = pictures(frame_size(config))
    received = _run_daemon(config, folder, lambda labels: Camera(SystemClock(), images, fps, count, labels))
    return summarize_ages(received)


def summarize_ages(received: list[ReceivedLabel]) -> FrameAges:
    """Return the percentiles of the labels after the warm-up. Raises EdgeError if there are none."""
    counted = received[WARM_UP:]
    if not counted:
        raise EdgeError(
            f"the subscriber received {len(received)} labels, and the first {WARM_UP} are warm-up; "
            "the machine is busy: try again, or with more --frames"
        )
    return FrameAges(
        percentiles([each.label_ms for each in counted]),
        percentiles([each.received_ms for each in counted]),
        len(counted),
    )


def _run_daemon(
    config: Config, folder: Path, open_source: Callable[[Callable[[], int]], FrameSource]
) -> list[ReceivedLabel]:
    """Run the daemon to the end of the source; return the labels that a subscriber received.

    `open_source` is passed a function that returns the number of labels received so far.
    """
    if config.mqtt.host is None:
        build(config, once=True, source=open_source(lambda: 1)).run()
        return []
    device = config.device.topic_id
    topic = device_topics(config.mqtt.base_topic, device, ("frame",)).result("frame")
    log = folder / "received.jsonl"
    with recording(config.mqtt, topic, log):
        build(config, once=True, source=open_source(lambda: len(read_log(log)))).run()
    return read_log(log)


def _median_ms(passes: list[ReplayPass], value: Callable[[ReplayPass], float]) -> float:
    return median(value(each) for each in passes) * 1000
