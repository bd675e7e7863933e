#!/usr/bin/env python3
"""Simulate a fleet of devices at one real mosquitto and measure its cost. Linux; needs mosquitto.

    scripts/benchmarks/simulate_fleet.py --devices 500 --seconds 60

Each device is the daemon's own MQTT bridge with a separate connection, without a camera. A listener
subscribes to everything; with --listeners 2 or more, the listeners share one subscription. Requests go to
random devices.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fleet_simulation.devices import Published, Rates, run_devices
from fleet_simulation.listeners import ALL, Received, ask, listen
from fleet_simulation.process_usage import cpu_s, memory_mb

from edge_daemon.config.mqtt import MqttOptions
from tests.harness.mosquitto import Mosquitto

DRAIN_S = 2.0
"""Time for messages in flight after the devices' last message."""

_FILES_PER_DEVICE = 8


class Worker:
    """A child process that runs a function, and the pipe to it."""

    def __init__(self, target: Callable[..., None], *args: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, child_end = context.Pipe()
        self._process = context.Process(target=target, args=(child_end, *args), daemon=True)
        self._process.start()
        child_end.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def send(self, word: str) -> None:
        """Send a command to the process."""
        self._pipe.send(word)

    def receive(self) -> Any:
        """Return the next message of the process. If the process has died, the simulation ends."""
        try:
            return self._pipe.recv()
        except EOFError:
            raise SystemExit("simulate_fleet: one of the processes died; its output is above") from None

    def join(self) -> None:
        """Wait until the process has ended."""
        self._process.join(30)


class Usage:
    """Memory and CPU time of broker and devices since the constructor call."""

    def __init__(self, broker: int, devices: Sequence[int]) -> None:
        self._broker, self._devices = broker, devices
        self._started_s = time.monotonic()
        self._before = self._cpu()

    def figures(self) -> dict[str, float]:
        """Return the seconds since the start, current memory, and CPU use as a share of one core."""
        seconds = time.monotonic() - self._started_s
        broker, devices = (now - then for now, then in zip(self._cpu(), self._before, strict=True))
        return {
            "seconds": round(seconds, 1),
            "broker_mb": round(memory_mb(self._broker), 1),
            "broker_cpu": round(broker / seconds, 3),
            "devices_mb": round(sum(map(memory_mb, self._devices)), 1),
            "devices_cpu": round(devices / seconds, 3),
        }

    def _cpu(self) -> tuple[float, float]:
        return cpu_s(self._broker), sum(map(cpu_s, self._devices))


def main() -> int:
    parser = fleet_parser(__doc__, devices=500, seconds=60.0, results_per_s=2.0, processes=4)
    parser.add_argument("--requests-per-s", type=float, default=10.0, help="total of the fleet")
    parser.add_argument("--listeners", type=int, default=1)
    parser.add_argument("--nodelay", action="store_true", help="with mosquitto's set_tcp_nodelay")
    args = parser.parse_args()
    allow_open_files(args.devices)
    with Mosquitto(settings="set_tcp_nodelay true" if args.nodelay else "") as broker:
        figures = simulate(args, broker)
    print(json.dumps(figures) if args.json else table(figures))
    return 0


def simulate(args: argparse.Namespace, broker: Mosquitto) -> dict[str, object]:
    """Start the fleet, let it publish for `args.seconds`, stop it; return the figures."""
    options = MqttOptions(host=broker.host, port=broker.port)
    topics = ALL if args.listeners == 1 else f"$share/listeners/{ALL}"
    listeners = [Worker(listen, options, topics) for _ in range(args.listeners)]
    asker = Worker(ask, options, args.devices, args.requests_per_s)
    for worker in (*listeners, asker):
        worker.receive()
    figures: dict[str, object] = {"devices": args.devices, "broker_empty_mb": round(memory_mb(broker.pid), 1)}
    started_s = time.monotonic()
    fleet = start_fleet(args, options)
    figures["all_online_s"] = round(time.monotonic() - started_s, 1)
    usage = Usage(broker.pid, [worker.pid for worker in fleet])
    for word, wait_s in (("go", args.seconds), ("stop", 0.0)):
        for worker in (asker, *fleet):
            worker.send(word)
        time.sleep(wait_s)
    sent = [worker.receive() for worker in fleet]
    used = usage.figures()
    time.sleep(DRAIN_S)
    figures |= (
        used
        | message_figures(merge_received(listeners), sent, used["seconds"])
        | _response_figures(*asker.receive())
    )
    for worker in fleet:
        worker.send("go home")
        worker.join()
    return figures


def start_fleet(args: argparse.Namespace, options: MqttOptions) -> list[Worker]:
    """Return the devices' processes once every device is online."""
    rates = Rates(args.results_per_s, args.change_every_s)
    parts = [range(args.devices)[first :: args.processes] for first in range(args.processes)]
    fleet = [Worker(run_devices, options, numbers, rates) for numbers in parts]
    for worker in fleet:
        worker.receive()
    return fleet


def merge_received(listeners: Sequence[Worker]) -> Received:
    received = Received()
    for worker in listeners:
        worker.send("stop")
        received.merge(worker.receive())
    return received


def message_figures(received: Received, published: Sequence[Published], seconds: float) -> dict[str, object]:
    figures: dict[str, object] = {"received_per_s": round(received.messages / seconds, 1)}
    results, changes = (sum(each.results for each in published), sum(each.changes for each in published))
    for kind, sent in (("result", results), ("event", changes)):
        times = [count for (what, _, _), count in received.numbers.items() if what == kind]
        counts = {"sent": sent, "lost": sent - len(times), "doubled": sum(times) - len(times)}
        figures[f"{kind}s"] = counts | _spread(received.delays_ms[kind])
    return figures


def _response_figures(took_ms: Sequence[float], unanswered: int) -> dict[str, object]:
    return {"requests": {"answered": len(took_ms), "unanswered": unanswered} | _spread(took_ms)}


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Return percentiles in milliseconds; nothing of fewer than two values."""
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=1000, method="inclusive")
    spread = {"p50_ms": cuts[499], "p95_ms": cuts[949], "p99_ms": cuts[989], "max_ms": max(values)}
    return {name: round(value, 1) for name, value in spread.items()}


def table(figures: dict[str, object]) -> str:
    return "\n".join(f"{name:<16} {_cell(value)}" for name, value in figures.items())


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{name} {each}" for name, each in value.items())
    return str(value)


def fleet_parser(
    description: str | None, *, devices: int, seconds: float, results_per_s: float, processes: int
) -> argparse.ArgumentParser:
    """Return a parser of the options of every simulated fleet, with these defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--devices", type=int, default=devices)
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--results-per-s", type=float, default=results_per_s, help="per device")
    parser.add_argument("--change-every-s", type=float, default=5.0, help="a new label: 2 messages of QoS 1")
    parser.add_argument("--processes", type=int, default=processes, help="processes that run the devices")
    parser.add_argument("--json", action="store_true")
    return parser


def allow_open_files(devices: int) -> None:
    """Raise the limit of open files to what `devices` devices need, as far as the system allows."""
    count = devices * _FILES_PER_DEVICE + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


if __name__ == "__main__":
    sys.exit(main())
