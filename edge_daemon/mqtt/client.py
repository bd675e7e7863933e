"""A connection to a broker. The only file that imports paho, and only when a connection is made.

paho's own network thread is not used: it re-raises what a callback raises, sends messages of an
earlier connection after newer ones, and queues without bound. Here the thread that owns the
connection drives paho through its interface for external loops, and a lost connection is never
mended: the owner opens a new one.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.broker_limits import BrokerLimits
from edge_daemon.mqtt.connection_errors import explain_no_answer, explain_no_connection, explain_silence
from edge_daemon.mqtt.credentials import Credentials
from edge_daemon.mqtt.local_fault import LocalFault, local_fault
from edge_daemon.mqtt.message import Incoming, Message
from edge_daemon.system.wakeup import Wakeup

if TYPE_CHECKING:
    from paho.mqtt.client import Client
    from paho.mqtt.properties import Properties

    from edge_daemon.mqtt.packet_socket import PacketSocket

WINDOW = 20
"""Most messages sent and not yet acknowledged, unless the broker takes fewer."""
_CONNECT_S = 5.0
_TICK_S = 0.1
LONGEST_POLL_S = 1.0
_MAX_REFUSALS = 20

Version = Literal["5", "3.1.1"]


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """Who connects; a message of more than `max_packet` bytes never reaches it whole."""

    client_id: str
    will: Message | None = None
    max_packet: int | None = None


class Connection:
    """From CONNECT to the end, once. Every method belongs to one thread, and may raise BrokerError.

    Callbacks only note what came in; `received`, `acknowledged` (packet ids, those of subscriptions among
    them), `too_large` (packet ids of messages that the broker has named too large) and `refused` are read by
    the owner. `window` is how many messages may go unacknowledged; `misunderstood` says that the broker was
    reached and did not answer as one that speaks `version`; `limits` is what the broker has announced.
    `will_refused` says that it ended the connection at a CONNECT whose will may be the reason. `reason` is
    why the connection ended, in the broker's words where it sent some.
    """

    def __init__(
        self,
        options: MqttOptions,
        version: Version,
        party: ConnectOptions,
        access: Credentials,
    ) -> None:
        self.version = version
        self.window = WINDOW
        self.misunderstood = False
        self.received: deque[Incoming] = deque()
        self.acknowledged: deque[int] = deque()
        self.too_large: deque[int] = deque()
        self.refused: deque[str] = deque()
        self.subscribed = False
        self._address = f"{options.host}:{options.port}"
        self._options = options
        self._asked: dict[int, str] = {}
        self._expiring: dict[int | None, Properties] = {}
        self._refusals: set[str] = set()
        self._accepted = False
        self._refused_us = False
        self.limits = BrokerLimits()
        self.will_refused = False
        self.reason = ""
        self._end: str | None = None
        self._password_hint = access.password_hint
        self._party = party
        self._encrypted = access.tls is not None
        self._packets: PacketSocket | None = None
        self._client = self._build(party, access)

    def open(self, cancelled: Callable[[], bool], answer_s: float) -> None:
        """Connect and wait `answer_s` for the broker's answer; give up once `cancelled` says so."""
        assert self._options.host is not None
        try:
            self._client.connect(
                self._options.host,
                self._options.port,
                self._options.keepalive_s,
                properties=None if self.version == "3.1.1" else _connect_properties(self._party),
            )
        except (OSError, ValueError) as exc:
            if local := local_fault(self._options.host, exc):
                raise LocalFault(f"can't reach the MQTT broker at {self._address}: {local}") from exc
            raise BrokerError(explain_no_connection(self._address, exc, self._encrypted)) from exc
        self._send_at_once()
        self.misunderstood = True
        deadline = time.monotonic() + answer_s
        while not self._accepted:
            if cancelled() or time.monotonic() > deadline:
                raise BrokerError(explain_silence(self._address, answer_s, self._encrypted))
            self._step(None, _TICK_S)

    def _send_at_once(self) -> None:
        """Keep the system from holding back a message until the broker has confirmed the last one."""
        sock: Any = self._client.socket()
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def subscribe(self, topic_filter: str, qos: int) -> int | None:
        """Ask for messages; `subscribed` is set when it is granted, `refused` says why it is not."""
        self.subscribed = False
        _, mid = self._client.subscribe(topic_filter, qos)
        if mid is not None:
            self._asked[mid] = f"subscribing to {topic_filter}"
        return mid

    def fence(self, topic_filter: str) -> int | None:
        """Ask for an answer, which says that all before it was taken: end a subscription that isn't there."""
        return self._client.unsubscribe(topic_filter)[1]

    def publish(self, message: Message) -> int:
        """Hand a message to paho and return its packet id; `acknowledged` tells when the broker has it."""
        mid = self._client.publish(
            message.topic, message.payload, message.qos, message.retain, self._properties(message)
        ).mid
        if message.qos > 0:
            self._asked[mid] = f"publishing at {message.topic}"
        return mid

    def _properties(self, message: Message) -> Properties | None:
        """Return a message's properties; what only expires shares them with its like, packed once."""
        if self.version == "3.1.1":
            return None
        if message.correlation is not None:
            return _publish_properties(message)
        if message.expiry_s not in self._expiring:
            self._expiring[message.expiry_s] = _packed(_publish_properties(message))
        return self._expiring[message.expiry_s]

    @property
    def congested(self) -> bool:
        """Whether the socket takes no more for now: what is published only piles up in memory."""
        return self._client.want_write()

    def poll(self, wakeup: Wakeup, timeout_s: float = LONGEST_POLL_S) -> None:
        """Read, write and keep alive, for up to `timeout_s` or until `wakeup`."""
        self._step(wakeup, timeout_s)

    def close(self, graceful: bool) -> None:
        """End it. Only a graceful end keeps the broker from publishing the will."""
        if graceful:
            self._client.disconnect()
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    def _step(self, wakeup: Wakeup | None, timeout_s: float) -> None:
        sock: Any = self._client.socket()
        if sock is None or self._end is not None:
            raise BrokerError(self._why_ended())
        if self._encrypted and sock.pending():
            timeout_s = 0.0
        poller = select.poll()
        poller.register(sock, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        if wakeup is not None:
            poller.register(wakeup.fileno(), select.POLLIN)
        ready = dict(poller.poll(timeout_s * 1000))
        if wakeup is not None and wakeup.fileno() in ready:
            wakeup.clear()
        if ready.get(sock.fileno(), 0) & select.POLLOUT:
            self._client.loop_write()
        if ready.get(sock.fileno(), 0) & ~select.POLLOUT or timeout_s == 0:
            self._read()
        self._client.loop_misc()

    def _read(self) -> None:
        """Read; acknowledgements come no other way. Else paho makes up one for each message of QoS 0."""
        self._client.on_publish = self._on_publish
        try:
            self._client.loop_read()
        except Exception as exc:  # paho's, of many kinds, at bytes that are no MQTT
            self._end = self._end or f"it sent what is no MQTT ({type(exc).__name__})"
        self._client.on_publish = None

    def _why_ended(self) -> str:
        reason = self._end or "connection closed"
        if self._accepted or self._refused_us or self._packets is None:
            return f"lost the MQTT broker at {self._address}: {reason}"
        packets = self._packets
        return explain_no_answer(self._address, packets.first_byte, packets.error, self._encrypted)

    def _build(self, party: ConnectOptions, access: Credentials) -> Client:
        from paho.mqtt.client import Client, MQTTv5, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion

        from edge_daemon.mqtt.packet_socket import PacketSocket

        connection = self

        class BoundedClient(Client):
            """paho on a socket that bounds packets: only there is a length known before its bytes."""

            def _create_socket(self) -> Any:
                connection._packets = PacketSocket(super()._create_socket(), party.max_packet)
                return connection._packets

        client = BoundedClient(
            CallbackAPIVersion.VERSION2,
            client_id=party.client_id,
            clean_session=None if self.version == "5" else True,
            protocol=MQTTv5 if self.version == "5" else MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_S
        if access.username is not None:
            client.username_pw_set(access.username, access.password)
        if access.tls is not None:
            client.tls_set_context(access.tls)
        if party.will is not None:
            client.will_set(party.will.topic, party.will.payload, party.will.qos, party.will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        return client

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.misunderstood = str(reason) == "Unsupported protocol version"
        self.limits = BrokerLimits(
            getattr(properties, "MaximumQoS", 2),
            bool(getattr(properties, "RetainAvailable", True)),
            getattr(properties, "MaximumPacketSize", None),
        )
        if reason.is_failure:
            self.will_refused = str(reason) in ("QoS not supported", "Retain not supported")
            self._refused_us = True
            self._end = f"it refused us: {reason}" + self._hint(str(reason))
        else:
            self._accepted = True
            self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))

    def _hint(self, reason: str) -> str:
        wrong = reason in ("Not authorized", "Bad user name or password")
        return f"; {self._password_hint}" if wrong and self._password_hint else ""

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        # What is no word of the broker, paho calls an "unspecified error".
        told = flags.is_disconnect_packet_from_server or str(reason) != "Unspecified error"
        self.reason = str(reason) if told else "the connection broke"
        unanswered = self._packets is not None and self._packets.first_byte is None
        self.will_refused |= self.version == "3.1.1" and unanswered
        self._end = self._end or self.reason

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        with contextlib.suppress(UnicodeDecodeError):  # such a topic is none of ours
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
        if self._packets is not None and mid in self._packets.too_large:
            self._packets.too_large.discard(mid)
            self._asked.pop(mid, None)
            self.too_large.append(mid)
            return
        self.acknowledged.append(mid)
        self._note_answer(mid, [reason])

    def _on_unsubscribe(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        self.acknowledged.append(mid)

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        self.subscribed = True
        self.acknowledged.append(mid)
        self._note_answer(mid, reasons)

    def _note_answer(self, mid: int, reasons: Any) -> None:
        """Note each kind of refusal once, and not without bound."""
        asked = self._asked.pop(mid, "a message")
        for text in (f"{asked}: {reason}" for reason in reasons if reason.is_failure):
            if text not in self._refusals and len(self._refusals) < _MAX_REFUSALS:
                self._refusals.add(text)
                self.refused.append(text)


def _connect_properties(party: ConnectOptions) -> Properties:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    if party.max_packet is not None:
        properties.MaximumPacketSize = party.max_packet
    return properties


def _publish_properties(message: Message) -> Properties:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = message.expiry_s
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    return properties


def _packed(properties: Properties) -> Properties:
    """Have properties packed once and for all: paho does it anew for every message, at half its cost."""
    content = properties.pack()  # type: ignore[no-untyped-call]
    properties.__dict__["pack"] = lambda: content
    return properties
