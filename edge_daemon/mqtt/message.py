"""What is sent and received: values without a connection."""

from __future__ import annotations

from dataclasses import dataclass, field


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
