#!/usr/bin/env python3
"""Measure three nodes of RabbitMQ behind HAProxy, and one mosquitto, under the same load. Linux, as root.

    scripts/dev/test-cluster bookworm scripts/benchmarks/cluster.py --devices 200 --seconds 90

Devices are the daemon's own MQTT bridges, as in simulate_fleet.py. After a third of the time one node (or
mosquitto) is killed; after two thirds it is started again. A subscriber at another node counts events. At the
end new subscribers at every node read the labels.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fleet_simulation.devices import Published
from fleet_simulation.listeners import ALL, listen
from fleet_simulation.process_usage import cpu_s, memory_mb
from simulate_fleet import (
    Worker,
    allow_open_files,
    fleet_parser,
    merge_received,
    message_figures,
    start_fleet,
    table,
)

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.retained_check import RESEND_S
from edge_daemon.mqtt.subscriber import Subscriber
from tests.harness.load_balancer import LoadBalancer
from tests.harness.mosquitto import Mosquitto
from tests.harness.rabbitmq_cluster import RabbitMqCluster

ROOT = Path(os.environ.get("EDGE_DAEMON_RABBITMQ_ROOT", "/"))
_DRAIN_S = 15.0
_AT_ONCE_S = 3.0


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker under test. `port` is the devices', `ports` are the nodes'; the last node is never killed."""

    name: str
    port: int
    ports: Sequence[int]
    pids: Callable[[], Sequence[int]]
    kill: Callable[[], None]
    restart: Callable[[], None]


@contextmanager
def single_mosquitto() -> Iterator[Broker]:
    """Run one mosquitto with `set_tcp_nodelay`; all is forgotten when it is killed."""
    with Mosquitto(settings="set_tcp_nodelay true\nmax_queued_messages 100000") as broker:
        yield Broker(
            "mosquitto",
            broker.port,
            [broker.port],
            lambda: [broker.pid],
            broker.kill,
            broker.start,
        )


@contextmanager
def rabbitmq_cluster(root: Path) -> Iterator[Broker]:
    """Run three nodes of RabbitMQ and a load balancer."""
    with RabbitMqCluster(root=root) as cluster:
        ports = [node.port for node in cluster.nodes]
        first = cluster.nodes[0]

        def restart() -> None:
            first.start()
            first.wait_started()

        with LoadBalancer(ports) as balancer:
            name = f"RabbitMQ {cluster.version}, {len(ports)} nodes"
            yield Broker(name, balancer.port, ports, lambda: cluster.pids, first.kill, restart)


def measure(args: argparse.Namespace, broker: Broker) -> dict[str, object]:
    """Run the load, kill and restart a node; return the figures."""
    figures: dict[str, object] = {"broker": broker.name, "devices": args.devices}
    options = MqttOptions(host="127.0.0.1", port=broker.port, max_reconnect_s=5)
    listener = Worker(listen, MqttOptions(host="127.0.0.1", port=broker.ports[-1]), ALL)
    listener.receive()
    started_s = time.monotonic()
    fleet = start_fleet(args, options)
    figures["all_online_s"] = round(time.monotonic() - started_s, 1)
    used_s = sum(map(cpu_s, broker.pids()))
    for worker in fleet:
        worker.send("go")
    time.sleep(args.seconds / 3)
    figures["broker_mb"] = round(sum(map(memory_mb, broker.pids())), 1)
    figures["broker_cpu"] = round((sum(map(cpu_s, broker.pids())) - used_s) / (args.seconds / 3), 3)
    killed_s = time.monotonic()
    broker.kill()
    time.sleep(args.seconds / 3)
    restarted_s = time.monotonic()
    broker.restart()
    figures["node_restart_s"] = round(time.monotonic() - restarted_s, 1)
    time.sleep(args.seconds / 3)
    for worker in fleet:
        worker.send("stop")
    published: list[Published] = [worker.receive() for worker in fleet]
    time.sleep(_DRAIN_S)
    figures |= message_figures(merge_received([listener]), published, time.monotonic() - killed_s)
    figures["offline_after_kill"] = _outage(published, killed_s, restarted_s)
    figures["offline_after_restart"] = _outage(published, restarted_s, float("inf"))
    figures["labels"] = _labels_at_nodes(broker, published)
    for worker in fleet:
        worker.send("go home")
        worker.join()
    return figures


def _outage(published: Sequence[Published], from_s: float, to_s: float) -> dict[str, object]:
    """Return the largest number of devices offline, and the seconds until all were back."""
    changes = [[each for each in one.offline if from_s <= each[0] < to_s] for one in published]
    most = sum(max((count for _, count in each), default=0) for each in changes)
    back = all(each[-1][1] == 0 for each in changes if each)
    back_s = round(max((each[-1][0] - from_s for each in changes if each), default=0.0), 1)
    return {"devices": most, "all_back_after_s": back_s if back else "not in time"}


def _labels_at_nodes(broker: Broker, published: Sequence[Published]) -> dict[str, object]:
    """Return what a new subscriber at each node knows at once, and after the state was sent again."""
    expected = {name: label for each in published for name, label in each.labels.items()}
    found: dict[str, object] = {}

    def look(number: int, port: int) -> None:
        found[f"node {number}"] = _new_subscriber(port, expected)

    threads = [threading.Thread(target=look, args=each) for each in enumerate(broker.ports, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return dict(sorted(found.items()))


def _new_subscriber(port: int, expected: dict[str, str]) -> dict[str, float]:
    """Return the labels known after 3 s, those missing and stale after a minute, and the seconds to all."""
    seen: dict[str, str] = {}
    at_once = 0
    begun_s = time.monotonic()
    complete_s = 0.0
    try:
        with Subscriber(MqttOptions(host="127.0.0.1", port=port), "edge_daemon/+/label") as subscriber:
            begun_s = time.monotonic()
            while (now_s := time.monotonic() - begun_s) < RESEND_S + 15 and seen != expected:
                message = subscriber.receive(0.2)
                if message is not None:
                    seen[message.topic.split("/")[1]] = message.payload.decode()
                if now_s < _AT_ONCE_S:
                    at_once = len(seen)
                complete_s = time.monotonic() - begun_s
    except BrokerError as exc:
        print(f"cluster: a new subscriber failed: {exc}", file=sys.stderr)
    stale = sum(expected.get(name) != label for name, label in seen.items())
    return {
        "at_once": at_once,
        "missing": len(expected.keys() - seen.keys()),
        "stale": stale,
        "seconds": round(complete_s, 1),
    }


def main() -> int:
    parser = fleet_parser(__doc__, devices=200, seconds=90.0, results_per_s=0.5, processes=2)
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the Debian with RabbitMQ")
    parser.add_argument("--only", choices=["mosquitto", "cluster"])
    args = parser.parse_args()
    allow_open_files(args.devices)
    brokers: dict[str, Callable[[], AbstractContextManager[Broker]]] = {
        "mosquitto": single_mosquitto,
        "cluster": partial(rabbitmq_cluster, args.root),
    }
    for name, run in brokers.items():
        if args.only in (None, name):
            with ExitStack() as parts:
                figures = measure(args, parts.enter_context(run()))
            print(json.dumps(figures) if args.json else table(figures) + "\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
