"""One frame of 640 x 480: the whole pipeline beside the loop that tutorials write."""

from __future__ import annotations

from collections.abc import Iterator

from edge_daemon.app.build import build_pipeline
from edge_daemon.app.model_factory import model_path
from edge_daemon.benchmark.statistics import pictures, timed_ms
from edge_daemon.benchmark.taught_store import fill_store
from edge_daemon.camera.frames import make_frame
from edge_daemon.config.schema import Config
from edge_daemon.system.clock import SystemClock
from edge_daemon.tflite.embedder import baseline_loop
from rivals import usual_loop
from rivals.turns import OURS, Comparison, Timed, leave_out, take_turns

EXAMPLES = 1000

WARM_UP = 600
"""Frames that are not timed: the first ones fit the classifier and select it, a few milliseconds each."""


def compare_frames(config: Config, rounds: int) -> Iterator[Comparison]:
    """Compare what a frame costs: ours crops, embeds, classifies among 1,000, rejects and smooths."""
    clock, model, shown = SystemClock(), model_path(config), pictures()
    fill_store(config, EXAMPLES)
    pipeline = build_pipeline(config, clock)
    baseline = baseline_loop(model, config.model.threads, config.model.delegate)

    def ours(number: int) -> float:
        frame = make_frame(shown[number % len(shown)], number, clock)
        return timed_ms(lambda: list(pipeline.process(frame, ())))

    for number in range(WARM_UP):
        ours(number)
    contenders: dict[str, Timed] = {OURS: ours, "baseline interpreter": lambda _: timed_ms(baseline)}
    gap = usual_loop.missing()
    if gap is not None:
        leave_out("OpenCV loop", gap)
    else:
        see = usual_loop.UsualLoop(model).see
        contenders["OpenCV and interpreter, the usual way"] = lambda number: timed_ms(
            lambda: see(shown[number % len(shown)])
        )
    yield from take_turns(f"frame, {model.stem}", contenders, rounds)
    pipeline.close()
