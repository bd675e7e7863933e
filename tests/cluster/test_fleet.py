"""A fleet whose devices use different nodes of the cluster: real stores, links and connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain import events
from edge_daemon.domain.commands import Relabel, Remove
from edge_daemon.mqtt.bridge import build_bridge
from edge_daemon.mqtt.fleet_link import FleetLink
from tests.harness.fleet_harness import BY_HAND, SIGNER, Device
from tests.harness.mqtt_harness import TestClock, info, wait_until
from tests.harness.rabbitmq_cluster import RabbitMqCluster, RabbitMqNode

SLOW_S = 120.0
"""Longer than a node's start, the check for retained messages and the pause between two resends."""


class Peer(Device):
    """A fleet device with a connection to one node."""

    def __init__(self, folder: Path, name: str, node: RabbitMqNode) -> None:
        super().__init__(folder, name)
        options = MqttOptions(host=node.host, port=node.port, max_reconnect_s=1)
        link = FleetLink(name, SIGNER, self.receive_queue)
        self.crashes: list[BaseException] = []
        self.sink = build_bridge(
            options, info(name), lambda command: True, TestClock(), self.crashes.append, fleet=link
        )
        self.sink.start()

    def exchange(self) -> None:
        """Merge what was received, and publish our changes."""
        self.advance()
        for event in self.emitted:
            if isinstance(event, events.FleetSnapshot):
                self.sink.handle(event)
        self.emitted.clear()

    def close(self) -> None:
        """End connection and store."""
        self.sink.stop()
        super().close()
        assert self.crashes == []


def have_converged(*peers: Peer) -> bool:
    """Exchange messages; return whether each of `peers` has exactly the examples of the others."""
    for peer in peers:
        peer.exchange()
    published = {peer.name: peer.own() for peer in peers}
    return all(
        [row for row in peer.peer_examples() if row[0] == other] == rows
        for peer in peers
        for other, rows in published.items()
        if other != peer.name
    )


@pytest.fixture
def join(cluster: RabbitMqCluster, tmp_path: Path) -> Iterator[Callable[[str, int], Peer]]:
    with ExitStack() as parts:

        def new(name: str, node: int) -> Peer:
            peer = Peer(tmp_path, name, cluster.nodes[node])
            parts.callback(peer.close)
            return peer

        yield new


def test_peers_at_different_nodes_converge_while_a_node_is_lost_and_after_it_is_back(
    cluster: RabbitMqCluster, join: Callable[[str, int], Peer]
) -> None:
    north, south, east = peers = (join("north", 0), join("south", 1), join("east", 2))
    cats = [north.teach("cat", seed) for seed in range(3)]
    dogs = [south.teach("dog", 10 + seed) for seed in range(3)]
    east.teach("bird", 20)
    wait_until(lambda: have_converged(*peers), SLOW_S)

    north.execute(Relabel((cats[0].id,), "lion", BY_HAND))
    south.execute(Remove((dogs[0].id,), BY_HAND))
    wait_until(lambda: have_converged(*peers), SLOW_S)
    assert {label for _, label, _ in east.peer_examples()} == {"cat", "lion", "dog"}

    cluster.nodes[0].kill()
    wait_until(lambda: not north.sink.connected, SLOW_S)
    north.execute(Remove((cats[1].id,), BY_HAND))
    south.execute(Relabel((dogs[1].id,), "wolf", BY_HAND))
    south.execute(Remove((dogs[2].id,), BY_HAND))
    east.teach("fish", 21)
    north.exchange()
    wait_until(lambda: have_converged(south, east), SLOW_S)
    assert not have_converged(north, south), "the killed node was reached"

    cluster.nodes[0].start()
    cluster.nodes[0].wait_started()
    wait_until(lambda: have_converged(*peers), SLOW_S)
    late = join("late", 2)
    wait_until(lambda: have_converged(*peers, late), SLOW_S)
    assert len(late.peer_examples()) == 5


def test_peers_converge_once_parted_nodes_are_joined(
    cluster: RabbitMqCluster, join: Callable[[str, int], Peer]
) -> None:
    if cluster.version.startswith("3."):
        pytest.skip("nodes of RabbitMQ 3.10 may not come back after a partition")
    north, south, east = peers = (join("north", 0), join("south", 1), join("east", 2))
    cats = [north.teach("cat", seed) for seed in range(3)]
    dogs = [south.teach("dog", 10 + seed) for seed in range(3)]
    wait_until(lambda: have_converged(*peers), SLOW_S)

    cluster.part(cluster.nodes[0])
    assert cluster.nodes[0].ctl("eval", "nodes().").strip() == "[]"
    north.execute(Remove((cats[0].id,), BY_HAND))
    north.teach("lion", 20)
    south.execute(Relabel((dogs[0].id,), "wolf", BY_HAND))
    east.teach("bird", 21)
    assert not have_converged(*peers)

    cluster.join()
    wait_until(lambda: have_converged(*peers), SLOW_S)
    assert {label for _, label, _ in east.peer_examples()} == {"cat", "lion", "dog", "wolf"}
