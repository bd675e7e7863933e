"""The paho client of a connection. The only file that imports paho; it is loaded for the first connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_daemon.mqtt.credentials import Credentials
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.packet_socket import PacketSocket


class PahoClient(Client):
    """A paho client that never reconnects, with MQTT 5 or 3.1.1, on the socket that `open_socket` opens."""

    def __init__(
        self,
        client_id: str,
        mqtt5: bool,
        credentials: Credentials,
        will: Message | None,
        open_socket: Callable[[], PacketSocket],
    ) -> None:
        self._mqtt5 = mqtt5
        self._open_socket = open_socket
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if mqtt5 else True,
            protocol=MQTTv5 if mqtt5 else MQTTv311,
            reconnect_on_failure=False,
        )
        if credentials.username is not None:
            self.username_pw_set(credentials.username, credentials.password)
        if will is not None:
            self.will_set(will.topic, will.payload, will.qos, will.retain)

    def open(self, host: str, port: int, keepalive_s: int, max_packet: int | None) -> None:
        """Open the socket and send CONNECT; `max_packet` bytes is the longest packet to receive with MQTT 5.

        Raises what `open_socket` raises.
        """
        properties = None
        if self._mqtt5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            if max_packet is not None:
                properties.MaximumPacketSize = max_packet
        self.connect(host, port, keepalive_s, properties=properties)

    def subscribe_to(self, topic_filter: str, qos: int, *, retain_as_published: bool) -> int | None:
        """Subscribe and return the packet id; `retain_as_published` has an effect with MQTT 5."""
        if not self._mqtt5:
            return self.subscribe(topic_filter, qos)[1]
        options = SubscribeOptions(qos=qos, retainAsPublished=retain_as_published)
        return self.subscribe(topic_filter, options=options)[1]

    def _create_socket(self) -> Any:
        return self._open_socket()


class PublishProperties:
    """Properties of published messages, with MQTT 5."""

    def __init__(self) -> None:
        self._expiring: dict[int | None, Properties] = {}

    def of(self, message: Message) -> Properties:
        """Return a message's properties; those with an expiry alone are encoded once and shared."""
        if message.correlation is not None:
            return _publish_properties(message)
        if message.expiry_s not in self._expiring:
            self._expiring[message.expiry_s] = _with_cached_encoding(_publish_properties(message))
        return self._expiring[message.expiry_s]


def _publish_properties(message: Message) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = message.expiry_s
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    return properties


def _with_cached_encoding(properties: Properties) -> Properties:
    """Encode properties only once: paho encodes them for every message, half of its time per message."""
    content = properties.pack()  # type: ignore[no-untyped-call]
    properties.__dict__["pack"] = lambda: content
    return properties
