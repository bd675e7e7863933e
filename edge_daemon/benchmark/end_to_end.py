"""End-to-end measurement of the daemon with a broker and a subscriber, against the baseline loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from edge_daemon.app.build import build
from edge_daemon.app.model_factory import model_path
from edge_daemon.benchmark.listener import ReceivedLabel, read_log, recording
from edge_daemon.benchmark.sources import WARM_UP, Camera, Replay, ReplayPass
from edge_daemon.benchmark.statistics import Percentiles, frame_size, percentiles, pictures
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import EdgeError
from edge_daemon.domain.interfaces import FrameSource
from edge_daemon.mqtt.topics import device_topics
from edge_daemon.system.clock import SystemClock
from edge_daemon.tflite.embedder import baseline_loop

ROUNDS = 6
CAMERA_SPEED_FACTOR = 1.3
"""Camera frame rate, relative to the daemon's, while the age of labels is measured."""
MIN_DURATION_S = 1.0
"""Minimum length of that measurement; on a busy machine the daemon may stall for a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Milliseconds per frame: medians over rounds that alternate with the baseline loop."""

    frame_ms: float
    frame_cpu_ms: float
    baseline_ms: float
    baseline_cpu_ms: float

    @property
    def ratio(self) -> float:
        """Wall time of a frame relative to the baseline."""
        return self.frame_ms / self.baseline_ms

    @property
    def cpu_ratio(self) -> float:
        """CPU time of a frame in all threads, relative to the baseline."""
        return self.frame_cpu_ms / self.baseline_cpu_ms


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
    source: list[Replay] = []

    def open_source(received: Callable[[], int]) -> FrameSource:
        length = max(frames // ROUNDS, 2)
        source.append(Replay(SystemClock(), images, baseline, length, ROUNDS, lambda: received() > 0))
        return source[0]

    _run_daemon(config, folder, open_source)
    return Throughput(
        _median_ms(source[0].daemon_passes, lambda each: each.wall_s),
        _median_ms(source[0].daemon_passes, lambda each: each.cpu_s),
        _median_ms(source[0].baseline_passes, lambda each: each.wall_s),
        _median_ms(source[0].baseline_passes, lambda each: each.cpu_s),
    )


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
