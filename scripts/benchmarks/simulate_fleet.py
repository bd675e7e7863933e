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
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fleet_simulation.broker import Mosquitto, cpu_s, memory_mb
from fleet_simulation.devices import Rates, run_devices
from fleet_simulation.listeners import ALL, Heard, ask, listen

from edge_daemon.config.mqtt import MqttOptions

DRAIN_S = 2.0
"""After the devices' last word the listeners have so long for what is under way."""

_FILES_A_DEVICE = 8


class Role:
    """A process with a part to play, and the pipe to it."""

    def __init__(self, play: Callable[..., None], *args: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=play, args=(theirs, *args), daemon=True)
        self._process.start()
        theirs.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def tell(self, word: str) -> None:
        """Let it go on, or stop."""
        self._pipe.send(word)

    def hear(self) -> Any:
        """Return what the process says next. Its death ends the simulation."""
        try:
            return self._pipe.recv()
        except EOFError:
            raise SystemExit("simulate_fleet: one of the processes died; its words stand above") from None

    def end(self) -> None:
        """Wait until the process is over."""
        self._process.join(30)


class Usage:
    """What broker and devices use of the machine, from now on."""

    def __init__(self, broker: int, devices: Sequence[int]) -> None:
        self._broker, self._devices = broker, devices
        self._began_s = time.monotonic()
        self._before = self._cpu()

    def figures(self) -> dict[str, float]:
        """Return seconds since the beginning, memory now, and the share of one core that was used."""
        seconds = time.monotonic() - self._began_s
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--results-per-s", type=float, default=2.0, help="of each device")
    parser.add_argument("--change-every-s", type=float, default=5.0, help="a new label: 2 messages of QoS 1")
    parser.add_argument("--requests-per-s", type=float, default=10.0, help="to the whole fleet")
    parser.add_argument("--processes", type=int, default=4, help="that the devices are spread over")
    parser.add_argument("--listeners", type=int, default=1)
    parser.add_argument("--nodelay", action="store_true", help="with mosquitto's set_tcp_nodelay")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    _allow_open_files(args.devices * _FILES_A_DEVICE + 100)
    with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder), args.nodelay) as broker:
        figures = simulate(args, broker)
    print(json.dumps(figures) if args.json else _table(figures))
    return 0


def simulate(args: argparse.Namespace, broker: Mosquitto) -> dict[str, object]:
    """Let the fleet come online, speak for a while, and go; return the figures."""
    options = MqttOptions(host=broker.host, port=broker.port)
    topics = ALL if args.listeners == 1 else f"$share/listeners/{ALL}"
    listeners = [Role(listen, options, topics) for _ in range(args.listeners)]
    asker = Role(ask, options, args.devices, args.requests_per_s)
    for role in (*listeners, asker):
        role.hear()
    figures: dict[str, object] = {"devices": args.devices, "broker_empty_mb": round(memory_mb(broker.pid), 1)}
    began_s = time.monotonic()
    fleet = _start_fleet(args, options)
    figures["all_online_s"] = round(time.monotonic() - began_s, 1)
    usage = Usage(broker.pid, [role.pid for role in fleet])
    for word, wait_s in (("go", args.seconds), ("stop", 0.0)):
        for role in (asker, *fleet):
            role.tell(word)
        time.sleep(wait_s)
    said = [role.hear() for role in fleet]
    used = usage.figures()
    time.sleep(DRAIN_S)
    figures |= (
        used | _heard_figures(_heard(listeners), said, used["seconds"]) | _answer_figures(*asker.hear())
    )
    for role in fleet:
        role.tell("go home")
        role.end()
    return figures


def _start_fleet(args: argparse.Namespace, options: MqttOptions) -> list[Role]:
    """Return the devices' processes once every device is online."""
    rates = Rates(args.results_per_s, args.change_every_s)
    parts = [range(args.devices)[first :: args.processes] for first in range(args.processes)]
    fleet = [Role(run_devices, options, numbers, rates) for numbers in parts]
    for role in fleet:
        role.hear()
    return fleet


def _heard(listeners: Sequence[Role]) -> Heard:
    heard = Heard()
    for role in listeners:
        role.tell("stop")
        heard.add(role.hear())
    return heard


def _heard_figures(heard: Heard, said: Sequence[tuple[int, int]], seconds: float) -> dict[str, object]:
    figures: dict[str, object] = {"heard_per_s": round(heard.messages / seconds, 1)}
    for kind, sent in zip(("result", "event"), map(sum, zip(*said, strict=True)), strict=True):
        times = [count for (what, _, _), count in heard.numbers.items() if what == kind]
        counts = {"sent": sent, "lost": sent - len(times), "doubled": sum(times) - len(times)}
        figures[f"{kind}s"] = counts | _spread(heard.delays_ms[kind])
    return figures


def _answer_figures(took_ms: Sequence[float], unanswered: int) -> dict[str, object]:
    return {"requests": {"answered": len(took_ms), "unanswered": unanswered} | _spread(took_ms)}


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Return percentiles in milliseconds; nothing of fewer than two values."""
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=1000, method="inclusive")
    spread = {"p50_ms": cuts[499], "p95_ms": cuts[949], "p99_ms": cuts[989], "max_ms": max(values)}
    return {name: round(value, 1) for name, value in spread.items()}


def _table(figures: dict[str, object]) -> str:
    return "\n".join(f"{name:<16} {_cell(value)}" for name, value in figures.items())


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{name} {each}" for name, each in value.items())
    return str(value)


def _allow_open_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


if __name__ == "__main__":
    sys.exit(main())
