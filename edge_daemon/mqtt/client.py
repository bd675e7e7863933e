"""One connection to a broker. The only file that imports paho, and only when a connection is made.

paho's own network thread is not used: it re-raises what a callback raises, sends messages of an
earlier connection after newer ones, and queues without bound. Here the thread that owns the
connection drives paho through its interface for external loops, and a lost connection is never
mended: the owner opens a new one.
"""

from __future__ import annotations

import contextlib
import select
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from edge_daemon.errors import BrokerError
from edge_daemon.mqtt.message import Incoming, Message
from edge_daemon.mqtt.options import MqttOptions, TlsOptions
from edge_daemon.mqtt.password import read_password
from edge_daemon.mqtt.wakeup import Wakeup

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_CONNECT_S = 5.0
_TICK_S = 0.1
_LONGEST_POLL_S = 1.0


class Connection:
    """From CONNECT to the end, once. Every method belongs to one thread, and may raise BrokerError.

    Callbacks only note what came in; `received` and `acknowledged` are read by the owner.
    """

    def __init__(
        self, options: MqttOptions, client_id: str, will: Message | None, environ: Mapping[str, str]
    ) -> None:
        self.received: deque[Incoming] = deque()
        self.acknowledged: deque[int] = deque()
        self.refused: deque[str] = deque()
        self.subscribed = False
        self._address = f"{options.host}:{options.port}"
        self._options = options
        self._accepted = False
        self._end: str | None = None
        self._client = self._build(options, client_id, environ)
        if will is not None:
            self._client.will_set(will.topic, will.payload, will.qos, will.retain)

    def open(self, cancelled: Callable[[], bool]) -> None:
        """Connect and wait for the broker's answer, 5 s at most; give up once `cancelled` says so."""
        assert self._options.host is not None
        deadline = time.monotonic() + _CONNECT_S
        try:
            self._client.connect(self._options.host, self._options.port, self._options.keepalive_s)
        except (OSError, ValueError) as exc:
            raise BrokerError(f"can't reach the MQTT broker at {self._address}: {_reason(exc)}") from exc
        while not self._accepted:
            if cancelled() or time.monotonic() > deadline:
                raise BrokerError(
                    f"the MQTT broker at {self._address} did not answer within {_CONNECT_S:g} s"
                )
            self._step(None, _TICK_S)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Ask for messages; `subscribed` tells when it is granted, `refused` why it is not."""
        self.subscribed = False
        self._client.subscribe(topic_filter, qos)

    def publish(self, message: Message) -> int:
        """Hand a message to paho and return its packet id; `acknowledged` tells when the broker has it."""
        return self._client.publish(message.topic, message.payload, message.qos, message.retain).mid

    @property
    def congested(self) -> bool:
        """Whether the socket takes no more for now: what is published only piles up in memory."""
        return self._client.want_write()

    def poll(self, wakeup: Wakeup, timeout_s: float = _LONGEST_POLL_S) -> None:
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
            raise BrokerError(f"lost the MQTT broker at {self._address}: {self._end or 'connection closed'}")
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
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
            self._client.loop_read()
        self._client.loop_misc()

    def _build(self, options: MqttOptions, client_id: str, environ: Mapping[str, str]) -> Client:
        from paho.mqtt.client import Client, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion

        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=True,
            protocol=MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_S
        password = read_password(options, environ)
        if password is not None and options.username is None:
            raise BrokerError("an MQTT password is given but no name; set mqtt.username")
        if options.username is not None:
            client.username_pw_set(options.username, password)
        if options.tls.enabled:
            client.tls_set_context(_tls_context(options.tls))
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        return client

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._end = f"it refused us: {reason}"
        else:
            self._accepted = True

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        # What is no word of the broker, paho calls an "unspecified error".
        told = flags.is_disconnect_packet_from_server or str(reason) != "Unspecified error"
        self._end = self._end or (str(reason) if told else "the connection broke")

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        with contextlib.suppress(UnicodeDecodeError):  # such a topic is none of ours
            self.received.append(Incoming(message.topic, bytes(message.payload), bool(message.retain)))

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        self.acknowledged.append(mid)
        if reason.is_failure:
            self.refused.append(f"publishing: {reason}")

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        self.subscribed = True
        self.refused.extend(f"subscribing: {reason}" for reason in reasons if reason.is_failure)


def check_settings(options: MqttOptions, environ: Mapping[str, str]) -> None:
    """Raise BrokerError for files that can't be used, before any connection is tried."""
    Connection(options, "check", None, environ)


def _tls_context(tls: TlsOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as exc:
        files = ", ".join(name for name in (tls.ca_file, tls.cert_file, tls.key_file) if name)
        raise BrokerError(f"mqtt.tls: can't use {files}: {_reason(exc)}") from exc
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {exc.verify_message}"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return str(exc) or type(exc).__name__
