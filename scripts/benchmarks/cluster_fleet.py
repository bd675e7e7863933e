#!/usr/bin/env python3
"""Measure a fleet group over three nodes of RabbitMQ: convergence, a healed partition, a new device. As root.

    scripts/dev/test-cluster bookworm scripts/benchmarks/cluster_fleet.py --peers 20 --examples 20

Each device has a store on disk, the fleet's synchronization and an MQTT bridge at one of the nodes. All run
in this process, except the new device, whose memory is measured.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import measure_fleet
from fleet_simulation.broker import memory_mb

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain import events
from edge_daemon.mqtt.bridge import build_bridge
from edge_daemon.mqtt.payloads import Info
from edge_daemon.system.clock import SystemClock
from tests.harness.rabbitmq_cluster import RabbitMqCluster

ROOT = Path(os.environ.get("EDGE_DAEMON_RABBITMQ_ROOT", "/"))
SIZE = 384
_STEP_S = 0.02
_PARTITION_S = 20.0
_GIVE_UP_S = 300.0


class Device:
    """A device of the group: `measure_fleet`'s, with a connection and a thread that runs its steps."""

    def __init__(self, folder: Path, name: str, port: int, examples: int) -> None:
        self.name = name
        self._device = measure_fleet.Device(folder, name, SIZE, examples)
        info = Info(
            device=name, name=name, version="0", model="none", classifier="knn", regions=[], config_digest="0"
        )
        options = MqttOptions(host="127.0.0.1", port=port, max_reconnect_s=5)
        self.bridge = build_bridge(
            options, info, lambda command: True, SystemClock(), _crash, fleet=self._device.link
        )
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Device:
        self.bridge.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self.bridge.stop()
        self._device.store.close()

    def teach(self, seed: int) -> None:
        """Store one more example."""
        with self._lock:
            self._device.teach(seed)

    def known(self) -> int:
        """Return the number of peers' examples, accepted or quarantined."""
        with self._lock:
            fleet = self._device.trainer.fleet
            return sum(each.accepted + each.quarantined for each in fleet.peers.values()) if fleet else 0

    def _run(self) -> None:
        while not self._stopping.wait(_STEP_S):
            with self._lock:
                for event in self._device.sync.advance():
                    if isinstance(event, events.FleetSnapshot):
                        self.bridge.handle(event)


def run_new_device(pipe: Connection, folder: Path, port: int, expected: int) -> None:
    """Run a device without examples until it knows `expected`; send the seconds and the MB of growth."""
    logging.disable(logging.WARNING)
    with Device(folder, "newcomer", port, 0) as device:
        begun_s = time.monotonic()
        while not device.bridge.connected:
            time.sleep(_STEP_S)
        before_mb = memory_mb(os.getpid())
        wait_for(lambda: device.known() >= expected)
        pipe.send((time.monotonic() - begun_s, memory_mb(os.getpid()) - before_mb))


def wait_for(condition: Callable[[], bool]) -> float:
    """Return the seconds until `condition` was true."""
    begun_s = time.monotonic()
    while not condition():
        if time.monotonic() - begun_s > _GIVE_UP_S:
            raise SystemExit("cluster_fleet: the devices did not converge in time")
        time.sleep(_STEP_S)
    return time.monotonic() - begun_s


def measure(cluster: RabbitMqCluster, folder: Path, peers: int, examples: int) -> None:
    """Run the three measurements and print them."""
    ports = [node.port for node in cluster.nodes]
    with ExitStack() as parts:
        begun_s = time.monotonic()
        devices = [
            parts.enter_context(Device(folder, f"peer-{each:02d}", ports[each % len(ports)], examples))
            for each in range(peers)
        ]
        each_knows = (peers - 1) * examples
        wait_for(lambda: all(device.known() >= each_knows for device in devices))
        print(
            f"{peers} devices with {examples} examples each: all know all {time.monotonic() - begun_s:.1f} s"
        )
        _measure_new_device(folder, ports[1], peers * examples)
        _measure_partition(cluster, devices, each_knows)


def _measure_new_device(folder: Path, port: int, expected: int) -> None:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=run_new_device, args=(theirs, folder, port, expected))
    process.start()
    seconds, grown_mb = mine.recv()
    process.join()
    print(f"new device knows {expected} examples after {seconds:.1f} s; its memory grew by {grown_mb:.1f} MB")


def _measure_partition(cluster: RabbitMqCluster, devices: Sequence[Device], known: int) -> None:
    """Cut off the last node, teach one example on each side, heal, and wait until all have both."""
    node = cluster.nodes[-1]
    cluster.partition(node)
    inside = next(
        index for index in range(len(devices)) if index % len(cluster.nodes) == len(cluster.nodes) - 1
    )
    devices[0].teach(1)
    devices[inside].teach(2)
    time.sleep(_PARTITION_S)
    apart = sum(device.known() < known + 1 for device in devices)
    cluster.heal(node)
    seconds = wait_for(
        lambda: all(
            device.known() >= known + (1 if index in (0, inside) else 2)
            for index, device in enumerate(devices)
        )
    )
    print(
        f"after a partition ({apart} devices lacked an example) all know all {seconds:.1f} s after it healed"
    )


def _crash(error: BaseException) -> None:
    raise SystemExit(f"a device crashed: {error!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peers", type=int, default=20)
    parser.add_argument("--examples", type=int, default=20, help="of each device")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the Debian with RabbitMQ")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    with RabbitMqCluster(root=args.root) as cluster, tempfile.TemporaryDirectory() as folder:
        print(f"RabbitMQ {cluster.version}, {len(cluster.nodes)} nodes")
        measure(cluster, Path(folder), args.peers, args.examples)


if __name__ == "__main__":
    main()
