"""The frames whose instructions `count-instructions` counts: it runs in the emulator, one model a run.

    frames.py MODEL NAME FRAMES      NAME: baseline or frame

sched_yield(2) marks the begin and the end of each frame.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from edge_daemon.app.build import build_pipeline
from edge_daemon.benchmark.statistics import pictures
from edge_daemon.benchmark.taught_store import fill_store
from edge_daemon.camera.frames import make_frame
from edge_daemon.config.schema import load_config
from edge_daemon.system.clock import SystemClock
from edge_daemon.tflite.embedder import baseline_loop

EXAMPLES, SETTLE = 100, 60
"""100 examples are fitted, and their classifier is chosen, within 60 frames."""


FPS = 30


class FrameClock(SystemClock):
    """A clock of the frames: on the slow emulator, what is done once a second would be done in each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0

    def monotonic(self) -> float:
        """Return the seconds of the frames so far."""
        return self.frames / FPS


def main(model: str, name: str, frames: int) -> None:
    """Run the frames of the interpreter alone (`baseline`) or of the whole pipeline (`frame`)."""
    if name == "baseline":
        loop = baseline_loop(Path(model), 1, "auto")
        _count([loop] * frames)
        return
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(
            None, [f"model.name={model}", f"store.path={folder}/examples.sqlite", "mqtt.host=null"]
        )
        fill_store(config, EXAMPLES)
        clock, shown = FrameClock(), pictures()
        pipeline = build_pipeline(config, clock)

        def frame(number: int) -> None:
            clock.frames = number
            list(pipeline.process(make_frame(shown[number % len(shown)], number, clock), ()))

        for number in range(SETTLE):
            frame(number)
        _count([partial(frame, number) for number in range(SETTLE, SETTLE + frames)])
        pipeline.close()


def _count(calls: Sequence[Callable[[], None]]) -> None:
    for call in calls:
        os.sched_yield()
        call()
        os.sched_yield()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
