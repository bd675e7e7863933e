"""A subscriber built on paho as in its documentation, without code of the package."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, cast
from uuid import uuid4

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion


class ReceivedMessage(NamedTuple):
    """A message delivered by the broker."""

    topic: str
    payload: bytes
    qos: int
    retained: bool
    properties: dict[str, Any]

    def json(self) -> dict[str, Any]:
        """Return the payload as an object."""
        return cast("dict[str, Any]", json.loads(self.payload))


class Listener:
    """Subscribes to all topics and keeps the messages; a context manager."""

    def __init__(
        self,
        port: int,
        topic_filter: str = "#",
        configure: Callable[[Client], None] = lambda client: None,
        version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
    ) -> None:
        self.messages: list[ReceivedMessage] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._port = port
        self._filter = topic_filter
        self.client = Client(
            CallbackAPIVersion.VERSION2, client_id=f"listener-{uuid4().hex[:8]}", protocol=version
        )
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *args: self._subscribed.set()
        self.client.on_message = self._on_message
        configure(self.client)

    def __enter__(self) -> Listener:
        self.client.connect("127.0.0.1", self._port)
        self.client.loop_start()
        assert self._subscribed.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def publish(self, topic: str, payload: bytes | str, retain: bool = False) -> None:
        """Publish with QoS 1 and wait for the acknowledgement."""
        self.client.publish(topic, payload, 1, retain).wait_for_publish(10)

    def texts(self, topic: str) -> list[str]:
        """Return the payloads received at a topic, in order."""
        return [message.payload.decode() for message in list(self.messages) if message.topic == topic]

    def wait_for(self, topic: str, payload: bytes | None = None, timeout_s: float = 15.0) -> ReceivedMessage:
        """Return the first message at `topic`, with that payload if one is given; fail after `timeout_s`."""

        def first() -> ReceivedMessage | None:
            fitting = (each for each in self.messages if each.topic == topic)
            return next((each for each in fitting if payload is None or each.payload == payload), None)

        with self._changed:
            assert self._changed.wait_for(lambda: first() is not None, timeout_s), (
                f"no such message at {topic}: {self.messages}"
            )
            found = first()
            assert found is not None
            return found

    def clear(self) -> None:
        """Forget the received messages."""
        with self._changed:
            self.messages.clear()

    def _on_connect(self, client: Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        client.subscribe(self._filter, 1)

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        with self._changed:
            properties = vars(message.properties) if message.properties else {}
            self.messages.append(
                ReceivedMessage(message.topic, message.payload, message.qos, bool(message.retain), properties)
            )
            self._changed.notify_all()
