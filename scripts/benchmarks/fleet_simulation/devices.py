"""Simulated devices: the daemon's own MQTT bridge with random labels, without a camera."""

from __future__ import annotations

import heapq
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from multiprocessing.connection import Connection

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.commands import Command
from edge_daemon.domain.events import Classified, CommandReply, ExamplesChanged, LabelChanged
from edge_daemon.domain.types import WHOLE_FRAME, Prediction
from edge_daemon.mqtt.bridge import build_bridge
from edge_daemon.mqtt.payloads import Info
from edge_daemon.system.clock import SystemClock

CONNECTS_PER_S = 50.0
"""Rate at which the devices connect."""

LABELS = ("bolt", "nut", "washer", "unknown")
_COUNTS = {"bolt": 12, "nut": 9, "washer": 14}
_LATENCY_MS = 40.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Results per second of each device, and the seconds between changes of its label."""

    results_per_s: float
    change_every_s: float


@dataclass(frozen=True, slots=True)
class Published:
    """Messages published by the devices of a process, their last labels by name, and their outages.

    `offline` has (monotonic time, number of devices without a connection) at each change of that number.
    """

    results: int
    changes: int
    labels: dict[str, str]
    offline: list[tuple[float, int]]


class LightDevice:
    """One simulated device. `results` and `changes` count its published messages."""

    def __init__(self, number: int, options: MqttOptions) -> None:
        self.name = f"sim-{number:05d}"
        info = Info(
            device=self.name,
            name=self.name,
            version="0",
            model="none",
            classifier="knn",
            regions=[WHOLE_FRAME],
            config_digest="simulated",
        )
        self.sink = build_bridge(options, info, self._answer, SystemClock(), _crash)
        self.results = 0
        self.changes = 0
        self.label = LABELS[-1]

    def publish_result(self) -> None:
        """Publish the result of a frame captured now."""
        shares = dict.fromkeys(_COUNTS, 1 / len(_COUNTS))
        if self.sink.connected:
            self.results += 1
            self.sink.handle(
                Classified(
                    WHOLE_FRAME,
                    Prediction(self.label, shares, 0.9),
                    self.results,
                    datetime.now(UTC),
                    _LATENCY_MS,
                )
            )

    def change_label(self) -> None:
        """Publish a change to another label."""
        previous = self.label
        self.label = random.choice([label for label in LABELS if label != previous])
        self.changes += 1
        self.sink.handle(
            LabelChanged(WHOLE_FRAME, self.label, previous, 0.9, self.changes, datetime.now(UTC), _LATENCY_MS)
        )

    def _answer(self, command: Command) -> bool:
        self.sink.handle(CommandReply(command, data={"counts": _COUNTS}))
        return True


def run_devices(pipe: Connection, options: MqttOptions, numbers: Sequence[int], rates: Rates) -> None:
    """Run the devices `numbers` in this process: send "online", then publish from "go" to "stop".

    At the end, `Published` is sent over `pipe`.
    """
    logging.disable(logging.WARNING)
    devices = [LightDevice(number, options) for number in numbers]
    for device in devices:
        device.sink.handle(ExamplesChanged(_COUNTS))
        device.sink.start()
        time.sleep(1 / CONNECTS_PER_S)
    while not all(device.sink.connected for device in devices):
        time.sleep(0.05)
    pipe.send("online")
    pipe.recv()
    offline: list[tuple[float, int]] = []
    for due_s, act in _schedule(devices, rates):
        if pipe.poll(max(0.0, due_s - time.monotonic())):
            break
        act()
        count = sum(not device.sink.connected for device in devices)
        if count != (offline[-1][1] if offline else 0):
            offline.append((time.monotonic(), count))
    pipe.recv()
    pipe.send(
        Published(
            sum(device.results for device in devices),
            sum(device.changes for device in devices),
            {device.name: device.label for device in devices},
            offline,
        )
    )
    pipe.recv()
    for device in devices:
        device.sink.stop()


def _schedule(devices: Sequence[LightDevice], rates: Rates) -> Iterator[tuple[float, Callable[[], None]]]:
    """Yield (monotonic time, action) without end; each device starts at a random offset."""
    now, order = time.monotonic(), count()
    heap: list[tuple[float, int, float, Callable[[], None]]] = []
    for device in devices:
        for act, every_s in (
            (device.publish_result, 1 / rates.results_per_s),
            (device.change_label, rates.change_every_s),
        ):
            heapq.heappush(heap, (now + random.uniform(0, every_s), next(order), every_s, act))
    while True:
        due_s, _, every_s, act = heap[0]
        yield due_s, act
        heapq.heapreplace(heap, (due_s + every_s, next(order), every_s, act))


def _crash(crash: BaseException) -> None:
    raise SystemExit(f"a simulated device crashed: {crash!r}")
