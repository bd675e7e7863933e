"""Devices of one fleet in a process: real stores, synchronization and connections, without a camera."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from measure_fleet import Device

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.commands import Command, Origin, Remove
from edge_daemon.domain.events import LabelChanged
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.mqtt.bridge import build_bridge
from edge_daemon.mqtt.fleet_link import FleetLink
from edge_daemon.mqtt.message import Incoming, Message
from edge_daemon.mqtt.payloads import Info
from edge_daemon.system.clock import SystemClock
from fleet_simulation.process_usage import memory_mb

LABELS = 10
EVENT_EVERY_S = 1.0
_IDLE_S = 0.02
_CONNECT_S = 60.0


class CountedLink(FleetLink):
    """A fleet link that counts the bytes of its payloads. Takes the place of `link`."""

    def __init__(self, link: FleetLink) -> None:
        vars(self).update(vars(link))
        self.sent_bytes = 0
        self.received_bytes = 0

    def next(self, window: int) -> Message | None:
        """Return the next message to send, if any."""
        message = super().next(window)
        self.sent_bytes += len(message.payload) if message is not None else 0
        return message

    def handle(self, incoming: Incoming) -> bool:
        """Process a message and return True if its topic is the fleet's."""
        self.received_bytes += len(incoming.payload)
        return super().handle(incoming)


@dataclass(frozen=True, slots=True)
class PeerState:
    """Live numbers that a peer knows by device, its own included, and its figures since the start.

    `accepted` is the number of peers' examples that count; `events` is the number of published events.
    """

    known: Mapping[str, frozenset[int]]
    accepted: int
    sent_bytes: int
    received_bytes: int
    events: int
    connected: bool


class Peer(Device):
    """A device of the fleet with a connection; it publishes an event every second once `publishes` is set."""

    def __init__(self, folder: Path, name: str, size: int, port: int) -> None:
        super().__init__(folder, name, size, 0)
        self.name = name
        self.publishes = False
        self._events = 0
        self._next_event_s = 0.0
        self._counted = CountedLink(self.link)
        info = Info(
            device=name,
            name=name,
            version="0",
            model="none",
            classifier="knn",
            regions=[WHOLE_FRAME],
            config_digest="simulated",
        )
        options = MqttOptions(host="127.0.0.1", port=port, max_reconnect_s=5)
        self.sink = build_bridge(options, info, _ignore, SystemClock(), _crash, fleet=self._counted)
        self.sink.start()

    def teach_many(self, count: int) -> None:
        """Teach `count` examples of the labels in turn."""
        for number in range(count):
            self.teach(number % LABELS)

    def remove_oldest(self) -> None:
        """Remove our oldest example."""
        oldest = next(each for each in self.store.examples())
        list(self.trainer.execute(Remove((oldest.id,), Origin("gpio", "17"))))

    def advance(self) -> None:
        """Run one step of the synchronization, and publish what is due."""
        snapshot = self.step()
        if snapshot is not None:
            self.sink.handle(snapshot)
        now_s = time.monotonic()
        if self.publishes and now_s >= self._next_event_s:
            self._next_event_s = now_s + EVENT_EVERY_S
            self._events += 1
            self.sink.handle(
                LabelChanged(WHOLE_FRAME, "nut", "bolt", 0.9, self._events, datetime.now(UTC), 40.0)
            )

    def state(self) -> PeerState:
        """Return what this peer knows."""
        rows = self.store.query("SELECT origin, number FROM examples WHERE removed_at IS NULL")
        known: dict[str, set[int]] = {self.name: set()}
        for origin, number in rows:
            known.setdefault(origin or self.name, set()).add(number)
        figures = self.trainer.fleet
        return PeerState(
            {name: frozenset(numbers) for name, numbers in known.items()},
            sum(each.accepted for each in figures.peers.values()) if figures else 0,
            self._counted.sent_bytes,
            self._counted.received_bytes,
            self._events,
            self.sink.connected,
        )


def run_peers(pipe: Connection, names: Sequence[str], ports: Sequence[int], size: int) -> None:
    """Run the peers `names` at these ports in this process, and execute commands from `pipe` until "stop".

    Commands are "teach N" and "remove" for all peers, "publish on" and "publish off", and "state", which is
    answered with {name: PeerState}. Once all are connected, the added memory in MB is sent.
    """
    logging.disable(logging.WARNING)
    before_mb = memory_mb(os.getpid())
    with tempfile.TemporaryDirectory() as folder:
        peers = [Peer(Path(folder), name, size, port) for name, port in zip(names, ports, strict=True)]
        deadline = time.monotonic() + _CONNECT_S
        while not all(peer.sink.connected for peer in peers) and time.monotonic() < deadline:
            time.sleep(_IDLE_S)
        pipe.send("online")
        while True:
            command = pipe.recv() if pipe.poll(_IDLE_S) else ""
            if command == "stop":
                break
            if command == "state":
                pipe.send(({peer.name: peer.state() for peer in peers}, memory_mb(os.getpid()) - before_mb))
            for peer in peers:
                if command.startswith("teach "):
                    peer.teach_many(int(command.removeprefix("teach ")))
                elif command == "remove":
                    peer.remove_oldest()
                elif command.startswith("publish "):
                    peer.publishes = command == "publish on"
                peer.advance()
        for peer in peers:
            peer.sink.stop()
            peer.store.close()


def _ignore(command: Command) -> bool:
    return True


def _crash(crash: BaseException) -> None:
    raise SystemExit(f"a simulated peer crashed: {crash!r}")
