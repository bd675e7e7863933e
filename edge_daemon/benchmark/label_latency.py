"""From a press to its example on disk and to the next label, beside one bare commit of the same row."""

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
    """Of presses that mean the frame just seen; `to_label` is when the next frame is classified."""

    to_disk: Percentiles
    to_label: Percentiles
    bare_commit: Percentiles


def measure_presses(config: Config, folder: Path, presses: int) -> PressTimes:
    """Press so many times, each followed by one commit of the row just written to a copy of the store."""
    clock = SystemClock()
    pipeline = build_pipeline(config, clock)
    raw = pictures(frame_size(config))
    rows = sqlite3.connect(Path(str(config.store.path)))
    bare = connect(folder / "bare.sqlite", 1.0)
    rows.backup(bare)
    to_disk, to_label, commits = [], [], []
    for number in range(presses + WARM_UP):
        pressed_s = clock.monotonic()
        first = make_frame(raw[number % len(raw)], 2 * number, clock)
        for _ in pipeline.process(first, ()):
            pass
        second = make_frame(raw[(number + 1) % len(raw)], 2 * number + 1, clock)
        press = AddExample(f"class {number % LABELS}", pressed_s, Origin("cli"))
        kept_ms, label_ms = _press(pipeline, press, second)
        to_disk.append(kept_ms)
        to_label.append(label_ms)
        commits.append(_commit_again(rows, bare))
    pipeline.close()
    rows.close()
    bare.close()
    return PressTimes(*(percentiles(times[WARM_UP:]) for times in (to_disk, to_label, commits)))


def _press(pipeline: Pipeline, press: AddExample, frame: Frame) -> tuple[float, float]:
    """Let the pipeline take a press that means the last frame, then a new frame."""
    begun_s = time.perf_counter()
    kept_s = label_s = begun_s
    for event in pipeline.process(frame, (press,)):
        if isinstance(event, ExampleAdded):
            kept_s = time.perf_counter()
        elif isinstance(event, Classified):
            label_s = time.perf_counter()
    return (kept_s - begun_s) * 1000, (label_s - begun_s) * 1000


def _commit_again(rows: sqlite3.Connection, bare: sqlite3.Connection) -> float:
    """Write the store's last row to its copy and return the milliseconds it took."""
    row = rows.execute("SELECT * FROM examples ORDER BY id DESC LIMIT 1").fetchone()
    statement = f"INSERT INTO examples VALUES ({', '.join('?' * len(row))})"
    return timed_ms(lambda: bare.execute(statement, row))
