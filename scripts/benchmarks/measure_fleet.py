"""Measure the fleet: bytes and time per record, quantisation loss, time until a new device has accepted all.

    .venv/bin/python scripts/benchmarks/measure_fleet.py [--examples 500] [--size 1280] [--own 100]

Needs no broker and no model. One device publishes examples drawn around ten labels; another device with its
own examples receives and validates them. The stores are on the disk of the current folder.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_daemon.app.fleet_factory import FleetFactory
from edge_daemon.config.fleet import FleetOptions
from edge_daemon.domain import events
from edge_daemon.domain.types import Example
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.fleet.chunks import Chunks, pack_records
from edge_daemon.fleet.records import RecordSigner, dequantise, quantise
from edge_daemon.fleet.sync import FleetSync
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.mqtt.fleet_link import FleetLink
from edge_daemon.mqtt.fleet_topics import fleet_topic
from edge_daemon.mqtt.message import Incoming
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.testing import ColourEmbedder
from edge_daemon.teaching.classifier_pools import SHARED_POOL
from edge_daemon.teaching.trainer import Trainer

LABELS = 10
KEY = "00" * 32


class Embedding(ColourEmbedder):
    """An embedder of `size` numbers, without a model."""

    def __init__(self, size: int) -> None:
        self.size = size


class Device:
    """A sync of the fleet with `count` own examples."""

    def __init__(self, folder: Path, name: str, size: int, count: int) -> None:
        self.store = ExampleStore(folder / f"{name}.sqlite")
        self._draw = np.random.default_rng(list(name.encode()))
        self._centres = np.random.default_rng(1).normal(size=(LABELS, size))
        with self.store.transaction():
            for number in range(count):
                self._add(number % LABELS)
        factory = FleetFactory(
            FleetOptions(group="g", max_examples=5000), name, {"EDGE_DAEMON_FLEET_KEY": KEY}
        )
        factory.join(self.store)
        classifiers = {SHARED_POOL: make_classifier("knn", vote="padded")}
        self.trainer = Trainer(self.store, classifiers, {"frame": SHARED_POOL}, Embedding.space, peers=True)
        sync = factory.build_sync(self.store, self.trainer, Embedding(size), SystemClock())
        link = factory.build_link(Embedding.space)
        assert sync is not None
        assert link is not None
        self.sync: FleetSync = sync
        self.link: FleetLink = link

    def teach(self, label: int) -> None:
        """Store one more example and load it, as a press does."""
        self.trainer.load([self._add(label)])
        self.trainer.revision += 1

    def _add(self, label: int) -> Example:
        vector = np.maximum(self._centres[label] + 0.7 * self._draw.normal(size=self._centres.shape[1]), 0)
        unit = (vector / np.linalg.norm(vector)).astype(np.float32)
        return self.store.add(unit, f"label {label}", space=Embedding.space)

    def step(self) -> events.FleetSnapshot | None:
        """Run one step of the synchronization."""
        snapshot = [event for event in self.sync.advance() if isinstance(event, events.FleetSnapshot)]
        return snapshot[-1] if snapshot else None


def timed(work: Callable[[], object], times: int) -> float:
    """Return the milliseconds of processor time of one call."""
    begun = time.thread_time()
    for _ in range(times):
        work()
    return 1000 * (time.thread_time() - begun) / times


def measure_record(device: Device, size: int) -> None:
    example = next(device.store.examples())
    signer = RecordSigner(bytes.fromhex(KEY), "g", Embedding.space)
    record = signer.sign_example("old", 1, example)
    lost = [
        1 - float(dequantise(quantise(each.embedding)) @ each.embedding) for each in device.store.examples()
    ]
    print(
        f"record: {len(record)} bytes of {size} numbers; cosine lost {statistics.mean(lost):.1e}, "
        f"at most {max(lost):.1e}"
    )
    print(
        f"sign {timed(lambda: signer.sign_example('old', 1, example), 200):.3f} ms, "
        f"check {timed(lambda: signer.verify('old', record), 200):.3f} ms"
    )


def accepted(device: Device) -> int:
    """Return the number of accepted examples of the other device."""
    figures = device.trainer.fleet
    return figures.peers["old"].accepted if figures and "old" in figures.peers else 0


def catch_up(snapshot: events.FleetSnapshot, device: Device) -> tuple[float, float]:
    """Return the seconds until all are accepted, and the CPU time of the longest step in ms."""
    chunks = Chunks()
    chunks.update(snapshot.records)
    payloads = [pack_records([snapshot.live_set]), *(chunks.payload(chunk) for chunk in range(len(chunks)))]
    for number, payload in enumerate(payloads):
        device.link.handle(Incoming(fleet_topic("g", "old", str(number)), payload, retained=True))
    begun, longest = time.perf_counter(), 0.0
    while accepted(device) < len(snapshot.records):
        step = time.thread_time()
        device.step()
        longest = max(longest, time.thread_time() - step)
    return time.perf_counter() - begun, 1000 * longest


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--size", type=int, default=1280)
    parser.add_argument("--own", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    for _ in range(args.repeat):
        with tempfile.TemporaryDirectory(dir=".") as folder:
            old = Device(Path(folder), "old", args.size, args.examples)
            begun = time.thread_time()
            snapshot = old.step()
            assert snapshot is not None
            first_ms = 1000 * (time.thread_time() - begun)
            measure_record(old, args.size)
            chunks = Chunks()
            chunks.update(snapshot.records)
            total = sum(len(chunks.payload(chunk)) for chunk in range(len(chunks)))
            print(
                f"{args.examples} examples: {first_ms:.0f} ms to sign at start, {len(chunks)} chunks, "
                f"{total} bytes, the live set {len(snapshot.live_set)} bytes"
            )
            new = Device(Path(folder), "new", args.size, args.own)
            new.step()
            seconds, longest_ms = catch_up(snapshot, new)
            print(
                f"new device with {args.own} own examples: {seconds:.2f} s, longest step {longest_ms:.0f} ms"
            )


if __name__ == "__main__":
    main()
