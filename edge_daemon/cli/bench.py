"""`edge-daemon bench`: what each stage of a frame costs, beside the bare interpreter in the same run."""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_daemon.benchmark.boot_time import read_boot, table
from edge_daemon.benchmark.broker import HOST, Mosquitto, installed
from edge_daemon.benchmark.end_to_end import measure_ages, measure_throughput
from edge_daemon.benchmark.label_latency import measure_presses
from edge_daemon.benchmark.report import BenchmarkReport
from edge_daemon.benchmark.stages import Stages
from edge_daemon.benchmark.startup import measure_start
from edge_daemon.benchmark.statistics import embeddings, frame_size
from edge_daemon.config.schema import Config, load_config
from edge_daemon.example_store.store import ExampleStore

MOST_PRESSES = 200
MOST_STARTS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--frames", type=int, default=300, metavar="N", help="frames to time (default 300)")
    parser.add_argument(
        "--examples", type=int, default=1000, metavar="N", help="taught examples (default 1000)"
    )
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="append the figures, with commit and machine, to a file"
    )
    parser.add_argument(
        "--boot",
        action="store_true",
        help="measure nothing new: show when this boot reached the first label of the service",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command. Publishes to `--set mqtt.host=…`, else to a mosquitto of its own if one is there."""
    if args.boot:
        steps = read_boot()
        print(json.dumps({step.name: step.at_s for step in steps}) if args.json else table(steps))
        return 0
    logging.getLogger("edge_daemon").setLevel(logging.DEBUG if args.debug else logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="edge-daemon-bench-") as folder, _broker(args.set) as broker:
        words = [*args.set, *broker, *_aside(Path(folder))]
        report = _measure(args, words, Path(folder))
    print(json.dumps(report.as_json()) if args.json else report.table())
    if args.csv is not None:
        report.append_to(args.csv)
    return 0


def _measure(args: argparse.Namespace, words: list[str], folder: Path) -> BenchmarkReport:
    config = load_config(args.config, words)
    stages = Stages(config, args.examples)
    times = stages.measure(args.frames)
    stages.close()
    _teach(config, stages.embedder.space, stages.embedder.size, args.examples)
    throughput = measure_throughput(config, folder, args.frames)
    broker = config.mqtt.host is not None
    given = [] if args.config is None else ["--config", str(args.config)]
    settings = [part for word in words for part in ("--set", word)]
    starts = max(1, min(MOST_STARTS, args.frames // 50))
    return BenchmarkReport(
        stages.embedder.space,
        args.examples,
        args.frames,
        frame_size(config),
        broker,
        times,
        throughput,
        start=measure_start(config, [*given, *settings], folder, starts),
        ages=measure_ages(config, folder, max(args.frames, 100), throughput.frame_ms) if broker else None,
        presses=measure_presses(config, folder, min(args.frames, MOST_PRESSES)),
    )


def _teach(config: Config, space: str, size: int, examples: int) -> None:
    with ExampleStore(str(config.store.path)) as store, store.transaction():
        for vector, label in embeddings(examples, size):
            store.add(vector, label, space=space)


def _aside(folder: Path) -> list[str]:
    """Return settings that keep the benchmark out of the way of a device on this machine."""
    return [
        f"store.path={json.dumps(str(folder / 'examples.sqlite'))}",
        f"device.id=bench-{os.getpid()}",
        "mqtt.base_topic=null",
        "mqtt.discovery.enabled=false",
        "mqtt.result_per_s=0",
        "web.listen=null",
        "regions=[]",
        "trigger=continuous",
        "buttons=[]",
    ]


@contextmanager
def _broker(given: list[str]) -> Iterator[list[str]]:
    """Have a broker; yields the settings that lead there."""
    program = installed()
    if any(word.startswith("mqtt.host=") for word in given):
        yield []
    elif program is None:
        yield ["mqtt.host=null"]
    else:
        with Mosquitto(program) as broker:
            yield [f"mqtt.host={HOST}", f"mqtt.port={broker.port}", "mqtt.tls.enabled=false"]
