#!/usr/bin/env python3
"""Measure a fleet at three nodes of RabbitMQ through a partition of the nodes. Linux, as root.

    scripts/dev/test-cluster bookworm scripts/benchmarks/cluster_fleet.py --peers 20

Each peer has its store, its synchronization and its connection to one node; the nodes take turns. All
teach and wait until each has exactly the examples of all. Then the first node is parted from the others: all
teach and remove on both sides, and the nodes are joined again. At the end a peer without examples joins.
Every peer publishes an event a second; a subscriber at the first node and one at the last count them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cluster import ROOT
from fleet_simulation.listeners import Received, listen
from fleet_simulation.peers import PeerState, run_peers
from fleet_simulation.process_usage import memory_mb
from simulate_fleet import Worker, allow_open_files, table

from edge_daemon.config.mqtt import MqttOptions
from tests.harness.rabbitmq_cluster import RabbitMqCluster

NEW_PEER = "new"
_POLL_S = 0.5
_DRAIN_S = 5.0
States = Mapping[str, PeerState]


class Fleet:
    """The processes that run the peers."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = list(workers)
        for worker in workers:
            worker.receive()

    def add(self, worker: Worker) -> None:
        """Add a process, once its peers are connected."""
        worker.receive()
        self._workers.append(worker)

    def send(self, command: str) -> None:
        """Send a command to every process."""
        for worker in self._workers:
            worker.send(command)

    def states(self) -> tuple[dict[str, PeerState], float]:
        """Return the state of each peer, and the memory in MB that the peers added to their processes."""
        self.send("state")
        states: dict[str, PeerState] = {}
        memory = 0.0
        for worker in self._workers:
            some, added_mb = worker.receive()
            states |= some
            memory += added_mb
        return states, memory

    def stop(self) -> None:
        """End the processes."""
        self.send("stop")
        for worker in self._workers:
            worker.join()

    def wait_converged(self, timeout_s: float, names: Sequence[str] = ()) -> dict[str, object]:
        """Wait until `names` know what every peer has, all by default; return time and gaps."""
        begun_s = time.monotonic()
        while True:
            states, _ = self.states()
            took_s = time.monotonic() - begun_s
            wrong = differences(states, names or list(states))
            if wrong == (0, 0) or took_s > timeout_s:
                return {"seconds": round(took_s, 1), "missing": wrong[0], "stale": wrong[1]}
            time.sleep(_POLL_S)


def differences(states: States, names: Sequence[str]) -> tuple[int, int]:
    """Return how many examples the peers `names` lack, and how many they have that their device has not."""
    missing = stale = 0
    for name in names:
        for other, state in states.items():
            own, known = state.known[other], states[name].known.get(other, frozenset())
            missing += len(own - known)
            stale += len(known - own)
    return missing, stale


def measure(args: argparse.Namespace, cluster: RabbitMqCluster) -> dict[str, object]:
    """Run the phases; return the figures."""
    ports = [node.port for node in cluster.nodes]
    figures: dict[str, object] = {"broker": f"RabbitMQ {cluster.version}", "peers": args.peers}
    listeners = [
        Worker(listen, MqttOptions(host="127.0.0.1", port=port), "edge_daemon/+/event")
        for port in (ports[0], ports[-1])
    ]
    for worker in listeners:
        worker.receive()
    names = [f"peer-{number:02d}" for number in range(args.peers)]
    sides = [names[node :: len(ports)] for node in range(len(ports))]
    parted, together = sides[0], [name for side in sides[1:] for name in side]
    parts = [range(args.peers)[first :: args.processes] for first in range(args.processes)]
    fleet = Fleet(
        [
            Worker(
                run_peers, [names[one] for one in part], [ports[one % len(ports)] for one in part], args.size
            )
            for part in parts
        ]
    )
    fleet.send(f"teach {args.examples}")
    figures["taught"] = fleet.wait_converged(args.timeout_s)
    figures["taught_kb"] = _traffic(fleet)
    fleet.send("publish on")
    time.sleep(_DRAIN_S)

    cluster.part(cluster.nodes[0])
    time.sleep(args.parted_s / 2)
    fleet.send("remove")
    fleet.send(f"teach {args.more}")
    time.sleep(args.parted_s / 2)
    states, _ = fleet.states()
    for side, members in (("parted", parted), ("together", together)):
        inside = differences({name: states[name] for name in members}, members)
        figures[f"{side}_side"] = {"peers": len(members), "missing": inside[0], "stale": inside[1]}
    across = differences(states, names)
    figures["across"] = {"missing": across[0], "stale": across[1]}
    healed_s = time.monotonic()
    cluster.join()
    figures["joined"] = fleet.wait_converged(args.timeout_s)
    figures["joined_s"] = round(time.monotonic() - healed_s, 1)
    figures["joined_kb"] = _traffic(fleet)
    fleet.send("publish off")
    time.sleep(_DRAIN_S)
    states, _ = fleet.states()
    for worker, place in zip(listeners, ("first", "last"), strict=True):
        worker.send("stop")
        figures[f"events_{place}"] = _events(worker.receive(), states, parted)

    fleet.add(Worker(run_peers, [NEW_PEER], [ports[-1]], args.size))
    figures["new_peer"] = fleet.wait_converged(args.timeout_s, [NEW_PEER])
    states, memory = fleet.states()
    figures["new_peer_accepted"] = states[NEW_PEER].accepted
    figures["new_peer_kb"] = _traffic(fleet)
    figures["peer_mb"] = round(memory / len(states), 2)
    figures["nodes_mb"] = round(sum(map(memory_mb, cluster.pids)), 1)
    fleet.stop()
    return figures


def _traffic(fleet: Fleet) -> dict[str, float]:
    """Return the kB of fleet payloads that a peer has sent and received so far, on average."""
    states = list(fleet.states()[0].values())
    return {
        "sent": round(sum(each.sent_bytes for each in states) / len(states) / 1000, 1),
        "received": round(sum(each.received_bytes for each in states) / len(states) / 1000, 1),
    }


def _events(received: Received, states: States, parted: Sequence[str]) -> dict[str, object]:
    """Return the events of each side of the partition: sent, lost and doubled."""
    figures: dict[str, object] = {}
    for side, names in (("parted", parted), ("together", sorted(states.keys() - set(parted)))):
        sent = sum(states[name].events for name in names)
        counts = [count for (_, device, _), count in received.numbers.items() if device in names]
        figures[side] = f"{sent} sent {sent - len(counts)} lost {sum(counts) - len(counts)} doubled"
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2, help="processes that run the peers")
    parser.add_argument("--examples", type=int, default=10, help="of each peer")
    parser.add_argument("--more", type=int, default=2, help="taught by each peer during the partition")
    parser.add_argument("--size", type=int, default=384, help="numbers of an embedding")
    parser.add_argument("--parted-s", type=float, default=20.0)
    parser.add_argument("--timeout-s", type=float, default=180.0, help="longest wait for the peers to agree")
    parser.add_argument("--partitions", default="autoheal", help="cluster_partition_handling")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the Debian with RabbitMQ")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    allow_open_files(args.peers)
    with RabbitMqCluster(root=args.root, partitions=args.partitions) as cluster:
        figures = {"cluster_partition_handling": args.partitions} | measure(args, cluster)
    print(json.dumps(figures) if args.json else table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
