"""Subscribers and requesters of the simulated devices, with counts and latencies."""

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
from edge_daemon.mqtt.subscriber import ConnectionState, ReconnectingSubscriber, Subscriber

ALL = "edge_daemon/#"
_TICK_S = 0.2
_RESPONSE_TIMEOUT_S = 5.0
_MIN_WAIT_S = 0.001


class _Numbered(msgspec.Struct):
    seq: int
    captured_at: datetime


class _Response(msgspec.Struct):
    transaction: str


@dataclass
class Received:
    """Messages that a listener received: count of each (kind, device, seq), and latencies in ms by kind."""

    numbers: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    delays_ms: dict[str, array[float]] = field(
        default_factory=lambda: {"result": array("f"), "event": array("f")}
    )
    messages: int = 0

    def add(self, message: Incoming) -> None:
        """Count a message received now; retained messages do not add to `messages`."""
        now = datetime.now(UTC)
        self.messages += not message.retained
        _, device, kind = message.topic.split("/", 2)
        if kind not in self.delays_ms:
            return
        body = msgspec.json.decode(message.payload, type=_Numbered)
        self.numbers[kind, device, body.seq] += 1
        self.delays_ms[kind].append((now - body.captured_at).total_seconds() * 1000)

    def merge(self, other: Received) -> None:
        """Add the messages of another listener of the same group."""
        self.numbers.update(other.numbers)
        self.messages += other.messages
        for kind, delays in other.delays_ms.items():
            self.delays_ms[kind].extend(delays)


def listen(pipe: Connection, options: MqttOptions, topic_filter: str) -> None:
    """Receive in a separate process until "stop", then send the result over `pipe`; reconnect if need be."""
    received = Received()
    with ReconnectingSubscriber(options, topic_filter) as subscriber:
        while not isinstance(state := subscriber.receive(_TICK_S), ConnectionState) or not state.connected:
            pass
        pipe.send("listening")
        while not pipe.poll():
            message = subscriber.receive(_TICK_S)
            while message is not None:
                if isinstance(message, Incoming):
                    received.add(message)
                message = subscriber.receive(0.0)
    pipe.send(received)


def ask(pipe: Connection, options: MqttOptions, devices: int, per_s: float) -> None:
    """Request the examples of random devices in a separate process until "stop".

    At the end, the response times in ms and the number of missing responses are sent over `pipe`.
    """
    pending: dict[str, float] = {}
    took_ms: list[float] = []
    with Subscriber(options, "edge_daemon/+/response/examples") as subscriber:
        pipe.send("listening")
        pipe.recv()
        next_s = time.monotonic()
        last_s = math.inf
        while (now := time.monotonic()) < last_s and (pending or last_s == math.inf):
            if last_s == math.inf and pipe.poll():
                last_s = now + _RESPONSE_TIMEOUT_S
            if now >= next_s and last_s == math.inf:
                next_s += 1 / per_s
                pending[name := uuid4().hex] = now
                subscriber.publish(_request(random.randrange(devices), name))
            left_s = next_s - time.monotonic() if last_s == math.inf else _TICK_S
            message = subscriber.receive(max(_MIN_WAIT_S, min(left_s, _TICK_S)))
            if message is not None:
                transaction = msgspec.json.decode(message.payload, type=_Response).transaction
                if (since_s := pending.pop(transaction, None)) is not None:
                    took_ms.append((time.monotonic() - since_s) * 1000)
    pipe.send((took_ms, len(pending)))


def _request(number: int, name: str) -> Message:
    body = msgspec.json.encode({"transaction": name})
    return Message(f"edge_daemon/sim-{number:05d}/request/examples", body, 1, retain=False)
