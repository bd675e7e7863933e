"""Run a million frames through the daemon's parts and watch its memory.

    python scripts/benchmarks/soak.py --frames 1000000

The model is a fast stand-in; store, classifier, smoother, uncertain samples and MQTT bridge are real.
`--model` uses a real model, for a shorter run of about an hour. A million frames take some minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.app.build import build_trainer
from edge_daemon.app.model_factory import build_embedder
from edge_daemon.app.region_factory import build_regions
from edge_daemon.app.sink_factory import build_mqtt
from edge_daemon.benchmark.broker import HOST, Mosquitto, find_mosquitto
from edge_daemon.benchmark.statistics import embeddings, pictures
from edge_daemon.config.schema import load_config
from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.domain.types import Frame
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.system.clock import SystemClock

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

FIRST = 1_000
MAX_GROWTH_MB = 2.0


class QuickEmbedder:
    """Embedder that returns precomputed embeddings in turn."""

    space = "soak"
    size = 1024

    def __init__(self) -> None:
        self._answers = [vector for vector, _ in embeddings(64, self.size)]
        self._next = 0

    def embed(self, image: Image) -> Vector:
        """Return a new vector, independent of the image."""
        self._next += 1
        return self._answers[self._next % len(self._answers)] + np.float32(0)


def main() -> int:
    """Run and print the growth of the memory; 1 if it exceeds MAX_GROWTH_MB."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--examples", type=int, default=1_000)
    parser.add_argument("--model", help="a real model, by name or path")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edge-daemon-soak-")))
        program = find_mosquitto()
        broker = ["mqtt.host=null"]
        if program is not None:
            mosquitto = stack.enter_context(Mosquitto(program))
            broker = [f"mqtt.host={HOST}", f"mqtt.port={mosquitto.port}"]
        growth_mb = soak(folder, broker, args.model, args.frames, args.examples)
    return int(growth_mb > MAX_GROWTH_MB)


def soak(folder: Path, broker: list[str], model: str | None, frames: int, examples: int) -> float:
    """Return the growth of the memory in MB from frame 1,000 to the last."""
    words = [f"store.path={folder / 'examples.sqlite'}", *broker]
    config = load_config(None, [*words, *([f"model.name={model}"] if model else [])])
    clock = SystemClock()
    embedder: Embedder = build_embedder(config) if model else QuickEmbedder()
    store = ExampleStore(folder / "examples.sqlite")
    with store.transaction():
        for vector, label in embeddings(examples, embedder.size):
            store.add(vector, label, space=embedder.space)
    regions = build_regions(config)
    trainer = build_trainer(config, store, embedder, regions)
    pipeline = Pipeline(
        embedder=embedder, regions=regions, trainer=trainer, clock=clock, encode=lambda _: b""
    )
    sink = build_mqtt(config, Mailbox(), clock) if config.mqtt.host else None
    if sink is not None:
        sink.start()
    shown = pictures()
    first_mb = 0.0
    for seq in range(frames):
        frame = Frame(shown[seq % len(shown)], seq, clock.monotonic(), clock.utc())
        happened = list(pipeline.process(frame, ()))
        if sink is not None:
            for event in happened:
                sink.handle(event)
        if seq + 1 in (FIRST, frames) or (seq + 1) % 100_000 == 0:
            now_mb = resident_mb()
            first_mb = now_mb if seq + 1 == FIRST else first_mb
            print(f"{seq + 1} frames: {now_mb:.2f} MB ({now_mb - first_mb:+.2f})", flush=True)
    if sink is not None:
        sink.stop()
    pipeline.close()
    return now_mb - first_mb


def resident_mb() -> float:
    """Return the resident memory of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
