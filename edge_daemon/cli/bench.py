"""`edge-daemon bench`: what each stage of a frame costs, beside the bare interpreter in the same run."""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_daemon.app import build_embedder, build_learner, build_pipeline, model_path
from edge_daemon.commands import AddExample, Origin
from edge_daemon.config import Config, load_effective
from edge_daemon.events import ExampleAdded
from edge_daemon.pipeline import Pipeline
from edge_daemon.runtime.clock import SystemClock
from edge_daemon.types import Frame
from edge_daemon.vision import litert

if TYPE_CHECKING:
    from edge_daemon.types import Image, Vector

LABELS = 10
WARM_UP = 20
BARE, WHOLE = "bare interpreter", "whole frame"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--frames", type=int, default=300, metavar="N", help="frames to time (default 300)")
    parser.add_argument(
        "--examples", type=int, default=1000, metavar="N", help="taught examples (default 1000)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command. Frames are noise of 640 x 480: what they show costs nothing."""
    overrides = [*args.set, "mqtt.host=null", "regions=[]"]
    with tempfile.TemporaryDirectory(prefix="edge-daemon-bench-") as folder:
        overrides.append(f"store.path={json.dumps(str(Path(folder) / 'examples.sqlite'))}")
        figures = _measure(load_effective(args.config, overrides), args.frames, args.examples)
    print(json.dumps(figures) if args.json else _table(figures))
    return 0


def _measure(config: Config, frames: int, examples: int) -> dict[str, Any]:
    """Time the stages in turn within each round, so that a machine that slows down slows all of them."""
    clock = SystemClock()
    begun_s = clock.monotonic()
    pipeline = build_pipeline(config, clock)
    start_ms = (clock.monotonic() - begun_s) * 1000
    pictures = list(_pictures(16))
    press_ms = _teach(pipeline, pictures, examples)
    embedder = build_embedder(config)
    learner = build_learner(config)
    for number in range(examples):
        learner.add(_noise(number, embedder.size), f"class {number % LABELS}", number)
    query = _noise(examples, embedder.size)
    stages: dict[str, Callable[[int], object]] = {
        BARE: _bare(config),
        "embed (resize, invoke, read)": lambda number: embedder.embed(pictures[number % len(pictures)]),
        "classify (head, unknown?)": lambda _: learner.predict(query),
        WHOLE: lambda number: pipeline.step(_frame(pictures, examples + number, clock), ()),
    }
    times: dict[str, list[float]] = {name: [] for name in stages}
    for number in range(-WARM_UP, frames):
        for name, stage in stages.items():
            with _timed(times[name] if number >= 0 else []):
                stage(number + WARM_UP)
    pipeline.close()
    bare_ms, whole_ms = (float(np.median(times[name])) for name in (BARE, WHOLE))
    return {
        "model": embedder.space,
        "examples": examples,
        "frames": frames,
        "stages_ms": {name: _percentiles(values) for name, values in times.items()},
        "ratio_to_bare": round(whole_ms / bare_ms, 3),
        "frames_per_s": round(1000 / whole_ms, 1),
        "press_to_disk_ms": _percentiles(press_ms),
        "start_ms": round(start_ms, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _bare(config: Config) -> Callable[[int], object]:
    loop = litert.bare_loop(model_path(config), config.model.threads, config.model.delegate)
    return lambda _: loop()


def _frame(pictures: list[Image], seq: int, clock: SystemClock) -> Frame:
    return Frame(pictures[seq % len(pictures)], seq, clock.monotonic(), clock.utc())


def _noise(seed: int, size: int) -> Vector:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


def _percentiles(times: list[float]) -> dict[str, float]:
    p50, p95, p99 = np.percentile(times or [0.0], [50, 95, 99])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "p99": round(float(p99), 3)}


def _table(figures: dict[str, Any]) -> str:
    rows = [
        f"{figures['model']}, {figures['examples']} examples, {figures['frames']} frames",
        f"{'':<32}{'p50 ms':>9}{'p95':>9}{'p99':>9}",
    ]
    for name, row in {**figures["stages_ms"], "press to disk": figures["press_to_disk_ms"]}.items():
        rows.append(f"{name:<32}{row['p50']:>9.2f}{row['p95']:>9.2f}{row['p99']:>9.2f}")
    rows.append(f"whole frame / bare interpreter: {figures['ratio_to_bare']:.2f}")
    rows.append(f"{figures['frames_per_s']:.0f} frames/s, start {figures['start_ms']:.0f} ms, ")
    rows[-1] += f"peak {figures['peak_memory_mb']} MB"
    return "\n".join(rows)


def _pictures(count: int) -> Iterator[Image]:
    random = np.random.default_rng(0)
    for _ in range(count):
        yield random.integers(0, 256, (480, 640, 3), np.uint8)


def _teach(pipeline: Pipeline, pictures: list[Image], examples: int) -> list[float]:
    """Press for each example; return how long each press took until its example was on disk."""
    clock = SystemClock()
    times: list[float] = []
    for number in range(examples):
        press = AddExample(f"class {number % LABELS}", clock.monotonic(), Origin("cli"))
        begun_s = time.perf_counter()
        happening = pipeline.proceed(_frame(pictures, number, clock), (press,))
        kept_s = next(time.perf_counter() for event in happening if isinstance(event, ExampleAdded))
        times.append((kept_s - begun_s) * 1000)
        deque(happening, maxlen=0)  # the rest of the step: classifying, and what that sets off
    return times


@contextmanager
def _timed(into: list[float]) -> Iterator[None]:
    begun_s = time.perf_counter()
    yield
    into.append((time.perf_counter() - begun_s) * 1000)
