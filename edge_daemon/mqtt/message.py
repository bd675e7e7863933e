"""What is sent and received: values without a connection."""

from __future__ import annotations

from dataclasses import dataclass, field

_OVERHEAD_BYTES = 18
"""Of a packet besides topic, payload and correlation data: lengths, packet id, expiry."""


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT publication. `retain` makes it a state: the broker keeps the topic's last one.

    Over MQTT 5 the broker drops it undelivered after `expiry_s`, and `correlation` tells the asker
    which request it answers.
    """

    topic: str
    payload: bytes = field(repr=False)
    qos: int
    retain: bool
    expiry_s: int | None = None
    correlation: bytes | None = None

    @property
    def packet_bytes(self) -> int:
        """The most bytes of the PUBLISH packet that carries it."""
        correlation = 0 if self.correlation is None else len(self.correlation)
        return len(self.topic.encode()) + len(self.payload) + correlation + _OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message the broker delivered. `retained` says it was stored before we subscribed.

    Over MQTT 5 the sender may ask for an answer at `response_topic`, marked with `correlation`.
    """

    topic: str
    payload: bytes = field(repr=False)
    retained: bool
    response_topic: str | None = None
    correlation: bytes | None = None
