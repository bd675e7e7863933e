"""`edge-daemon bench`: time of each stage of a frame, against the baseline interpreter in the same run."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from edge_daemon.benchmark.boot_time import read_boot, table
from edge_daemon.benchmark.broker import HOST, Mosquitto, find_mosquitto
from edge_daemon.benchmark.end_to_end import measure_ages, measure_throughput
from edge_daemon.benchmark.label_latency import measure_presses
from edge_daemon.benchmark.report import BenchmarkReport, check_csv, check_stages
from edge_daemon.benchmark.stages import Stages
from edge_daemon.benchmark.startup import measure_start
from edge_daemon.benchmark.statistics import frame_size
from edge_daemon.benchmark.taught_store import fill_store
from edge_daemon.cli.option_values import read_count, read_path
from edge_daemon.cli.progress import Steps, erase_line
from edge_daemon.config.schema import load_config
from edge_daemon.domain.counted import counted

MAX_PRESSES = 200
MAX_STARTS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--frames", type=read_count, default=300, metavar="N", help="frames to time (default 300)"
    )
    parser.add_argument(
        "--examples", type=read_count, default=1000, metavar="N", help="stored examples (default 1000)"
    )
    parser.add_argument(
        "--csv",
        type=read_path,
        metavar="FILE",
        help="append the figures, with commit and machine, to a CSV file",
    )
    parser.add_argument(
        "--boot",
        action="store_true",
        help="show the times of this boot, from the kernel's start to the service's first label",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command with the broker of `--set mqtt.host=…`, or a temporary mosquitto if it is installed."""
    if args.boot:
        steps = read_boot()
        print(json.dumps({step.name: step.at_s for step in steps}) if args.json else table(steps))
        return 0
    logging.getLogger("edge_daemon").setLevel(logging.DEBUG if args.debug else logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="edge-daemon-bench-") as folder, _broker(args.set) as broker:
        words = [*args.set, *broker, *_isolated(Path(folder))]
        report = _measure(args, words, Path(folder))
    erase_line(sys.stderr)
    print(json.dumps(report.as_json()) if args.json else report.table())
    if args.csv is not None:
        report.append_to(args.csv)
    return 0


def _measure(args: argparse.Namespace, words: list[str], folder: Path) -> BenchmarkReport:
    config = load_config(args.config, words)
    broker = config.mqtt.host is not None
    if args.csv is not None:
        check_csv(args.csv, broker=broker)
    steps = Steps("bench", 6 if broker else 5)
    steps.begin(counted(args.examples, "stored example"))
    fill_store(config, args.examples)
    steps.begin(f"the stages of {counted(args.frames, 'frame')}")
    with closing(Stages(config, args.examples)) as stages:
        if args.csv is not None:
            check_stages(args.csv, stages.names())
        times = stages.measure(args.frames)
    steps.begin(f"{counted(args.frames, 'frame')} of the whole daemon")
    throughput = measure_throughput(config, folder, args.frames)
    config_words = [] if args.config is None else ["--config", str(args.config)]
    settings = [part for word in words for part in ("--set", word)]
    starts = max(1, min(MAX_STARTS, args.frames // 50))
    steps.begin(counted(starts, "start"))
    start = measure_start(config, [*config_words, *settings], folder, starts)
    ages = None
    if broker:
        steps.begin("the age of labels")
        ages = measure_ages(config, folder, max(args.frames, 100), throughput.frame_ms)
    presses = min(args.frames, MAX_PRESSES)
    steps.begin(counted(presses, "press", "presses"))
    return BenchmarkReport(
        stages.embedder.space,
        args.examples,
        args.frames,
        frame_size(config),
        broker,
        times,
        throughput,
        start=start,
        ages=ages,
        presses=measure_presses(config, folder, presses),
    )


def _isolated(folder: Path) -> list[str]:
    """Return settings that isolate the benchmark from a device on this machine."""
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
def _broker(overrides: list[str]) -> Iterator[list[str]]:
    """Provide a broker; yield the settings for it."""
    program = find_mosquitto()
    if any(word.startswith("mqtt.host=") for word in overrides):
        yield []
    elif program is None:
        yield ["mqtt.host=null"]
    else:
        with Mosquitto(program) as broker:
            yield [f"mqtt.host={HOST}", f"mqtt.port={broker.port}", "mqtt.tls.enabled=false"]
