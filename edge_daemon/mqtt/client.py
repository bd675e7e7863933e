"""One connection to a broker.

paho's own network thread is not used: it re-raises the exceptions of callbacks, sends messages of an
earlier connection after newer ones, and queues without bound. Instead, the thread that owns the
connection drives paho through its interface for external loops. A lost connection is never reopened:
the owner opens a new one.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.broker_limits import BrokerLimits
from edge_daemon.mqtt.broker_socket import TICK_S, Cancelled, open_socket
from edge_daemon.mqtt.connection_errors import (
    LocalConnectionError,
    explain_local_cause,
    explain_no_answer,
    explain_no_connection,
    explain_silence,
)
from edge_daemon.mqtt.credentials import Credentials
from edge_daemon.mqtt.message import Incoming, Message
from edge_daemon.system.wakeup import Wakeup

if TYPE_CHECKING:
    from edge_daemon.mqtt.packet_socket import PacketSocket

MAX_IN_FLIGHT = 20
"""Maximum number of unacknowledged messages, unless the broker allows fewer."""
MAX_POLL_S = 1.0
"""Longest wait of one `poll`: keep-alives are sent between two waits, at least one in every 5 s."""

_MAX_REJECTIONS = 20
_TEMPORARY = (0x83, 0x97)
"""Implementation specific error (RabbitMQ without a majority) and quota exceeded."""

Version = Literal["5", "3.1.1"]


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """Client id and will of a connection. Longer incoming packets than `max_packet` bytes are cut.

    Messages of the filter `retain_as_published` have the retain flag that they were published with, also
    after the subscription (MQTT 5). Those of other filters have it only if they were published before.
    """

    client_id: str
    will: Message | None = None
    max_packet: int | None = None
    retain_as_published: str | None = None


class Connection:
    """A connection from CONNECT to its end. All methods belong to one thread and may raise BrokerError.

    paho's callbacks only fill queues, which the owner empties: `received` messages, `acknowledged` packet
    ids (those of subscriptions included), `too_large` packet ids of messages that the broker rejected as
    too large, `deferred` those of messages and subscriptions that it can't take now, `rejected` those of
    other rejections, and `rejections` as text. `window` is the maximum number of unacknowledged messages.
    `limits` are those that the broker has announced. `version_rejected`: the broker was reached but did
    not answer as one that supports `version`. `will_rejected`: it ended the connection at a CONNECT; the
    will may be the cause. `end_reason` is the reason of the end, as sent by the broker if it sent one.

    `owner` is held by the thread that uses the connection. `open` and `poll` acquire it themselves; `poll`
    releases it while it waits, so that another thread can send meanwhile.
    """

    def __init__(
        self,
        options: MqttOptions,
        version: Version,
        connect_options: ConnectOptions,
        credentials: Credentials,
    ) -> None:
        self.version = version
        self.window = MAX_IN_FLIGHT
        self.version_rejected = False
        self.received: deque[Incoming] = deque()
        self.acknowledged: deque[int] = deque()
        self.too_large: deque[int] = deque()
        self.deferred: deque[int] = deque()
        self.rejections: deque[str] = deque()
        self.rejected: set[int] = set()
        self.subscribed = False
        self._address = f"{options.host}:{options.port}"
        self._options = options
        self._operations: dict[int, str] = {}
        self._reported: set[str] = set()
        self._accepted = False
        self._rejected = False
        self.limits = BrokerLimits()
        self.owner = threading.Lock()
        self.will_rejected = False
        self.end_reason = ""
        self._end_error: str | None = None
        self._password_hint = credentials.password_hint
        self._max_packet = connect_options.max_packet
        self._retain_as_published = connect_options.retain_as_published
        self._tls = credentials.tls
        self._packet_socket: PacketSocket | None = None
        self._cancelled: Cancelled = lambda: False
        from edge_daemon.mqtt.paho_client import PahoClient, PublishProperties  # late: paho takes time

        self._publish_properties = PublishProperties() if version == "5" else None
        self._client = PahoClient(
            connect_options.client_id, version == "5", credentials, connect_options.will, self._open_socket
        )
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._client.on_unsubscribe = self._on_unsubscribe

    def open(self, cancelled: Cancelled, answer_s: float) -> None:
        """Connect; wait up to `answer_s` seconds for the answer, or until `cancelled` returns True.

        Each address of the host and the TLS handshake may take 5 s before that.
        """
        assert self._options.host is not None
        self._cancelled = cancelled
        try:
            self._client.open(
                self._options.host, self._options.port, self._options.keepalive_s, self._max_packet
            )
        except (OSError, ValueError) as exc:
            if local := explain_local_cause(self._options.host, exc):
                raise LocalConnectionError(
                    f"can't reach the MQTT broker at {self._address}: {local}"
                ) from exc
            raise BrokerError(explain_no_connection(self._address, exc, self._encrypted)) from exc
        self.version_rejected = True
        deadline = time.monotonic() + answer_s
        while not self._accepted:
            if cancelled() or time.monotonic() > deadline:
                raise BrokerError(explain_silence(self._address, answer_s, self._encrypted))
            self._run_once(None, TICK_S)

    def _open_socket(self) -> PacketSocket:
        from edge_daemon.mqtt.packet_socket import PacketSocket

        assert self._options.host is not None
        sock = open_socket(self._options.host, self._options.port, self._tls, self._cancelled)
        self._packet_socket = PacketSocket(sock, self._max_packet)
        return self._packet_socket

    @property
    def _encrypted(self) -> bool:
        return self._tls is not None

    def subscribe(self, topic_filter: str, qos: int) -> int | None:
        """Subscribe and return the packet id. An answer sets `subscribed`; a refusal is in `rejections`."""
        self.subscribed = False
        as_published = topic_filter == self._retain_as_published
        mid = self._client.subscribe_to(topic_filter, qos, retain_as_published=as_published)
        if mid is not None:
            self._operations[mid] = f"subscribing to {topic_filter}"
        return mid

    def request_acknowledgement(self, topic_filter: str) -> int | None:
        """Unsubscribe from a filter without subscription: its acknowledgement covers all earlier packets."""
        return self._client.unsubscribe(topic_filter)[1]

    def publish(self, message: Message) -> int:
        """Pass a message to paho and return its packet id, which later appears in `acknowledged`."""
        properties = None if self._publish_properties is None else self._publish_properties.of(message)
        mid = self._client.publish(
            message.topic, message.payload, message.qos, message.retain, properties
        ).mid
        if message.qos > 0:
            self._operations[mid] = f"publishing at {message.topic}"
        return mid

    @property
    def write_blocked(self) -> bool:
        """True while the socket accepts no data: published messages would queue in memory, or be lost."""
        return self.broken or self._client.want_write()

    @property
    def broken(self) -> bool:
        """True once the connection has ended; the next `poll` raises."""
        return self._client.socket() is None or self._end_error is not None

    def poll(self, wakeup: Wakeup, timeout_s: float = MAX_POLL_S) -> None:
        """Read, write and send keep-alives, for up to `timeout_s` seconds or until `wakeup`.

        Returns within MAX_POLL_S; call it again to wait longer.
        """
        self._run_once(wakeup, min(timeout_s, MAX_POLL_S))

    def close(self, graceful: bool) -> None:
        """Close the connection. The broker publishes the will unless it is `graceful`."""
        if graceful:
            self._client.disconnect()
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    def _run_once(self, wakeup: Wakeup | None, timeout_s: float) -> None:
        with self.owner:
            if self.broken:
                raise BrokerError(self._end_text())
            sock: Any = self._client.socket()
            if self._encrypted and sock.pending():
                timeout_s = 0.0
            poller = select.poll()
            poller.register(sock, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        if wakeup is not None:
            poller.register(wakeup.fileno(), select.POLLIN)
        ready = dict(poller.poll(timeout_s * 1000))
        if wakeup is not None and wakeup.fileno() in ready:
            wakeup.clear()
        with self.owner:
            if self.broken:
                return
            if ready.get(sock.fileno(), 0) & select.POLLOUT:
                self._client.loop_write()
            if ready.get(sock.fileno(), 0) & ~select.POLLOUT or timeout_s == 0:
                self._read()
            self._client.loop_misc()

    def _read(self) -> None:
        """Read packets, with `on_publish` set: outside of reads paho calls it for each message of QoS 0."""
        self._client.on_publish = self._on_publish
        try:
            self._client.loop_read()
        except Exception as exc:  # paho raises many kinds for bytes that are no MQTT
            self._end_error = self._end_error or f"it sent bytes that are no MQTT ({type(exc).__name__})"
        self._client.on_publish = None

    def _end_text(self) -> str:
        reason = self._end_error or "connection closed"
        if self._accepted or self._rejected or self._packet_socket is None:
            return f"lost the MQTT broker at {self._address}: {reason}"
        packets = self._packet_socket
        return explain_no_answer(self._address, packets.first_byte, packets.error, self._encrypted)

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.version_rejected = str(reason) == "Unsupported protocol version"
        self.limits = BrokerLimits(
            getattr(properties, "MaximumQoS", 2),
            bool(getattr(properties, "RetainAvailable", True)),
            getattr(properties, "MaximumPacketSize", None),
        )
        if reason.is_failure:
            self.will_rejected = str(reason) in ("QoS not supported", "Retain not supported")
            self._rejected = True
            self._end_error = f"it refused the connection: {reason}" + self._password_hint_for(str(reason))
        else:
            self._accepted = True
            self.window = min(MAX_IN_FLIGHT, getattr(properties, "ReceiveMaximum", MAX_IN_FLIGHT))

    def _password_hint_for(self, reason: str) -> str:
        wrong = reason in ("Not authorized", "Bad user name or password")
        return f"; {self._password_hint}" if wrong and self._password_hint else ""

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        # paho reports an end without a DISCONNECT packet as "Unspecified error".
        named = flags.is_disconnect_packet_from_server or str(reason) != "Unspecified error"
        self.end_reason = str(reason) if named else "the connection broke"
        unanswered = self._packet_socket is not None and self._packet_socket.first_byte is None
        self.will_rejected |= self.version == "3.1.1" and unanswered
        self._end_error = self._end_error or self.end_reason

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        with contextlib.suppress(UnicodeDecodeError):  # such a topic can't be one of this device
            self.received.append(
                Incoming(
                    message.topic,
                    bytes(message.payload),
                    bool(message.retain),
                    getattr(message.properties, "ResponseTopic", None),
                    getattr(message.properties, "CorrelationData", None),
                )
            )

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        if self._packet_socket is not None and mid in self._packet_socket.too_large:
            self._packet_socket.too_large.discard(mid)
            self._operations.pop(mid, None)
            self.too_large.append(mid)
            return
        (self.deferred if reason.value in _TEMPORARY else self.acknowledged).append(mid)
        self._record_rejections(mid, [reason])

    def _on_unsubscribe(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        self.acknowledged.append(mid)

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        self.subscribed = True
        is_temporary = any(reason.value in _TEMPORARY for reason in reasons)
        (self.deferred if is_temporary else self.acknowledged).append(mid)
        self._record_rejections(mid, reasons)

    def _record_rejections(self, mid: int, reasons: Any) -> None:
        """Record each kind of rejection once, up to a limit."""
        operation = self._operations.pop(mid, "a message")
        if any(reason.is_failure for reason in reasons):
            self.rejected.add(mid)
        for text in (f"{operation}: {reason}" for reason in reasons if reason.is_failure):
            if text not in self._reported and len(self._reported) < _MAX_REJECTIONS:
                self._reported.add(text)
                self.rejections.append(text)
