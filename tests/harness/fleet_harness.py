"""Devices of a group without a broker: real stores and classifiers; the test delivers the messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edge_daemon.domain import events
from edge_daemon.domain.commands import Command, Origin
from edge_daemon.domain.types import Example, FleetFigures
from edge_daemon.example_store.peer_examples import PeerExamples
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.fleet.chunks import Chunks, pack_records
from edge_daemon.fleet.key import key_id
from edge_daemon.fleet.quarantine import Quarantine
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.fleet.records import RecordSigner, decode_message
from edge_daemon.fleet.replica import Replica
from edge_daemon.fleet.sync import FleetPublisher, FleetSync
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.system.testing import ManualClock
from edge_daemon.teaching.classifier_pools import SHARED_POOL
from edge_daemon.teaching.trainer import Trainer

KEY = bytes(range(32))
SPACE = "model/embedding"
SIZE = 8
SIGNER = RecordSigner(KEY, "sorters", SPACE)
BY_HAND = Origin("gpio", "17")


def vector(seed: int, around: int | None = None) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return a unit vector that depends on the seed, near the axis `around` if given."""
    drawn = np.random.default_rng(seed).normal(size=SIZE)
    if around is not None:
        drawn = drawn * 0.1 + np.eye(SIZE)[around]
    unit: np.ndarray[tuple[int], np.dtype[np.float32]] = (drawn / np.linalg.norm(drawn)).astype(np.float32)
    return unit


def example(seed: int, label: str = "cat", size: int = SIZE) -> Example:
    """Return an example as a store holds it."""
    drawn = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    made = datetime(2026, 1, 1, tzinfo=UTC)
    return Example(seed, label, drawn / np.linalg.norm(drawn), SPACE, "frame", made)


class Device:
    """One device of the group. `published` holds its last payload of each topic, as a broker would."""

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        signer: RecordSigner = SIGNER,
        max_examples: int = 50,
        max_peers: int = 5,
        max_per_label: int | None = None,
        store_name: str = "",
    ) -> None:
        self.name = name
        self.signer = signer
        self.clock = ManualClock()
        self.store = ExampleStore(folder / f"{store_name or name}.sqlite")
        self.peers = PeerExamples(self.store, signer.space)
        self.peers.join(signer.group, key_id(signer.key))
        self.peers.set_device(name)
        classifiers = {SHARED_POOL: make_classifier("knn", vote="padded", unknown="off")}
        self.trainer = Trainer(
            self.store, classifiers, {"frame": SHARED_POOL}, signer.space, max_per_label, peers=True
        )
        self.receive_queue = ReceiveQueue()
        self.sync = FleetSync(
            device=name,
            group=signer.group,
            peers=self.peers,
            trainer=self.trainer,
            publisher=FleetPublisher(name, signer, self.peers, max_examples, self.clock),
            replica=Replica(
                self.peers, signer.space, SIZE, self.receive_queue, max_examples, max_peers, self.clock
            ),
            quarantine=Quarantine(self.peers, self.trainer.pool_of),
            receive_queue=self.receive_queue,
            clock=self.clock,
        )
        self.published: dict[str, bytes] = {}
        self.emitted: list[events.Event] = []
        self._chunks = Chunks(400)
        self.advance()

    def teach(self, label: str, seed: int, around: int | None = None, group: str = "") -> Example:
        """Store an example of our own and load it into the classifier, as a press does."""
        example = self.store.add(
            vector(seed, around),
            label,
            space=self.signer.space,
            group=group,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        self.trainer.load([example])
        self.trainer.revision += 1
        self.advance()
        return example

    def execute(self, command: Command) -> None:
        """Execute a command."""
        self.emitted += self.trainer.execute(command)
        self.advance()

    def advance(self) -> None:
        """Run one step of the pipeline."""
        for event in self.sync.advance():
            self.emitted.append(event)
            if isinstance(event, events.FleetSnapshot):
                self._publish(event)

    def receive_all(self, other: Device, topics: Sequence[str] | None = None) -> None:
        """Receive the last payloads of another device, of all topics or some."""
        for topic in topics if topics is not None else list(other.published):
            self.receive(topic, other.name, other.published.get(topic, b""))
        self.advance()

    def receive(self, topic: str, device: str, payload: bytes) -> None:
        """Receive one message."""
        if payload:
            message = decode_message(self.signer, device, payload)
            for reason in message.rejections:
                self.receive_queue.count_rejection(reason)
            self.receive_queue.put(f"{device}/{topic}", message, hash(payload))

    def peer_examples(self) -> list[tuple[str, str, int]]:
        """Return (device, label, number) of the peers' examples in this store."""
        rows = self.store.query(
            "SELECT origin, label, number FROM examples WHERE origin <> '' AND removed_at IS NULL"
        )
        return sorted(rows)

    def own(self) -> list[tuple[str, str, int]]:
        """Return (device, label, number) of our own examples."""
        return sorted((self.name, label, number or 0) for _, label, number in self.peers.own_numbers())

    @property
    def figures(self) -> FleetFigures:
        """The last reported figures of the fleet."""
        assert self.trainer.fleet is not None
        return self.trainer.fleet

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def _publish(self, snapshot: events.FleetSnapshot) -> None:
        self.published["roll"] = pack_records([snapshot.live_set])
        for chunk in self._chunks.update(snapshot.records):
            self.published[str(chunk)] = self._chunks.payload(chunk)
