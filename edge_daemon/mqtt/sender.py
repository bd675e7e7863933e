"""Sending over a connection: subscriptions, queued messages and fleet messages, within the limits."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edge_daemon.domain.interfaces import Clock
from edge_daemon.mqtt.broker_limits import SUBSCRIBE, BrokerLimitEstimator
from edge_daemon.mqtt.client import MAX_POLL_S, Connection
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.outbox import Outbox, QueuedMessage
from edge_daemon.mqtt.retained_check import RESEND_S, RetainedCheck
from edge_daemon.system.backoff import Backoff

if TYPE_CHECKING:
    from edge_daemon.mqtt.fleet_link import FleetLink

logger = logging.getLogger(__name__)

_WAITING_POLL_S = 0.1
_DEFERRAL_S = 1.0
_MAX_DEFERRAL_S = 30.0


class Sender:
    """Sends subscriptions, then the outbox, then the fleet's messages, within the limits of the broker.

    `fence_topic` is a topic that is never subscribed to. Each limit is logged once. While the estimator is
    cautious, the next message waits until the broker has acknowledged the one before. Belongs to the thread
    that owns the connection.
    """

    def __init__(
        self,
        outbox: Outbox,
        fleet: FleetLink | None,
        estimator: BrokerLimitEstimator,
        retained: RetainedCheck,
        clock: Clock,
        fence_topic: str,
    ) -> None:
        self._outbox = outbox
        self._fleet = fleet
        self._estimator = estimator
        self._retained = retained
        self._clock = clock
        self._fence_topic = fence_topic
        self._filters: deque[str] = deque()
        self._subscribing: dict[int, str] = {}
        """Topic filters of the unacknowledged subscriptions by packet id."""
        self._deferred_filters: list[str] = []
        self._subscribe_again_s = 0.0
        self._deferral = Backoff(_DEFERRAL_S, _MAX_DEFERRAL_S)
        self._missing_logged = False

    def connected(self, connection: Connection, filters: Iterable[str]) -> None:
        """Start a connection with its subscriptions."""
        self._estimator.connected(connection.limits, self._clock.monotonic())
        self._filters = deque(filters)
        self._subscribing.clear()
        self._deferred_filters.clear()
        if self._fleet is not None:
            self._fleet.connected(self._estimator.limits.max_packet)
            self._filters.extend(self._fleet.filters)
        self._retained.connected(self._estimator.limits.retain, self._clock.monotonic())
        self._outbox.connected()
        while self._filters and not self._must_wait():
            self._subscribe(connection)
        self._log_findings()

    def send(self, connection: Connection) -> None:
        """Send all messages that may be sent now."""
        self._check_retained(connection)
        self._queue_deferred_filters()
        while not connection.write_blocked and not self._must_wait():
            sent = self._subscribe(connection) or self._publish(connection) or self._publish_fleet(connection)
            if not sent:
                break
        self._log_findings()

    def send_telemetry(self, connection: Connection) -> bool:
        """Send the telemetry; return False if `send` must follow, as others come first."""
        if connection.write_blocked or self._filters or self._must_wait():
            return False
        while (queued := self._outbox.next_telemetry()) is not None:
            self._publish_queued(connection, queued)
            if connection.write_blocked:
                return False
        return not self._outbox.has_events

    def process_acknowledgements(self, connection: Connection) -> None:
        """Pass the broker's acknowledgements on to the outbox and the fleet."""
        while connection.acknowledged:
            mid = connection.acknowledged.popleft()
            self._estimator.acknowledged(mid)
            self._outbox.acknowledged(mid)
            if self._subscribing.pop(mid, None) is not None:
                self._deferral.reset()
            granted = mid not in connection.rejected
            self._retained.acknowledged(mid, granted, self._clock.monotonic())
            connection.rejected.discard(mid)
            if self._fleet is not None:
                self._fleet.acknowledged(mid)
        while connection.deferred:
            mid = connection.deferred.popleft()
            self._estimator.acknowledged(mid)
            self._outbox.defer(mid, self._clock.monotonic())
            self._defer_subscription(mid)
            connection.rejected.discard(mid)
            if self._fleet is not None:
                self._fleet.defer(mid)
        while connection.too_large:
            mid = connection.too_large.popleft()
            self._estimator.rejected_as_too_large(mid)
            self._outbox.retry(mid)
            if self._fleet is not None:
                self._fleet.rejected_as_too_large(mid)

    @property
    def poll_timeout_s(self) -> float:
        """Maximum time to wait for the broker before the next `send`."""
        return _WAITING_POLL_S if self._must_wait() else MAX_POLL_S

    def connection_failed(self) -> None:
        """Handle an attempt without a connection."""
        self._estimator.unreachable()

    def connection_lost(self, connection: Connection) -> bool:
        """Handle a broken connection; return whether a quick reconnect helps to find the cause."""
        retry_soon = self._estimator.connection_lost(connection.end_reason, self._clock.monotonic())
        self._log_findings()
        return retry_soon

    def _must_wait(self) -> bool:
        return self._estimator.must_wait(self._clock.monotonic())

    def _subscribe(self, connection: Connection) -> bool:
        if not self._filters:
            return False
        topic_filter = self._filters.popleft()
        subscription = Message(f"{SUBSCRIBE}{topic_filter}", b"", 0, retain=False)
        if self._estimator.reduce(subscription) is not None:
            mid = connection.subscribe(topic_filter, qos=1)
            self._estimator.sent(subscription, mid, self._clock.monotonic())
            if mid is not None:
                self._subscribing[mid] = topic_filter
            if topic_filter == self._retained.topic_filter:
                self._retained.subscribed(mid)
        return True

    def _defer_subscription(self, mid: int) -> None:
        """Subscribe again later, if it is a subscription that the broker can't grant now."""
        if (topic_filter := self._subscribing.pop(mid, None)) is None:
            return
        if not self._deferred_filters:  # once for all that are refused together
            self._subscribe_again_s = self._clock.monotonic() + self._deferral.next_s()
        self._deferred_filters.append(topic_filter)

    def _queue_deferred_filters(self) -> None:
        if self._deferred_filters and self._clock.monotonic() >= self._subscribe_again_s:
            self._filters.extend(self._deferred_filters)
            self._deferred_filters.clear()

    def _check_retained(self, connection: Connection) -> None:
        """Check once whether a new subscription receives retained messages; send the state again if not."""
        now_s = self._clock.monotonic()
        if self._retained.waiting and self._outbox.idle and (new := self._retained.pop_subscription()):
            self._filters.append(new)
        if self._retained.pop_missing(now_s):
            connection.request_acknowledgement(self._retained.topic_filter)
            if self._fleet is not None:
                self._fleet.request_records()
            if not self._missing_logged and self._estimator.limits.retain:
                logger.warning(
                    "the MQTT broker does not send retained messages to new subscriptions with a wildcard; "
                    "the state is sent again every %d s",
                    RESEND_S,
                )
            self._missing_logged = True
        if self._retained.pop_resend(now_s):
            self._outbox.resend_retained()

    def _publish(self, connection: Connection) -> bool:
        in_flight = 0 if self._fleet is None else self._fleet.in_flight
        queued = self._outbox.next(connection.window - in_flight, self._clock.monotonic())
        if queued is None:
            return False
        self._publish_queued(connection, queued)
        return True

    def _publish_queued(self, connection: Connection, queued: QueuedMessage) -> None:
        message = self._estimator.reduce(queued.message)
        if message is None:
            self._outbox.drop(queued)
        else:
            self._outbox.sent(queued, self._publish_tracked(connection, message))

    def _publish_fleet(self, connection: Connection) -> bool:
        """Send a fleet message; request the peers' again if incoming messages were dropped."""
        if self._fleet is None:
            return False
        if self._fleet.must_resubscribe():
            self._filters.extend(self._fleet.filters)
            if self._retained.found_missing:
                self._fleet.request_records()
            return True
        queued = self._fleet.next(connection.window - self._outbox.in_flight)
        if queued is None:
            return False
        message = self._estimator.reduce(queued)
        if message is None:
            self._fleet.shorten_chunks(queued)
        elif (mid := self._publish_tracked(connection, message)) is not None:
            self._fleet.sent(mid, queued)
        return True

    def _publish_tracked(self, connection: Connection, message: Message) -> int | None:
        """Publish; return the packet id that the broker will acknowledge, None with QoS 0."""
        mid = connection.publish(message)
        now_s = self._clock.monotonic()
        acknowledged_mid = mid if message.qos else None
        if acknowledged_mid is None and self._estimator.is_cautious(now_s):
            self._estimator.sent(message, connection.request_acknowledgement(self._fence_topic), now_s)
        else:
            self._estimator.sent(message, acknowledged_mid, now_s)
        return acknowledged_mid

    def _log_findings(self) -> None:
        for text in self._estimator.pop_findings():
            logger.warning("%s", text)
