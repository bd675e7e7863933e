"""Time from a button press to the stored example and the next label, against a commit of the same row."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_daemon.app.build import build_pipeline
from edge_daemon.benchmark.statistics import LABELS, Percentiles, frame_size, percentiles, pictures, timed_ms
from edge_daemon.camera.frames import make_frame
from edge_daemon.config.schema import Config
from edge_daemon.domain.commands import AddExample, Origin
from edge_daemon.domain.events import Classified, ExampleAdded
from edge_daemon.example_store.database import connect
from edge_daemon.system.clock import SystemClock

if TYPE_CHECKING:
    from edge_daemon.domain.types import Frame
    from edge_daemon.pipeline.pipeline import Pipeline

WARM_UP = 5


@dataclass(frozen=True, slots=True)
class PressTimes:
    """Latency of presses that label the previous frame; `to_label` ends when the next frame is classified."""

    to_disk: Percentiles
    to_label: Percentiles
    baseline_commit: Percentiles


def measure_presses(config: Config, folder: Path, presses: int) -> PressTimes:
    """Time `presses` presses, each followed by a commit of the stored row to a copy of the store."""
    clock = SystemClock()
    pipeline = build_pipeline(config, clock)
    raw = pictures(frame_size(config))
    rows = sqlite3.connect(Path(str(config.store.path)))
    baseline = connect(folder / "baseline.sqlite", 1.0)
    rows.backup(baseline)
    to_disk, to_label, commits = [], [], []
    for number in range(presses + WARM_UP):
        pressed_s = clock.monotonic()
        first = make_frame(raw[number % len(raw)], 2 * number, clock)
        for _ in pipeline.process(first, ()):
            pass
        second = make_frame(raw[(number + 1) % len(raw)], 2 * number + 1, clock)
        press = AddExample(f"class {number % LABELS}", pressed_s, Origin("cli"))
        stored_ms, label_ms = _press(pipeline, press, second)
        to_disk.append(stored_ms)
        to_label.append(label_ms)
        commits.append(_commit_copy(rows, baseline))
    pipeline.close()
    rows.close()
    baseline.close()
    return PressTimes(*(percentiles(times[WARM_UP:]) for times in (to_disk, to_label, commits)))


def _press(pipeline: Pipeline, press: AddExample, frame: Frame) -> tuple[float, float]:
    """Process a press that labels the previous frame, then a new frame; return both times in ms."""
    begun_s = time.perf_counter()
    stored_s = label_s = begun_s
    for event in pipeline.process(frame, (press,)):
        if isinstance(event, ExampleAdded):
            stored_s = time.perf_counter()
        elif isinstance(event, Classified):
            label_s = time.perf_counter()
    return (stored_s - begun_s) * 1000, (label_s - begun_s) * 1000


def _commit_copy(rows: sqlite3.Connection, copy: sqlite3.Connection) -> float:
    """Insert the store's last row into the copy; return the milliseconds."""
    row = rows.execute("SELECT * FROM examples ORDER BY id DESC LIMIT 1").fetchone()
    statement = f"INSERT INTO examples VALUES ({', '.join('?' * len(row))})"
    return timed_ms(lambda: copy.execute(statement, row))
