"""A subscriber that outlives its broker: it connects again, for ever, and says when it does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random
from types import TracebackType

from edge_daemon.errors import BrokerError
from edge_daemon.mqtt.backoff import Backoff
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.options import MqttOptions
from edge_daemon.mqtt.subscriber import Subscriber

_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Link:
    """The connection came or went; `text` says with whom, or why."""

    connected: bool
    text: str


class Follower:
    """Receives what is published at `topic_filter`, through every outage; a context manager.

    Belongs to one thread. A change of the connection is told once, in its place between the messages.
    A connection that is cut without a word is noticed after one and a half times `mqtt.keepalive_s`.
    """

    def __init__(self, options: MqttOptions, topic_filter: str) -> None:
        self._options = options
        self._topic_filter = topic_filter
        self._backoff = Backoff(_LONGEST_PAUSE_S, Random())
        self._subscriber: Subscriber | None = None
        self._connected_s = 0.0
        self._retry_s = 0.0
        self._told: Link | None = None

    def __enter__(self) -> Follower:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    def receive(self, timeout_s: float) -> Incoming | Link | None:
        """Return the next message or change of the connection; None when neither came in time.

        While there is no connection a try to have one may take some seconds longer than `timeout_s`.
        """
        if self._subscriber is None:
            return self._try_again(timeout_s)
        try:
            return self._subscriber.receive(timeout_s)
        except BrokerError as exc:
            return self._lose(exc)

    def _try_again(self, timeout_s: float) -> Link | None:
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
        return self._tell(Link(True, f"connected to {self._options.host}:{self._options.port}"))

    def _lose(self, exc: BrokerError) -> Link | None:
        held_s = time.monotonic() - self._connected_s if self._subscriber is not None else 0.0
        self._drop()
        self._retry_s = time.monotonic() + self._backoff.next_s(held_s)
        return self._tell(Link(False, str(exc)))

    def _tell(self, link: Link) -> Link | None:
        """Say it, unless it is only another failed try."""
        if self._told is not None and not self._told.connected and not link.connected:
            return None
        self._told = link
        return link

    def _drop(self) -> None:
        if self._subscriber is not None:
            self._subscriber.__exit__(None, None, None)
            self._subscriber = None
