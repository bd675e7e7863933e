"""A trial of a broker: connect, subscribe and publish as the device does, and record the rejections."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.broker_limits import BrokerLimits
from edge_daemon.mqtt.client import Connection, ConnectOptions
from edge_daemon.mqtt.fleet_topics import ask_topic, fleet_filters
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.negotiation import connect
from edge_daemon.mqtt.payloads import Response
from edge_daemon.mqtt.serializer import encode
from edge_daemon.mqtt.topics import Topics
from edge_daemon.system.wakeup import Wakeup

LONG_BYTES = 10_000
"""Size of the long test message, about that of a discovery message or a response."""
_MAX_PACKET = 65_536
_ACKNOWLEDGE_S = 5.0
_ECHO_S = 1.0
_RETAINED_S = 0.5
_NEW_SUBSCRIBERS = 3
"""Connections that look for a retained message: behind a load balancer they may reach different nodes."""


@dataclass(slots=True)
class TrialResult:
    """Result of a trial: `availability` is the retained text, `rejections` has one clause per rejection.

    Of three new connections `without_retained` did not receive a retained message at its topic, and
    `without_wildcard` did not receive it with a wildcard.
    """

    limits: BrokerLimits = field(default_factory=BrokerLimits)
    availability: str | None = None
    rejections: list[str] = field(default_factory=list)
    without_retained: int = 0
    without_wildcard: int = 0

    @property
    def retained_gaps(self) -> list[str]:
        """A clause for each group of new subscribers that receives no retained messages."""
        clauses = []
        if self.without_retained:
            clauses.append(
                f"did not send a retained message to {self.without_retained} of {_NEW_SUBSCRIBERS} new"
                " connections, as a cluster does whose nodes keep them separately"
            )
        if self.without_wildcard > self.without_retained:
            clauses.append("does not send retained messages to subscriptions with a wildcard")
        return clauses


class BrokerTrial:
    """Tries the operations of a device at a broker, without effect on a running device.

    The client id is a different one. Will and retained messages repeat the retained values of their topics.
    Labels and events trigger actions of subscribers, so they are tried only while the device is not online.
    `discovery` is the topic of Home Assistant's discovery, None if it is disabled; `group` is the device's
    fleet group. Of the fleet's topics the one of requests for records is tried, with an empty one, which all
    devices ignore.
    """

    def __init__(
        self,
        options: MqttOptions,
        device: str,
        topics: Topics,
        discovery: str | None = None,
        group: str | None = None,
    ) -> None:
        self._options = options
        self._client_id = f"edge_daemon-{device}-doctor"
        self._topics = topics
        self._states = (topics.info, *([] if discovery is None else [discovery]))
        self._fleet_filters = () if group is None else fleet_filters(device, group)
        self._asks = () if group is None else (ask_topic(device, group),)
        self._filters = (topics.requests, topics.response("doctor"), *self._states, *self._asks)
        self._wakeup = Wakeup()
        self._connection: Connection
        self._retained: dict[str, bytes] = {}
        self._echoes: list[tuple[str, bytes]] = []
        self._result = TrialResult()

    def run(self) -> TrialResult:
        """Return the result. Raises BrokerError if there is no connection."""
        try:
            self._read_retained()
            self._connect()
            subscriptions = len(self._result.rejections)
            self._check_new_subscribers()
            found = self._result.rejections[subscriptions:]
            del self._result.rejections[subscriptions:]
            for message in self._messages():
                self._try_publish(message)
            self._try_fleet()
            self._result.rejections += found  # last: the device's own topics are more important
            self._connection.close(graceful=True)
        finally:
            self._wakeup.close()
        return self._result

    def _read_retained(self) -> None:
        """Read the retained messages of the device's topics."""
        connect_options = ConnectOptions(self._client_id, max_packet=_MAX_PACKET)
        self._connection = connect(self._options, connect_options, os.environ, lambda: False)
        for topic in (self._topics.availability, *self._states):
            self._connection.subscribe(topic, qos=1)
        self._wait_for(lambda: False, _RETAINED_S)
        self._connection.close(graceful=True)
        self._retained = dict(self._echoes)
        state = self._retained.get(self._topics.availability)
        self._result.availability = None if state is None else state.decode(errors="replace")

    def _connect(self) -> None:
        state = self._retained.get(self._topics.availability) or b"offline"
        will = Message(self._topics.availability, state, self._options.qos, retain=True)
        connect_options = ConnectOptions(self._client_id, will, _MAX_PACKET)
        self._connection = connect(self._options, connect_options, os.environ, lambda: False)
        self._result.limits &= self._connection.limits
        for topic_filter in self._filters:
            self._await_acknowledgement(
                f"subscribing to {topic_filter}", self._connection.subscribe(topic_filter, qos=1)
            )

    def _check_new_subscribers(self) -> None:
        """Publish a retained response, look for it over new connections, and clear it again."""
        topic = self._topics.response("doctor")
        if not self._result.limits.retain:
            return
        try:
            self._publish_retained(topic, encode(Response(status="ok", data={})))
            if self._receives(topic, topic):  # else it was refused, which `_try_publish` finds
                self._look_for(topic)
            self._publish_retained(topic, b"")
        except BrokerError as exc:
            self._result.rejections.append(f"a retained message at {topic} ended the connection ({exc})")
            self._connect()

    def _publish_retained(self, topic: str, payload: bytes) -> None:
        message = self._result.limits.reduced(Message(topic, payload, self._options.qos, retain=True))
        mid = self._connection.publish(message)
        answer = mid if message.qos else self._connection.request_acknowledgement(self._topics.availability)
        self._await_acknowledgement(f"publishing at {topic}", answer)

    def _look_for(self, topic: str) -> None:
        """Count the new connections that do not receive the retained message at `topic`."""
        publisher = self._connection
        connect_options = ConnectOptions(f"{self._client_id}-subscriber", max_packet=_MAX_PACKET)
        try:
            for _ in range(_NEW_SUBSCRIBERS):
                self._connection = connect(self._options, connect_options, os.environ, lambda: False)
                self._result.without_retained += self._misses(topic, topic)
                self._result.without_wildcard += self._misses(f"{topic}/#", topic)
                self._connection.close(graceful=True)
        except BrokerError as exc:
            self._result.rejections.append(f"another connection ({exc})")
        finally:
            self._connection = publisher

    def _misses(self, topic_filter: str, topic: str) -> bool:
        """Return whether a subscription that was not refused does not receive the message at `topic`."""
        return not (self._receives(topic_filter, topic) or self._connection.rejections)

    def _receives(self, topic_filter: str, topic: str) -> bool:
        self._echoes.clear()
        self._connection.subscribe(topic_filter, qos=1)
        return self._wait_for(lambda: any(found == topic for found, _ in self._echoes), _ECHO_S)

    def _messages(self) -> Iterator[Message]:
        """Yield the messages to try; none that would replace a value which this broker may not have shown."""
        qos = self._options.qos
        hidden = bool(self._result.without_retained)
        for topic in self._states:
            if topic in self._retained or not hidden:
                yield Message(topic, self._retained.get(topic, b""), qos, retain=True)
        answer = self._topics.response("doctor")
        for padding in (0, LONG_BYTES):
            body = Response(status="ok", data={"padding": " " * padding} if padding else {})
            yield Message(answer, encode(body), qos, retain=False)
        yield from (Message(topic, b"", 1, retain=False) for topic in self._asks)
        if self._result.availability != "online" and not hidden:
            yield from (Message(self._topics.label(each), b"", qos, True) for each in self._topics.regions)
            yield Message(self._topics.event, b"", qos, retain=False)

    def _try_fleet(self) -> None:
        """Subscribe to the fleet's topics, last: the retained records that follow would delay each answer."""
        for topic_filter in self._fleet_filters:
            action = f"subscribing to {topic_filter}"
            try:
                self._await_acknowledgement(action, self._connection.subscribe(topic_filter, qos=1))
            except BrokerError as exc:
                self._result.rejections.append(f"{action} ended the connection ({exc})")
                self._connect()

    def _try_publish(self, message: Message) -> None:
        """Publish within the known limits; expect an acknowledgement and the delivery to ourselves."""
        message = self._result.limits.reduced(message)
        if message.packet_bytes > (self._result.limits.max_packet or message.packet_bytes):
            return
        action = f"publishing {message.packet_bytes} bytes at {message.topic}"
        self._echoes.clear()
        try:
            mid = self._connection.publish(message)
            answer = (
                mid if message.qos else self._connection.request_acknowledgement(self._topics.availability)
            )
            if self._await_acknowledgement(action, answer) and message.topic in self._filters:
                self._expect_echo(message, action)
        except BrokerError as exc:
            self._result.rejections.append(f"{action} ended the connection ({exc})")
            self._connect()

    def _expect_echo(self, message: Message, action: str) -> None:
        if not self._wait_for(lambda: (message.topic, message.payload) in self._echoes, _ECHO_S):
            self._result.rejections.append(f"{action}: it is not delivered to this device's own subscription")

    def _await_acknowledgement(self, action: str, mid: int | None) -> bool:
        """Wait for the acknowledgement of `mid`; return whether it was positive."""
        connection = self._connection
        answers = (connection.acknowledged, connection.too_large, connection.deferred)
        has_answer = self._wait_for(lambda: any(mid in mids for mids in answers), _ACKNOWLEDGE_S)
        rejections = [text for text in connection.rejections if text not in self._result.rejections]
        if mid in connection.too_large:
            rejections.append(f"{action}: packet too large")
        elif not has_answer:
            rejections.append(f"{action}: no answer")
        self._result.rejections.extend(rejections)
        connection.rejections.clear()
        return not rejections

    def _wait_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not condition() and (left_s := deadline - time.monotonic()) > 0:
            self._connection.poll(self._wakeup, timeout_s=left_s)
            while self._connection.received:
                incoming = self._connection.received.popleft()
                if incoming.topic in self._filters or incoming.topic == self._topics.availability:
                    self._echoes.append((incoming.topic, incoming.payload))
        return condition()
