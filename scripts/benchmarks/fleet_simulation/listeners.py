"""Who listens to the simulated devices, and who asks them: counts, and how long everything took."""

from __future__ import annotations

import math
import random
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from uuid import uuid4

import msgspec

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.mqtt.message import Incoming, Message
from edge_daemon.mqtt.subscriber import Subscriber

ALL = "edge_daemon/#"
_TICK_S = 0.2
_PATIENCE_S = 5.0
_LEAST_S = 0.001


class _Numbered(msgspec.Struct):
    seq: int
    captured_at: datetime


class _Answer(msgspec.Struct):
    transaction: str


@dataclass
class Heard:
    """What a listener heard: how often each (kind, device, number), and the way's milliseconds by kind."""

    numbers: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    delays_ms: dict[str, array[float]] = field(
        default_factory=lambda: {"result": array("f"), "event": array("f")}
    )
    messages: int = 0

    def take(self, message: Incoming) -> None:
        """Count a message that has just come. Only live ones: what is retained was not timed."""
        now = datetime.now(UTC)
        self.messages += not message.retained
        _, device, kind = message.topic.split("/", 2)
        if kind not in self.delays_ms:
            return
        said = msgspec.json.decode(message.payload, type=_Numbered)
        self.numbers[kind, device, said.seq] += 1
        self.delays_ms[kind].append((now - said.captured_at).total_seconds() * 1000)

    def add(self, other: Heard) -> None:
        """Join what another listener of the same group heard."""
        self.numbers.update(other.numbers)
        self.messages += other.messages
        for kind, delays in other.delays_ms.items():
            self.delays_ms[kind].extend(delays)


def listen(pipe: Connection, options: MqttOptions, topic_filter: str) -> None:
    """Listen in a process of its own until told to stop, then send what was heard."""
    heard = Heard()
    with Subscriber(options, topic_filter) as subscriber:
        pipe.send("listening")
        while not pipe.poll():
            message = subscriber.receive(_TICK_S)
            while message is not None:
                heard.take(message)
                message = subscriber.receive(0.0)
    pipe.send(heard)


def ask(pipe: Connection, options: MqttOptions, devices: int, per_s: float) -> None:
    """Ask devices at random for their examples, in a process of its own, until told to stop.

    What is sent at the end is the times to the answers, in milliseconds, and how many never came.
    """
    asked: dict[str, float] = {}
    took_ms: list[float] = []
    with Subscriber(options, "edge_daemon/+/response/examples") as subscriber:
        pipe.send("listening")
        pipe.recv()
        next_s = time.monotonic()
        last_s = math.inf
        while (now := time.monotonic()) < last_s and (asked or last_s == math.inf):
            if last_s == math.inf and pipe.poll():
                last_s = now + _PATIENCE_S
            if now >= next_s and last_s == math.inf:
                next_s += 1 / per_s
                asked[name := uuid4().hex] = now
                subscriber.publish(_request(random.randrange(devices), name))
            left_s = next_s - time.monotonic() if last_s == math.inf else _TICK_S
            message = subscriber.receive(max(_LEAST_S, min(left_s, _TICK_S)))
            if message is not None:
                answered = msgspec.json.decode(message.payload, type=_Answer).transaction
                if (since_s := asked.pop(answered, None)) is not None:
                    took_ms.append((time.monotonic() - since_s) * 1000)
    pipe.send((took_ms, len(asked)))


def _request(number: int, name: str) -> Message:
    body = msgspec.json.encode({"transaction": name})
    return Message(f"edge_daemon/sim-{number:05d}/request/examples", body, 1, retain=False)
