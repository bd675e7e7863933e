"""A subscriber with a connection of its own, as any other program would have."""

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
from edge_daemon.mqtt.message import Incoming, Message
from edge_daemon.mqtt.negotiation import connect
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.wakeup import Wakeup

_SUBSCRIBE_S = 5.0
_MAX_PACKET = 16_000_000
"""Bytes, so that nobody's publication fills the memory; a device's own are far shorter."""


class Subscriber:
    """Receives what is published at `topic_filter`; a context manager.

    Entering connects and returns once the broker has granted the subscription. Used from one
    thread, except `stop`, which any thread may call. Raises BrokerError when the broker can't be
    reached, refuses, or is lost.
    """

    def __init__(self, options: MqttOptions, topic_filter: str) -> None:
        self._topic_filter = topic_filter
        self._wakeup = Wakeup()
        self._stopping = threading.Event()
        self._options = options
        self._connection: Connection

    def __enter__(self) -> Subscriber:
        party = ConnectOptions(f"edge_daemon-{uuid4().hex[:12]}", max_packet=_MAX_PACKET)
        try:
            self._connection = connect(self._options, party, os.environ, self._stopping.is_set)
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
        if connection.refused or not connection.subscribed:
            reason = connection.refused[0] if connection.refused else "no answer"
            raise BrokerError(f"can't subscribe to {self._topic_filter}: {reason}")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close(graceful=True)
        self._wakeup.close()

    def __iter__(self) -> Iterator[Incoming]:
        """Yield messages as they come, until `stop`."""
        while not self._stopping.is_set():
            message = self.receive(timeout_s=1.0)
            if message is not None:
                yield message

    def receive(self, timeout_s: float) -> Incoming | None:
        """Return the next message; None when none came in time or `stop` was called."""
        deadline = time.monotonic() + timeout_s
        while not self._connection.received:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._stopping.is_set():
                return None
            self._connection.poll(self._wakeup, timeout_s=left_s)
        return self._connection.received.popleft()

    def publish(self, message: Message) -> None:
        """Send a message, such as a request; it is on its way when this returns."""
        self._connection.publish(message)
        while self._connection.congested:
            self._connection.poll(self._wakeup, timeout_s=0.1)

    def stop(self) -> None:
        """End the iteration soon, from any thread."""
        self._stopping.set()
        self._wakeup.set()


_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """The connection came or went; `text` says with whom, or why."""

    connected: bool
    text: str


class ReconnectingSubscriber:
    """Receives what is published at `topic_filter`, through every outage; a context manager.

    Belongs to one thread. A change of the connection is told once, in its place between the messages.
    A connection that is cut without a word is noticed after one and a half times `mqtt.keepalive_s`.
    """

    def __init__(self, options: MqttOptions, topic_filter: str) -> None:
        self._options = options
        self._topic_filter = topic_filter
        self._backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S, Random())
        self._subscriber: Subscriber | None = None
        self._connected_s = 0.0
        self._retry_s = 0.0
        self._told: ConnectionState | None = None

    def __enter__(self) -> ReconnectingSubscriber:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def receive(self, timeout_s: float) -> Incoming | ConnectionState | None:
        """Return the next message or change of the connection; None when neither came in time.

        While there is no connection a try to have one may take some seconds longer than `timeout_s`.
        """
        if self._subscriber is None:
            return self._try_again(timeout_s)
        try:
            return self._subscriber.receive(timeout_s)
        except BrokerError as exc:
            return self._lose(exc)

    def _try_again(self, timeout_s: float) -> ConnectionState | None:
        left_s = self._retry_s - time.monotonic()
        if left_s > 0:
            time.sleep(min(left_s, timeout_s))
            return None
        subscriber = Subscriber(self._options, self._topic_filter)
        try:
            subscriber.__enter__()
        except BrokerError as exc:
            return self._lose(exc)
        self._subscriber, self._connected_s = subscriber, time.monotonic()
        return self._tell(ConnectionState(True, f"connected to {self._options.host}:{self._options.port}"))

    def _lose(self, exc: BrokerError) -> ConnectionState | None:
        held_s = time.monotonic() - self._connected_s if self._subscriber is not None else 0.0
        self._drop()
        self._retry_s = time.monotonic() + self._backoff.next_s(held_s)
        return self._tell(ConnectionState(False, str(exc)))

    def _tell(self, link: ConnectionState) -> ConnectionState | None:
        """Say it, unless it is only another failed try."""
        if self._told is not None and not self._told.connected and not link.connected:
            return None
        self._told = link
        return link

    def _drop(self) -> None:
        if self._subscriber is not None:
            self._subscriber.__exit__(None, None, None)
            self._subscriber = None
