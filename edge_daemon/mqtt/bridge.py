"""The MQTT sink: events out, requests in, over whatever connection there is."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

import msgspec

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.commands import Command, ExportExamples
from edge_daemon.domain.errors import BrokerError, RequestError
from edge_daemon.domain.events import Classified, Event, ExamplesChanged, FleetSnapshot
from edge_daemon.domain.interfaces import Clock
from edge_daemon.mqtt.broker_limits import LimitLearner
from edge_daemon.mqtt.client import Connection, ConnectOptions
from edge_daemon.mqtt.credentials import read_credentials
from edge_daemon.mqtt.duplicate_id import DuplicateDeviceDetector
from edge_daemon.mqtt.example_export import ExampleExporter
from edge_daemon.mqtt.home_assistant import Discovery, DiscoveryPublisher
from edge_daemon.mqtt.local_fault import LOCAL_RETRY_S, LocalFault
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.negotiation import connect
from edge_daemon.mqtt.outbox import Outbox
from edge_daemon.mqtt.payloads import Info
from edge_daemon.mqtt.persistent_queue import PersistentQueue, WriteBatching
from edge_daemon.mqtt.request_handler import RequestHandler
from edge_daemon.mqtt.requests import Request
from edge_daemon.mqtt.sender import Sender
from edge_daemon.mqtt.serializer import EventSerializer
from edge_daemon.mqtt.topics import device_topics
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.rate_limit import RateLimit
from edge_daemon.system.wakeup import Wakeup

if TYPE_CHECKING:
    from edge_daemon.mqtt.fleet_link import FleetLink

logger = logging.getLogger(__name__)

_FAREWELL_S = 1.0
_JOIN_S = 2.0
_FIRST_RETRY_S = 1.0
_QUICK_RETRY_S = 0.25
"""After a failure that the next attempt avoids."""

_SPILL_S = 1.0
_MAX_INCOMING_BYTES = 65_536


class MqttBridge:
    """Publishes events and submits requests as commands, for as long as the process runs.

    `info` names the device, as in its topics, and its regions. `handle` may be called from any thread
    and never blocks. One thread, `mqtt`, owns the connection; it tries for ever to have one. `submit`
    takes a command and returns False when it has no room; `on_crash` is told if the thread dies of a
    bug, so that the process can end. Events that wait for a broker are kept in the file
    `backlog_path`, or only in memory where there is none. `write_archive` writes the examples for an
    export, in a thread of its own, and `backlog_path`'s folder holds them while they are sent. The first
    connection waits for the first label, up to `look_first_s` seconds: loading what it takes would hold
    that up.
    Raises BrokerError for password, TLS or backlog files that can't be used, ConfigError for names
    that can't be topics.
    """

    def __init__(
        self,
        options: MqttOptions,
        info: Info,
        submit: Callable[[Command], bool],
        clock: Clock,
        on_crash: Callable[[BaseException], None],
        backlog_path: Path | None = None,
        write_archive: Callable[[BinaryIO], object] | None = None,
        fleet: FleetLink | None = None,
        look_first_s: float = 0.0,
    ) -> None:
        read_credentials(options, os.environ)  # so that what can't be used is told at once
        self._options = options
        self._topics = device_topics(options.base_topic, info.device, info.regions)
        info = msgspec.structs.replace(info, instance=uuid4().hex[:8])
        self._twin = DuplicateDeviceDetector(self._topics.info, info.instance)
        self._publications = EventSerializer(self._topics, info, options.qos)
        self._messages_of = self._publications.of  # once: it is bound anew each time it is asked for
        will = self._publications.availability(False)
        self._party = ConnectOptions(f"edge_daemon-{info.device}", will, _MAX_INCOMING_BYTES)
        self._submit = submit
        self._reception = RequestHandler(self._topics, self._take, options.requests_per_s)
        self._clock = clock
        self._on_crash = on_crash
        discovery = Discovery(self._topics, info, options.discovery.prefix)
        self._announcer = DiscoveryPublisher(discovery, options.discovery.enabled, Random())
        self._labels: tuple[str, ...] | None = None
        self._backlog = PersistentQueue(backlog_path, options.max_queued)
        self._outbox = Outbox(options.max_queued, self._backlog)
        self._fleet = fleet
        self._learner = LimitLearner(options.qos)
        self._sender = Sender(self._outbox, fleet, self._learner, clock, self._topics.availability)
        self._result_limits = {region: RateLimit(options.result_per_s) for region in info.regions}
        self._backoff = Backoff(_FIRST_RETRY_S, options.max_reconnect_s, Random())
        self._local_backoff = Backoff(_FIRST_RETRY_S, min(LOCAL_RETRY_S, options.max_reconnect_s), Random())
        self._batches = WriteBatching()
        self._wakeup = Wakeup()
        self._look_first_s = look_first_s
        self._looked = threading.Event()
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._trouble: str | None = None
        self._is_local_fault = False
        folder = None if backlog_path is None else backlog_path.parent
        self._exporter = ExampleExporter(
            write_archive or _nothing_to_export, folder, self._wakeup.set, on_crash
        )
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        for message in self._publications.at_start():
            self._outbox.put(message)

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connected.is_set()

    def handle(self, event: Event) -> None:
        """Take one event; it is sent when there is a connection, as its topic's QoS promises."""
        if isinstance(event, Classified):
            self._looked.set()
            if not self._may_send_result(event.region):
                return
        if isinstance(event, FleetSnapshot) and self._fleet is not None:
            self._fleet.set_snapshot(event)
        if isinstance(event, ExamplesChanged):
            self._labels = tuple(event.counts)
        for message in self._messages_of(event, self._clock.utc()):
            self._outbox.put(message)
        self._wakeup.set()

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Send what waits, publish `offline` and disconnect; returns within 2 s even without a broker."""
        self._stopping.set()
        self._looked.set()
        self._wakeup.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            logger.warning("the MQTT connection did not end in time; it ends with the process")
        else:
            self._exporter.stop(_JOIN_S)
            self._backlog.close()
            self._wakeup.close()

    def _may_send_result(self, region: str) -> bool:
        return self._connected.is_set() and self._result_limits[region].allows(self._clock.monotonic())

    def _run(self) -> None:
        try:
            self._looked.wait(self._look_first_s)
            while not self._stopping.is_set():
                held_s = self._hold_connection()
                backoff = self._local_backoff if self._is_local_fault else self._backoff
                self._pause(backoff.next_s(held_s))
            self._outbox.spill()
        except BaseException as crash:
            self._on_crash(crash)

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._stopping.is_set() and (left_s := deadline - time.monotonic()) > 0:
            self._stopping.wait(min(left_s, _SPILL_S))
            now_s = time.monotonic()
            if self._batches.due(now_s) and self._outbox.spill():
                self._batches.written(now_s)

    def _hold_connection(self) -> float:
        """Connect and serve until it ends; return for how many seconds it was held."""
        connection = None
        self._is_local_fault = False
        opened_s: float | None = None
        try:
            connection = self._connect()
            opened_s = self._clock.monotonic()
            while not self._stopping.is_set():
                self._exchange(connection)
            self._farewell(connection)
        except BrokerError as exc:
            self._is_local_fault = isinstance(exc, LocalFault)
            if not self._stopping.is_set():
                self._note_trouble(str(exc))
                if connection is None:
                    self._learner.unreachable()
                elif self._sender.lost(connection):
                    self._backoff.reset(_QUICK_RETRY_S)
        finally:
            self._connected.clear()
            self._outbox.disconnected()
            if connection is not None:
                connection.close(graceful=False)
        return 0.0 if opened_s is None else self._clock.monotonic() - opened_s

    def _connect(self) -> Connection:
        connection = connect(self._options, self._party, os.environ, self._stopping.is_set)
        filters = (self._topics.requests, self._twin.info_topic, *self._announcer.filters)
        self._sender.connected(connection, filters)
        self._connected.set()
        self._batches = WriteBatching()
        self._trouble = None
        logger.info(
            "connected to the MQTT broker at %s:%d with MQTT %s",
            self._options.host,
            self._options.port,
            connection.version,
        )
        if dropped := self._outbox.take_dropped():
            logger.warning("%d MQTT events were dropped while there was no broker", dropped)
        return connection

    def _take(self, asked: Request) -> bool:
        if isinstance(asked, ExportExamples):
            return self._exporter.ask(asked, self._clock.monotonic())
        return self._submit(asked)

    def _exchange(self, connection: Connection) -> None:
        self._export()
        self._sender.send(connection)
        connection.poll(self._wakeup, self._sender.longest_poll_s)
        self._sender.settle(connection)
        while connection.received:
            self._hear(connection.received.popleft())
        while connection.refused:
            logger.warning("the MQTT broker refused %s", connection.refused.popleft())
        qos = self._learner.limits.max_qos
        announcement = self._announcer.due(self._labels, self._clock.monotonic(), qos)
        if announcement is not None:
            self._outbox.put(announcement)

    def _export(self) -> None:
        """Add a part of an export when nothing else waits, so that memory holds one and events go first."""
        if self._outbox.idle:
            answer = self._exporter.next(self._learner.limits.max_packet, self._clock.monotonic())
            if answer is not None:
                self._outbox.put(self._publications.exported(answer))

    def _hear(self, incoming: Incoming) -> None:
        if self._fleet is not None and self._fleet.handle(incoming):
            return
        now_s = self._clock.monotonic()
        self._announcer.take(incoming, now_s)
        if twin := self._twin.take(incoming):
            self._note_trouble(twin)
        refusal = self._reception.take(incoming, now_s)
        if refusal is not None:
            self._outbox.put(self._publications.refusal(refusal))

    def _farewell(self, connection: Connection) -> None:
        self._outbox.put(self._publications.availability(False))
        deadline = time.monotonic() + _FAREWELL_S
        while not self._outbox.idle and time.monotonic() < deadline:
            self._exchange(connection)
        connection.close(graceful=self._outbox.idle)

    def _note_trouble(self, text: str) -> None:
        level = logging.DEBUG if text == self._trouble else logging.WARNING
        logger.log(level, "%s", text)
        self._trouble = text


def _nothing_to_export(file: BinaryIO) -> None:
    raise RequestError("this device has no store of examples")
