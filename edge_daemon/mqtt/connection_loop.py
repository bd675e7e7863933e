"""The loop that connects to the broker, sends the queued messages, and reconnects."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from random import Random

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import BrokerError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.mqtt.client import Connection, ConnectOptions
from edge_daemon.mqtt.connection_errors import LOCAL_RETRY_S, LocalConnectionError
from edge_daemon.mqtt.incoming import IncomingHandler
from edge_daemon.mqtt.negotiation import connect
from edge_daemon.mqtt.outbox import Outbox
from edge_daemon.mqtt.sender import Sender
from edge_daemon.system.backoff import Backoff
from edge_daemon.system.wakeup import Wakeup

logger = logging.getLogger(__name__)

_GRACEFUL_S = 1.0
_JOIN_S = 2.0
_PERSIST_INTERVAL_S = 1.0
_FIRST_RETRY_S = 1.0
_QUICK_RETRY_S = 0.25
"""Pause after a failure that the next attempt avoids."""


class ConnectionLoop:
    """Connects, exchanges messages and reconnects until `stop`, in one thread named `mqtt`.

    The thread owns the connection, the outbox and the incoming handler. While it waits for the socket,
    another thread may own the connection for one `send_telemetry`. The first connection waits for
    `may_connect`, up to `connect_delay_s` seconds: loading the MQTT client would delay the first label.
    `on_crash` is called if the thread dies of an unexpected exception.
    """

    def __init__(
        self,
        options: MqttOptions,
        connect_options: ConnectOptions,
        outbox: Outbox,
        sender: Sender,
        incoming: IncomingHandler,
        wakeup: Wakeup,
        clock: Clock,
        on_crash: Callable[[BaseException], None],
        connect_delay_s: float = 0.0,
    ) -> None:
        self.may_connect = threading.Event()
        self._options = options
        self._connect_options = connect_options
        self._outbox = outbox
        self._sender = sender
        self._incoming = incoming
        self._wakeup = wakeup
        self._clock = clock
        self._on_crash = on_crash
        self._connect_delay_s = connect_delay_s
        max_s = options.max_reconnect_s
        self._backoff = Backoff(_FIRST_RETRY_S, max_s, Random())
        self._local_backoff = Backoff(_FIRST_RETRY_S, min(LOCAL_RETRY_S, max_s), Random())
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self.fault = ""
        """Reason of the last failed or lost connection; empty while there is one. Any thread may read it."""
        self._logged: str | None = None
        self._persist_s = 0.0
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    @property
    def connected(self) -> bool:
        """True while there is a connection."""
        return self._connected.is_set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Send the queued messages and `offline`, then disconnect. Returns within 2 s without a broker."""
        self._stopping.set()
        self.may_connect.set()
        self._wakeup.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            logger.warning("the MQTT connection did not end in time; it ends with the process")
        else:
            self._incoming.stop(_JOIN_S)
            self._outbox.close()
            self._wakeup.close()

    def send_telemetry(self) -> bool:
        """Send the queued telemetry from the calling thread, if nothing else needs the connection.

        Returns False if the thread `mqtt` must be woken to send. Never blocks.
        """
        connection = self._connection
        if connection is None or not connection.owner.acquire(blocking=False):
            return False
        try:
            return self._connection is connection and self._sender.send_telemetry(connection)
        finally:
            connection.owner.release()

    def _run(self) -> None:
        try:
            self.may_connect.wait(self._connect_delay_s)
            while not self._stopping.is_set():
                self._wait_before_retry(self._run_connection())
            self._outbox.persist()
        except BaseException as crash:
            self._on_crash(crash)

    def _wait_before_retry(self, seconds: float) -> None:
        """Wait, and move queued events to disk from time to time."""
        deadline = time.monotonic() + seconds
        while not self._stopping.is_set() and (left_s := deadline - time.monotonic()) > 0:
            self._stopping.wait(min(left_s, _PERSIST_INTERVAL_S))
            self._outbox.persist_if_due(time.monotonic())

    def _run_connection(self) -> float:
        """Connect and exchange messages until the connection ends; return the pause before the next."""
        connection: Connection | None = None
        connected_s: float | None = None
        backoff = self._backoff
        try:
            connection = self._connection = self._connect()
            connected_s = self._clock.monotonic()
            while not self._stopping.is_set():
                self._exchange(connection)
            self._disconnect_gracefully(connection)
        except BrokerError as exc:
            if isinstance(exc, LocalConnectionError):
                backoff = self._local_backoff
            if not self._stopping.is_set():
                self.fault = str(exc)
                self._log_once(self.fault)
                self._handle_loss(connection)
        finally:
            self._connected.clear()
            self._connection = None
            if connection is not None:
                with connection.owner:  # a `send_telemetry` that has begun ends first
                    connection.close(graceful=False)
            self._outbox.disconnected()
        return backoff.next_s(0.0 if connected_s is None else self._clock.monotonic() - connected_s)

    def _handle_loss(self, connection: Connection | None) -> None:
        if connection is None:
            self._sender.connection_failed()
        elif self._sender.connection_lost(connection):
            self._backoff.reset(_QUICK_RETRY_S)

    def _is_cancelled(self) -> bool:
        """Return whether to end an attempt to connect; it asks several times a second.

        Queued events are moved to disk from here, too: a silent name server can make an attempt long.
        """
        now_s = time.monotonic()
        if now_s >= self._persist_s:
            self._persist_s = now_s + _PERSIST_INTERVAL_S
            self._outbox.persist_if_due(now_s)
        return self._stopping.is_set()

    def _connect(self) -> Connection:
        self._persist_s = time.monotonic() + _PERSIST_INTERVAL_S
        connection = connect(self._options, self._connect_options, os.environ, self._is_cancelled)
        with connection.owner:
            self._sender.connected(connection, self._incoming.filters)
        self._connected.set()
        self._logged = None
        self.fault = ""
        logger.info(
            "connected to the MQTT broker at %s:%d with MQTT %s",
            self._options.host,
            self._options.port,
            connection.version,
        )
        self._log_dropped()
        return connection

    def _exchange(self, connection: Connection) -> None:
        """Send, wait for the socket or a wake-up, and handle the received packets."""
        with connection.owner:
            self._incoming.queue_pending()
            self._sender.send(connection)
        connection.poll(self._wakeup, self._sender.poll_timeout_s)
        with connection.owner:
            self._sender.process_acknowledgements(connection)
            self._outbox.persist_unsent(time.monotonic())
            while connection.received:
                if warning := self._incoming.handle(connection.received.popleft()):
                    self._log_once(warning)
        while connection.rejections:
            logger.warning("the MQTT broker refused %s", connection.rejections.popleft())
        if self._outbox.idle:
            self._log_dropped()

    def _disconnect_gracefully(self, connection: Connection) -> None:
        """Publish the will ourselves, wait until the outbox is idle, and disconnect."""
        if self._connect_options.will is not None:
            self._outbox.put(self._connect_options.will)
        deadline = time.monotonic() + _GRACEFUL_S
        while not self._outbox.idle and time.monotonic() < deadline:
            self._exchange(connection)
        connection.close(graceful=self._outbox.idle)

    def _log_dropped(self) -> None:
        if dropped := self._outbox.pop_dropped_count():
            logger.warning(
                "dropped %s while there was no broker that took them", counted(dropped, "MQTT event")
            )

    def _log_once(self, text: str) -> None:
        level = logging.DEBUG if text == self._logged else logging.WARNING
        logger.log(level, "%s", text)
        self._logged = text
