"""The MQTT bridge: events become messages, requests become commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

import msgspec

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.commands import Command, ExportExamples
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.events import Classified, Event, ExamplesChanged, FleetSnapshot
from edge_daemon.domain.interfaces import Clock
from edge_daemon.mqtt.broker_limits import BrokerLimitEstimator
from edge_daemon.mqtt.client import ConnectOptions
from edge_daemon.mqtt.connection_loop import ConnectionLoop
from edge_daemon.mqtt.credentials import read_credentials
from edge_daemon.mqtt.discovery_publisher import DiscoveryPublisher
from edge_daemon.mqtt.example_export import ExampleExporter
from edge_daemon.mqtt.home_assistant import Discovery
from edge_daemon.mqtt.incoming import DuplicateDeviceDetector, IncomingHandler
from edge_daemon.mqtt.outbox import Outbox
from edge_daemon.mqtt.payloads import Info
from edge_daemon.mqtt.persistent_queue import PersistentQueue
from edge_daemon.mqtt.request_handler import RequestHandler
from edge_daemon.mqtt.requests import Request
from edge_daemon.mqtt.retained_check import RetainedCheck
from edge_daemon.mqtt.sender import Sender
from edge_daemon.mqtt.serializer import EventSerializer
from edge_daemon.mqtt.topics import Topics, device_topics
from edge_daemon.system.rate_limit import RateLimit
from edge_daemon.system.wakeup import Wakeup

if TYPE_CHECKING:
    from edge_daemon.mqtt.fleet_link import FleetLink

_MAX_INCOMING_BYTES = 65_536


class MqttBridge:
    """Queues events for the broker and runs the connection. Implements interfaces.Sink.

    `handle` belongs to one thread, the daemon's main thread, and never blocks. Results are dropped while
    there is no connection and above the rate of their region in `result_limits`. `wake` interrupts the loop's
    wait for the socket.
    """

    def __init__(
        self,
        serializer: EventSerializer,
        outbox: Outbox,
        loop: ConnectionLoop,
        discovery: DiscoveryPublisher,
        fleet: FleetLink | None,
        result_limits: Mapping[str, RateLimit],
        wake: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._messages_for = serializer.messages_for  # once: singledispatchmethod binds at each access
        self._outbox = outbox
        self._loop = loop
        self._discovery = discovery
        self._fleet = fleet
        self._result_limits = result_limits
        self._wake = wake
        self._clock = clock
        for message in serializer.initial_messages():
            outbox.put(message)

    @property
    def connected(self) -> bool:
        """True while there is a connection to the broker."""
        return self._loop.connected

    @property
    def fault(self) -> str:
        """Reason why there is no connection to the broker; empty while there is one or none was tried."""
        return self._loop.fault

    def handle(self, event: Event) -> None:
        """Queue the messages of an event; they are sent over the connection with their topic's QoS.

        A result is sent at once if the connection is free: waking the thread `mqtt` per frame costs more.
        """
        if isinstance(event, Classified):
            if not self._loop.may_connect.is_set():
                self._loop.may_connect.set()
            if not self._may_send_result(event.region):
                return
        if isinstance(event, FleetSnapshot) and self._fleet is not None:
            self._fleet.set_snapshot(event)
        if isinstance(event, ExamplesChanged):
            self._discovery.set_labels(tuple(event.counts))
        for message in self._messages_for(event, self._clock.utc()):
            self._outbox.put(message)
        if not (isinstance(event, Classified) and self._loop.send_telemetry()):
            self._wake()

    def start(self) -> None:
        """Start to connect, in the background."""
        self._loop.start()

    def stop(self) -> None:
        """Send the queued messages and `offline`, then disconnect. Returns within 2 s without a broker."""
        self._loop.stop()

    def _may_send_result(self, region: str) -> bool:
        return self._loop.connected and self._result_limits[region].allows(self._clock.monotonic())


def build_bridge(
    options: MqttOptions,
    info: Info,
    submit: Callable[[Command], bool],
    clock: Clock,
    on_crash: Callable[[BaseException], None],
    queue_path: Path | None = None,
    write_archive: Callable[[BinaryIO], object] | None = None,
    fleet: FleetLink | None = None,
    connect_delay_s: float = 0.0,
) -> MqttBridge:
    """Build the bridge of the device and regions of `info`.

    `submit` takes a command and returns False when its queue is full. `on_crash` is called if a thread of the
    bridge dies of an unexpected exception. Events are queued in the file `queue_path` while there is no
    broker, or only in memory if it is None. `write_archive` writes the examples for an export, in a thread of
    its own; the folder of `queue_path` holds the archive. The first connection waits for the first label,
    up to `connect_delay_s` seconds.

    Raises BrokerError for unusable password, TLS or queue files, ConfigError for names that can't be topics.
    """
    read_credentials(options, os.environ)  # unusable files are an error now, not at the first connection
    topics = device_topics(options.base_topic, info.device, info.regions)
    info = msgspec.structs.replace(info, instance=uuid4().hex[:8])
    serializer = EventSerializer(topics, info, options.qos)
    outbox = Outbox(options.max_queued, PersistentQueue(queue_path, options.max_queued, topics.base))
    estimator = BrokerLimitEstimator(options.qos)
    retained = RetainedCheck(topics.info)
    wakeup = Wakeup()
    folder = None if queue_path is None else queue_path.parent
    exporter = ExampleExporter(write_archive or _no_examples, folder, wakeup.set, on_crash)
    discovery = DiscoveryPublisher(
        Discovery(topics, info, options.discovery.prefix), options.discovery.enabled, Random()
    )
    incoming = IncomingHandler(
        _request_handler(topics, submit, exporter, clock, options.requests_per_s),
        exporter,
        discovery,
        DuplicateDeviceDetector(topics.info, info.instance),
        fleet,
        serializer,
        outbox,
        estimator,
        retained,
        clock,
    )
    loop = ConnectionLoop(
        options,
        ConnectOptions(
            f"edge_daemon-{info.device}",
            serializer.availability(False),
            _MAX_INCOMING_BYTES,
            retain_as_published=topics.requests,
        ),
        outbox,
        Sender(outbox, fleet, estimator, retained, clock, topics.availability),
        incoming,
        wakeup,
        clock,
        on_crash,
        connect_delay_s,
    )
    result_limits = {region: RateLimit(options.result_per_s) for region in info.regions}
    return MqttBridge(serializer, outbox, loop, discovery, fleet, result_limits, wakeup.set, clock)


def _request_handler(
    topics: Topics,
    submit: Callable[[Command], bool],
    exporter: ExampleExporter,
    clock: Clock,
    per_s: float,
) -> RequestHandler:
    def submit_request(request: Request) -> bool:
        if isinstance(request, ExportExamples):
            return exporter.start(request, clock.monotonic())
        return submit(request)

    return RequestHandler(topics, submit_request, per_s)


def _no_examples(file: BinaryIO) -> None:
    raise RequestError("this device has no store of examples")
