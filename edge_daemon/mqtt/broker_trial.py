"""A trial of a broker: connects, subscribes and publishes as the device does, and notes what is refused."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.broker_limits import BrokerLimits
from edge_daemon.mqtt.client import Connection, ConnectOptions
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.negotiation import connect
from edge_daemon.mqtt.payloads import Response, encode
from edge_daemon.mqtt.topics import Topics
from edge_daemon.system.wakeup import Wakeup

LONG_BYTES = 10_000
"""Size of the long message that is tried: about what a discovery or an answer needs."""
_MAX_PACKET = 65_536
_ANSWER_S = 5.0
_ECHO_S = 1.0
_STANDING_S = 0.5


@dataclass(slots=True)
class TrialResult:
    """What a trial has found: `availability` is the retained text, `refused` a clause for each refusal."""

    limits: BrokerLimits = field(default_factory=BrokerLimits)
    availability: str | None = None
    refused: list[str] = field(default_factory=list)


class BrokerTrial:
    """Tries what a device does at a broker, without harm to a device that runs there.

    The client id is another one. Will and retained messages repeat what the broker holds at their topics.
    Labels and events, which subscribers act on, are tried only while the device is not online. `discovery` is
    the topic of Home Assistant's discovery, None where it is off; `fleet` holds the fleet's topic filters.
    """

    def __init__(
        self,
        options: MqttOptions,
        device: str,
        topics: Topics,
        discovery: str | None = None,
        fleet: tuple[str, ...] = (),
    ) -> None:
        self._options = options
        self._client_id = f"edge_daemon-{device}-doctor"
        self._topics = topics
        self._states = (topics.info, *([] if discovery is None else [discovery]))
        self._filters = (topics.requests, topics.response("doctor"), *self._states, *fleet)
        self._wakeup = Wakeup()
        self._connection: Connection
        self._stored: dict[str, bytes] = {}
        self._echoes: list[tuple[str, bytes]] = []
        self._findings = TrialResult()

    def run(self) -> TrialResult:
        """Return what was found. Raises BrokerError when there is no connection."""
        try:
            self._look()
            self._connect()
            for message in self._messages():
                self._try(message)
            self._connection.close(graceful=True)
        finally:
            self._wakeup.close()
        return self._findings

    def _look(self) -> None:
        """Read what the broker holds at the device's topics."""
        party = ConnectOptions(self._client_id, max_packet=_MAX_PACKET)
        self._connection = connect(self._options, party, os.environ, lambda: False)
        for topic in (self._topics.availability, *self._states):
            self._connection.subscribe(topic, qos=1)
        self._wait_for(lambda: False, _STANDING_S)
        self._connection.close(graceful=True)
        self._stored = dict(self._echoes)
        state = self._stored.get(self._topics.availability)
        self._findings.availability = None if state is None else state.decode(errors="replace")

    def _connect(self) -> None:
        state = self._stored.get(self._topics.availability) or b"offline"
        will = Message(self._topics.availability, state, self._options.qos, retain=True)
        party = ConnectOptions(self._client_id, will, _MAX_PACKET)
        self._connection = connect(self._options, party, os.environ, lambda: False)
        self._findings.limits &= self._connection.limits
        for topic_filter in self._filters:
            self._settle(f"subscribing to {topic_filter}", self._connection.subscribe(topic_filter, qos=1))

    def _messages(self) -> Iterator[Message]:
        qos = self._options.qos
        for topic in self._states:
            yield Message(topic, self._stored.get(topic, b""), qos, retain=True)
        answer = self._topics.response("doctor")
        for padding in (0, LONG_BYTES):
            body = Response(status="ok", data={"padding": " " * padding} if padding else {})
            yield Message(answer, encode(body), qos, retain=False)
        if self._findings.availability != "online":
            yield from (Message(self._topics.label(each), b"", qos, True) for each in self._topics.regions)
            yield Message(self._topics.event, b"", qos, retain=False)

    def _try(self, message: Message) -> None:
        """Publish within the limits that are known, and see whether it is answered and comes back."""
        message = self._findings.limits.reduced(message)
        if message.packet_bytes > (self._findings.limits.max_packet or message.packet_bytes):
            return
        what = f"publishing {message.packet_bytes} bytes at {message.topic}"
        self._echoes.clear()
        try:
            mid = self._connection.publish(message)
            answer = mid if message.qos else self._connection.fence(self._topics.availability)
            if self._settle(what, answer) and message.topic in self._filters:
                self._expect(message, what)
        except BrokerError as exc:
            self._findings.refused.append(f"{what} ended the connection ({exc})")
            self._connect()

    def _expect(self, message: Message, what: str) -> None:
        if not self._wait_for(lambda: (message.topic, message.payload) in self._echoes, _ECHO_S):
            self._findings.refused.append(f"{what}: it is not delivered to this device's own subscription")

    def _settle(self, what: str, mid: int | None) -> bool:
        """Wait for the broker's answer to `mid`; return whether it took it."""
        connection = self._connection
        answered = self._wait_for(
            lambda: mid in connection.acknowledged or mid in connection.too_large, _ANSWER_S
        )
        refusals = [text for text in connection.refused if text not in self._findings.refused]
        if mid in connection.too_large:
            refusals.append(f"{what}: packet too large")
        elif not answered:
            refusals.append(f"{what}: no answer")
        self._findings.refused.extend(refusals)
        connection.refused.clear()
        return not refusals

    def _wait_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not condition() and (left_s := deadline - time.monotonic()) > 0:
            self._connection.poll(self._wakeup, timeout_s=left_s)
            while self._connection.received:
                incoming = self._connection.received.popleft()
                self._echoes.append((incoming.topic, incoming.payload))
        return condition()
