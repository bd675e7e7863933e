"""Publishes what waits, over one connection after another, within what the broker takes."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edge_daemon.domain.interfaces import Clock
from edge_daemon.mqtt.broker_limits import SUBSCRIBE, LimitLearner
from edge_daemon.mqtt.client import LONGEST_POLL_S, Connection
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.outbox import Outbox

if TYPE_CHECKING:
    from edge_daemon.mqtt.fleet_link import FleetLink

_WAITING_POLL_S = 0.1

logger = logging.getLogger(__name__)


class Sender:
    """Sends subscriptions, then the outbox, then the fleet's messages. Belongs to the connection's thread.

    `fence_topic` is a topic that is never subscribed to. Each limit of the broker is logged once. While the
    learner is careful, the next message waits until the broker has answered the one before.
    """

    def __init__(
        self, outbox: Outbox, fleet: FleetLink | None, learner: LimitLearner, clock: Clock, fence_topic: str
    ) -> None:
        self._outbox = outbox
        self._fleet = fleet
        self._learner = learner
        self._clock = clock
        self._fence_topic = fence_topic
        self._filters: deque[str] = deque()

    def connected(self, connection: Connection, filters: Iterable[str]) -> None:
        """Begin a connection with its subscriptions."""
        self._learner.connected(connection.limits, self._clock.monotonic())
        self._filters = deque(filters)
        if self._fleet is not None:
            self._fleet.connected(self._learner.limits.max_packet)
            self._filters.extend(self._fleet.filters)
        self._outbox.connected()
        while self._filters and not self._must_wait():
            self._subscribe(connection)
        self._log_news()

    def send(self, connection: Connection) -> None:
        """Send what may be sent now."""
        while not connection.congested and not self._must_wait():
            if not (self._subscribe(connection) or self._publish(connection) or self._share(connection)):
                break
        self._log_news()

    def settle(self, connection: Connection) -> None:
        """Note what the broker has answered."""
        while connection.acknowledged:
            mid = connection.acknowledged.popleft()
            self._learner.confirmed(mid)
            self._outbox.acknowledged(mid)
            if self._fleet is not None:
                self._fleet.acknowledged(mid)
        while connection.too_large:
            mid = connection.too_large.popleft()
            self._learner.refused_as_too_large(mid)
            self._outbox.retry(mid)
            if self._fleet is not None:
                self._fleet.acknowledged(mid)

    @property
    def longest_poll_s(self) -> float:
        """For how long to wait for the broker before `send` is due again."""
        return _WAITING_POLL_S if self._must_wait() else LONGEST_POLL_S

    def lost(self, connection: Connection) -> bool:
        """End a connection that broke; return whether another one soon may tell why."""
        learned = self._learner.lost(connection.reason, self._clock.monotonic())
        self._log_news()
        return learned

    def _must_wait(self) -> bool:
        return self._learner.must_wait(self._clock.monotonic())

    def _subscribe(self, connection: Connection) -> bool:
        if not self._filters:
            return False
        topic_filter = self._filters.popleft()
        asked = Message(f"{SUBSCRIBE}{topic_filter}", b"", 0, retain=False)
        if self._learner.admit(asked) is not None:
            mid = connection.subscribe(topic_filter, qos=1)
            self._learner.sent(asked, mid, self._clock.monotonic())
        return True

    def _publish(self, connection: Connection) -> bool:
        in_flight = 0 if self._fleet is None else self._fleet.in_flight
        sendable = self._outbox.take(connection.window - in_flight)
        if sendable is None:
            return False
        message = self._learner.admit(sendable.message)
        if message is None:
            self._outbox.discard(sendable)
        else:
            self._outbox.sent(sendable, self._hand_over(connection, message))
        return True

    def _share(self, connection: Connection) -> bool:
        """Send a message of the fleet; subscribe again where what the broker sent found no room."""
        if self._fleet is None:
            return False
        if self._fleet.must_resubscribe():
            self._filters.extend(self._fleet.filters)
            return True
        offered = self._fleet.next(connection.window - self._outbox.in_flight)
        if offered is None:
            return False
        message = self._learner.admit(offered)
        mid = None if message is None else self._hand_over(connection, message)
        if mid is not None:
            self._fleet.sent(mid)
        return True

    def _hand_over(self, connection: Connection, message: Message) -> int | None:
        """Publish; return the packet id that the broker will acknowledge, None with QoS 0."""
        mid = connection.publish(message)
        now_s = self._clock.monotonic()
        answer = mid if message.qos else None
        if answer is None and self._learner.careful(now_s):
            self._learner.sent(message, connection.fence(self._fence_topic), now_s)
        else:
            self._learner.sent(message, answer, now_s)
        return answer

    def _log_news(self) -> None:
        for text in self._learner.take_news():
            logger.warning("%s", text)
