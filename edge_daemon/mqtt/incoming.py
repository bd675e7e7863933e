"""Incoming messages: each is passed to the fleet, the discovery or the request handler, and answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge_daemon.domain.interfaces import Clock
from edge_daemon.mqtt.broker_limits import BrokerLimitEstimator
from edge_daemon.mqtt.discovery_publisher import DiscoveryPublisher
from edge_daemon.mqtt.example_export import ExampleExporter
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.outbox import Outbox
from edge_daemon.mqtt.request_handler import RequestHandler
from edge_daemon.mqtt.retained_check import RetainedCheck
from edge_daemon.mqtt.serializer import EventSerializer
from edge_daemon.system.json_input import decode_json

if TYPE_CHECKING:
    from edge_daemon.mqtt.fleet_link import FleetLink


class _Instance(msgspec.Struct):
    instance: str = ""


class _Regions(msgspec.Struct):
    regions: list[str] = []


class DuplicateDeviceDetector:
    """Detects a second device with this device's id by its `info` topic. Belongs to one thread.

    Two devices with the same client id disconnect each other, and not every broker names the reason. Each of
    them finds the other's instance in the retained `info` where it has published its own. An instance found
    at the first connect is ignored: it may be from an earlier run of this device. So is one found for the
    first time: a broker that was killed restores an earlier value from its disk.
    """

    def __init__(self, info_topic: str, instance: str) -> None:
        self.info_topic = info_topic
        self._instance = instance
        self._own_seen = False
        self._suspects: set[str] = set()

    def check(self, incoming: Incoming) -> str | None:
        """Return a warning if a message was published by another device with this id."""
        if incoming.topic != self.info_topic:
            return None
        try:
            found = decode_json(incoming.payload, _Instance).instance
        except msgspec.DecodeError:
            return None
        if found == self._instance:
            self._own_seen = True
        elif found and (found in self._suspects or not incoming.retained):
            return f"another device publishes at {self.info_topic}; give each its own device.id"
        elif self._own_seen:
            self._suspects.add(found)
        return None


class IncomingHandler:
    """Handles every message that this device has subscribed to, and queues the answers in the outbox.

    An answer that takes longer, such as the parts of an export or a discovery message, is queued by
    `queue_pending` once it is ready. Belongs to the thread that owns the connection.
    """

    def __init__(
        self,
        requests: RequestHandler,
        exporter: ExampleExporter,
        discovery: DiscoveryPublisher,
        duplicates: DuplicateDeviceDetector,
        fleet: FleetLink | None,
        serializer: EventSerializer,
        outbox: Outbox,
        estimator: BrokerLimitEstimator,
        retained: RetainedCheck,
        clock: Clock,
    ) -> None:
        self._requests = requests
        self._exporter = exporter
        self._discovery = discovery
        self._duplicates = duplicates
        self._fleet = fleet
        self._serializer = serializer
        self._outbox = outbox
        self._estimator = estimator
        self._retained = retained
        self._clock = clock

    @property
    def filters(self) -> tuple[str, ...]:
        """Topic filters to subscribe to, except the fleet's."""
        return (self._requests.topic_filter, self._duplicates.info_topic, *self._discovery.filters)

    def handle(self, incoming: Incoming) -> str | None:
        """Handle a message; return a warning to log, if any."""
        if self._fleet is not None and self._fleet.handle(incoming):
            return None
        now_s = self._clock.monotonic()
        self._retained.handle(incoming)
        self._discovery.handle(incoming, now_s)
        self._clear_former_labels(incoming)
        rejected = self._requests.handle(incoming, now_s)
        if rejected is not None:
            self._outbox.put(self._serializer.rejection(rejected))
        return self._duplicates.check(incoming)

    def _clear_former_labels(self, incoming: Incoming) -> None:
        """Clear the retained labels of regions that an earlier run had, by its retained `info`."""
        if incoming.topic != self._duplicates.info_topic or not incoming.retained:
            return
        try:
            former = decode_json(incoming.payload, _Regions).regions
        except msgspec.DecodeError:
            return
        for message in self._serializer.cleared_labels(former):
            self._outbox.put(message)

    def queue_pending(self) -> None:
        """Queue a discovery message that is due, and the next part of an export.

        A part is added only while the outbox is idle, so that memory holds one part and events go first.
        """
        now_s = self._clock.monotonic()
        announcement = self._discovery.pop_due(now_s, self._estimator.limits.max_qos)
        if announcement is not None:
            self._outbox.put(announcement)
        if self._exporter.has_answer and self._outbox.idle:
            answer = self._exporter.next_answer(self._estimator.limits.max_packet, now_s)
            if answer is not None:
                self._outbox.put(self._serializer.export_answer(answer))

    def stop(self, timeout_s: float) -> None:
        """Abort an export."""
        self._exporter.stop(timeout_s)
