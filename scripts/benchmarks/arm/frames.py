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
from edge_daemon.app.model_factory import build_embedder
from edge_daemon.benchmark.statistics import embeddings, pictures
from edge_daemon.camera.frames import make_frame
from edge_daemon.config.schema import Config, load_config
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.system.clock import SystemClock
from edge_daemon.tflite.embedder import baseline_loop

EXAMPLES, SETTLE = 100, 60
"""100 examples are fitted, and their classifier is chosen, within 60 frames."""


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
        _teach(config)
        pipeline, clock, shown = build_pipeline(config, SystemClock()), SystemClock(), pictures()

        def frame(number: int) -> None:
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


def _teach(config: Config) -> None:
    embedder = build_embedder(config)
    with ExampleStore(str(config.store.path)) as store, store.transaction():
        for vector, label in embeddings(EXAMPLES, embedder.size):
            store.add(vector, label, space=embedder.space)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
