"""What is sent and received: values without a connection."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT publication. `retain` makes it a state: the broker keeps the topic's last one."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message the broker delivered. `retained` says it was stored before we subscribed."""

    topic: str
    payload: bytes = field(repr=False)
    retained: bool
