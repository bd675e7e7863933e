"""Subscribers with a separate connection, for programs beside the daemon."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from types import TracebackType
from uuid import uuid4

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.client import Connection, ConnectOptions
from edge_daemon.mqtt.credentials import read_credentials
from edge_daemon.mqtt.message import Incoming, Message
from edge_daemon.mqtt.negotiation import connect
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.wakeup import Wakeup

_SUBSCRIBE_S = 5.0
_FIRST_PAUSE_S = 1.0
_MAX_PAUSE_S = 5.0
_MAX_PACKET = 16_000_000
"""Bytes of a packet, a bound on memory; a device's own messages are far shorter."""


class Subscriber:
    """Receives the messages at `topic_filter`; a context manager.

    Entering connects and returns once the broker has granted the subscription. All methods belong to one
    thread, except `stop`, which is for any thread. Raises BrokerError if the broker is unreachable or
    refuses, and when the connection is lost.
    """

    def __init__(self, options: MqttOptions, topic_filter: str) -> None:
        self._topic_filter = topic_filter
        self._wakeup = Wakeup()
        self._stopping = threading.Event()
        self._options = options
        self._connection: Connection

    def __enter__(self) -> Subscriber:
        connect_options = ConnectOptions(f"edge_daemon-{uuid4().hex[:12]}", max_packet=_MAX_PACKET)
        try:
            self._connection = connect(self._options, connect_options, os.environ, self._stopping.is_set)
        except BrokerError:
            self._wakeup.close()
            raise
        try:
            self._subscribe(self._connection)
        except BrokerError:
            self.__exit__(None, None, None)
            raise
        return self

    def _subscribe(self, connection: Connection) -> None:
        connection.subscribe(self._topic_filter, qos=1)
        deadline = time.monotonic() + _SUBSCRIBE_S
        while not connection.subscribed and time.monotonic() < deadline:
            connection.poll(self._wakeup, timeout_s=0.1)
        if connection.rejections or not connection.subscribed:
            reason = connection.rejections[0] if connection.rejections else "no answer"
            raise BrokerError(f"can't subscribe to {self._topic_filter}: {reason}")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close(graceful=True)
        self._wakeup.close()

    def __iter__(self) -> Iterator[Incoming]:
        """Yield messages until `stop`."""
        while not self._stopping.is_set():
            message = self.receive(timeout_s=1.0)
            if message is not None:
                yield message

    def receive(self, timeout_s: float) -> Incoming | None:
        """Return the next message; None after `timeout_s` seconds or `stop`."""
        deadline = time.monotonic() + timeout_s
        while not self._connection.received:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._stopping.is_set():
                return None
            self._connection.poll(self._wakeup, timeout_s=left_s)
        return self._connection.received.popleft()

    def publish(self, message: Message) -> None:
        """Send a message, such as a request; returns once it is written to the socket."""
        self._connection.publish(message)
        while self._connection.write_blocked:
            self._connection.poll(self._wakeup, timeout_s=0.1)

    def stop(self) -> None:
        """End the iteration, from any thread."""
        self._stopping.set()
        self._wakeup.set()


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """A change of the connection; `text` names the broker, or the reason of the loss."""

    connected: bool
    text: str


class ReconnectingSubscriber:
    """Receives the messages at `topic_filter` and reconnects after each outage; a context manager.

    Belongs to one thread. Each change of the connection is returned once, in order with the messages. A
    connection that is cut silently is detected after 1.5 times `mqtt.keepalive_s`.
    """

    def __init__(self, options: MqttOptions, topic_filter: str) -> None:
        self._options = options
        self._topic_filter = topic_filter
        self._backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S, Random())
        self._subscriber: Subscriber | None = None
        self._connected_s = 0.0
        self._retry_s = 0.0
        self._reported: ConnectionState | None = None

    def __enter__(self) -> ReconnectingSubscriber:
        """Raises BrokerError for settings that can't be used, which no retry would change."""
        read_credentials(self._options, os.environ)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def receive(self, timeout_s: float) -> Incoming | ConnectionState | None:
        """Return the next message or change of the connection; None after `timeout_s` seconds.

        An attempt to connect may take some seconds longer than `timeout_s`.
        """
        if self._subscriber is None:
            return self._retry(timeout_s)
        try:
            return self._subscriber.receive(timeout_s)
        except BrokerError as exc:
            return self._handle_loss(exc)

    def _retry(self, timeout_s: float) -> ConnectionState | None:
        left_s = self._retry_s - time.monotonic()
        if left_s > 0:
            time.sleep(min(left_s, timeout_s))
            return None
        subscriber = Subscriber(self._options, self._topic_filter)
        try:
            subscriber.__enter__()
        except BrokerError as exc:
            return self._handle_loss(exc)
        self._subscriber, self._connected_s = subscriber, time.monotonic()
        return self._report(ConnectionState(True, f"connected to {self._options.host}:{self._options.port}"))

    def _handle_loss(self, exc: BrokerError) -> ConnectionState | None:
        held_s = time.monotonic() - self._connected_s if self._subscriber is not None else 0.0
        self._close()
        self._retry_s = time.monotonic() + self._backoff.next_s(held_s)
        return self._report(ConnectionState(False, str(exc)))

    def _report(self, state: ConnectionState) -> ConnectionState | None:
        """Return the state, or None if it is only another failed attempt."""
        if self._reported is not None and not self._reported.connected and not state.connected:
            return None
        self._reported = state
        return state

    def _close(self) -> None:
        if self._subscriber is not None:
            self._subscriber.__exit__(None, None, None)
            self._subscriber = None
