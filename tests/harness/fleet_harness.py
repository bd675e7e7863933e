"""Devices of a group without a broker: real stores, learners and members; the test carries the messages."""

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
from edge_daemon.fleet.chunks import Chunks, packed
from edge_daemon.fleet.key import key_id
from edge_daemon.fleet.messages import decode_message
from edge_daemon.fleet.quarantine import Quarantine
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.fleet.records import RecordSigner
from edge_daemon.fleet.replica import Replica
from edge_daemon.fleet.sync import FleetPublisher, FleetSync
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.system.testing import ManualClock
from edge_daemon.teaching.trainer import SHARED_POOL, Trainer

KEY = bytes(range(32))
SPACE = "model/embedding"
SIZE = 8
SEAL = RecordSigner(KEY, "sorters", SPACE)
BY_HAND = Origin("gpio", "17")


def vector(seed: int, around: int | None = None) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A unit vector that depends on the seed; near the axis `around` if one is given."""
    drawn = np.random.default_rng(seed).normal(size=SIZE)
    if around is not None:
        drawn = drawn * 0.1 + np.eye(SIZE)[around]
    unit: np.ndarray[tuple[int], np.dtype[np.float32]] = (drawn / np.linalg.norm(drawn)).astype(np.float32)
    return unit


def example(seed: int, label: str = "cat", size: int = SIZE) -> Example:
    """An example as a store holds it."""
    drawn = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    made = datetime(2026, 1, 1, tzinfo=UTC)
    return Example(seed, label, drawn / np.linalg.norm(drawn), SPACE, "frame", made)


class Device:
    """One device of the group. `said` is what it told last: topic to payload, as a broker would keep it."""

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        seal: RecordSigner = SEAL,
        max_examples: int = 50,
        max_peers: int = 5,
        max_per_label: int | None = None,
        store_name: str = "",
    ) -> None:
        self.name = name
        self.seal = seal
        self.clock = ManualClock()
        self.store = ExampleStore(folder / f"{store_name or name}.sqlite")
        self.peers = PeerExamples(self.store, seal.space)
        self.peers.join(seal.group, key_id(seal.key))
        learners = {SHARED_POOL: make_classifier(vote="padded", unknown="off")}
        self.teacher = Trainer(
            self.store, learners, {"frame": SHARED_POOL}, seal.space, max_per_label, peers=True
        )
        self.inbox = ReceiveQueue()
        self.member = FleetSync(
            device=name,
            group=seal.group,
            peers=self.peers,
            teacher=self.teacher,
            sharing=FleetPublisher(name, seal, self.peers, max_examples, self.clock),
            merging=Replica(self.peers, seal.space, SIZE, self.inbox, max_examples, max_peers, self.clock),
            probation=Quarantine(self.peers, self.teacher.pool_of),
            inbox=self.inbox,
            clock=self.clock,
        )
        self.said: dict[str, bytes] = {}
        self.happened: list[events.Event] = []
        self._chunks = Chunks(400)
        self.advance()

    def teach(self, label: str, seed: int, around: int | None = None, group: str = "") -> Example:
        """Keep an example of our own and learn it, as a press does."""
        example = self.store.add(
            vector(seed, around),
            label,
            space=self.seal.space,
            group=group,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        self.teacher.learn([example])
        self.teacher.revision += 1
        self.advance()
        return example

    def execute(self, command: Command) -> None:
        """Do what a command asks."""
        self.happened += self.teacher.execute(command)
        self.advance()

    def advance(self) -> None:
        """Let the pipeline step until nothing is left to do."""
        for event in self.member.advance():
            self.happened.append(event)
            if isinstance(event, events.FleetSnapshot):
                self._say(event)

    def hear(self, other: Device, topics: Sequence[str] | None = None) -> None:
        """Hear what another device said last, or some of it."""
        for topic in topics if topics is not None else list(other.said):
            self.take(topic, other.name, other.said.get(topic, b""))
        self.advance()

    def take(self, topic: str, device: str, payload: bytes) -> None:
        """Hear one message."""
        if payload:
            parcel = decode_message(self.seal, device, payload)
            for reason in parcel.refused:
                self.inbox.refuse(reason)
            self.inbox.put(f"{device}/{topic}", parcel, hash(payload))

    def knows(self) -> list[tuple[str, str, int]]:
        """Return (device, label, seed-independent number) of the peers' examples kept here."""
        rows = self.store.query(
            "SELECT origin, label, number FROM examples WHERE origin <> '' AND removed_at IS NULL"
        )
        return sorted(rows)

    def own(self) -> list[tuple[str, str, int]]:
        """Return what every peer should know of this device."""
        return sorted((self.name, label, number or 0) for _, label, number in self.peers.own())

    @property
    def figures(self) -> FleetFigures:
        """What was told of the fleet last."""
        assert self.teacher.fleet is not None
        return self.teacher.fleet

    def close(self) -> None:
        """Let go of the store."""
        self.store.close()

    def _say(self, told: events.FleetSnapshot) -> None:
        self.said["roll"] = packed([told.roll])
        for chunk in self._chunks.update(told.records):
            self.said[str(chunk)] = self._chunks.payload(chunk)
