"""What a fleet costs: a record's bytes and time, the cosine lost to eight bits, how long a newcomer learns.

    .venv/bin/python scripts/measure_fleet.py [--examples 500] [--size 1280] [--own 100] [--repeat 3]

No broker and no model: one device tells examples drawn around ten labels, another takes them in, with
examples of its own to be judged by, on a store in the current folder's disk.
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
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.fleet.chunks import Chunks, packed
from edge_daemon.fleet.records import RecordSigner, quantise, restore
from edge_daemon.fleet.sync import FleetSync
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.mqtt.fleet_link import ROOT, FleetLink
from edge_daemon.mqtt.message import Incoming
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.testing import ColourEmbedder
from edge_daemon.teaching.trainer import SHARED_POOL, Trainer

LABELS = 10
KEY = "00" * 32


class Embedding(ColourEmbedder):
    """Stands for a model whose embeddings have `size` numbers."""

    def __init__(self, size: int) -> None:
        self.size = size


class Device:
    """A member of the fleet with `count` examples of its own."""

    def __init__(self, folder: Path, name: str, size: int, count: int) -> None:
        self.store = ExampleStore(folder / f"{name}.sqlite")
        draw = np.random.default_rng(len(name))
        centres = np.random.default_rng(1).normal(size=(LABELS, size))
        with self.store.transaction():
            for number in range(count):
                vector = np.maximum(centres[number % LABELS] + 0.7 * draw.normal(size=size), 0)
                unit = (vector / np.linalg.norm(vector)).astype(np.float32)
                self.store.add(unit, f"label {number % LABELS}", space=Embedding.space)
        fellowship = FleetFactory(
            FleetOptions(group="g", max_examples=5000), name, {"EDGE_DAEMON_FLEET_KEY": KEY}
        )
        fellowship.enter(self.store)
        learners = {SHARED_POOL: make_classifier(vote="padded")}
        self.teacher = Trainer(self.store, learners, {"frame": SHARED_POOL}, Embedding.space, peers=True)
        member = fellowship.member(self.store, self.teacher, Embedding(size), SystemClock())
        link = fellowship.link(Embedding.space)
        assert member is not None
        assert link is not None
        self.member: FleetSync = member
        self.link: FleetLink = link

    def step(self) -> events.FleetSnapshot | None:
        """Do what one step of the pipeline does for the fleet."""
        told = [event for event in self.member.advance() if isinstance(event, events.FleetSnapshot)]
        return told[-1] if told else None


def timed(work: Callable[[], object], times: int) -> float:
    """Return the milliseconds of processor time of one call."""
    begun = time.thread_time()
    for _ in range(times):
        work()
    return 1000 * (time.thread_time() - begun) / times


def measure_record(device: Device, size: int) -> None:
    example = next(device.store.examples())
    seal = RecordSigner(bytes.fromhex(KEY), "g", Embedding.space)
    record = seal.sign_example("old", 1, example)
    lost = [1 - float(restore(quantise(each.embedding)) @ each.embedding) for each in device.store.examples()]
    print(
        f"record: {len(record)} bytes of {size} numbers; cosine lost {statistics.mean(lost):.1e}, "
        f"at most {max(lost):.1e}"
    )
    print(
        f"sign {timed(lambda: seal.sign_example('old', 1, example), 200):.3f} ms, "
        f"check {timed(lambda: seal.open('old', record), 200):.3f} ms"
    )


def counting(device: Device) -> int:
    """Return how many examples of the other count on this one."""
    figures = device.teacher.fleet
    return figures.peers["old"].counting if figures and "old" in figures.peers else 0


def catch_up(told: events.FleetSnapshot, device: Device) -> tuple[float, float]:
    """Return seconds until all count, and the processor time of the longest step in ms."""
    chunks = Chunks()
    chunks.update(told.records)
    payloads = [packed([told.roll]), *(chunks.payload(chunk) for chunk in range(len(chunks)))]
    for number, payload in enumerate(payloads):
        device.link.take(Incoming(f"{ROOT}/g/old/{number}", payload, retained=True))
    begun, longest = time.perf_counter(), 0.0
    while counting(device) < len(told.records):
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
            told = old.step()
            assert told is not None
            first_ms = 1000 * (time.thread_time() - begun)
            measure_record(old, args.size)
            chunks = Chunks()
            chunks.update(told.records)
            total = sum(len(chunks.payload(chunk)) for chunk in range(len(chunks)))
            print(
                f"{args.examples} examples: {first_ms:.0f} ms to sign at start, {len(chunks)} chunks, "
                f"{total} bytes, the roll {len(told.roll)} bytes"
            )
            new = Device(Path(folder), "newcomer", args.size, args.own)
            new.step()
            seconds, longest_ms = catch_up(told, new)
            print(f"newcomer with {args.own} of its own: {seconds:.2f} s, longest step {longest_ms:.0f} ms")


if __name__ == "__main__":
    main()
