"""MQTT messages as values, and the shortening of payloads for brokers with a small packet limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from edge_daemon.system.json_input import decode_json

_OVERHEAD_BYTES = 18
"""Bytes of a packet besides topic, payload and correlation data: lengths, packet id, expiry."""

_TABLES = (
    ("ranking",),
    ("evaluation", "classes"),
    ("fleet", "peers"),
    ("counts",),
    ("ids",),
    ("button_labels",),
)
"""Lists and tables whose first entries are useful on their own, the least important first."""

_BUTTON = "teach_"


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT publication. With `retain` the broker keeps it as the last value of its topic.

    With MQTT 5 the broker discards it undelivered after `expiry_s` seconds, and `correlation` identifies the
    request that it answers. `telemetry` is dropped without a connection.
    """

    topic: str
    payload: bytes = field(repr=False)
    qos: int
    retain: bool
    expiry_s: int | None = None
    correlation: bytes | None = None
    telemetry: bool = False

    @property
    def durable(self) -> bool:
        """True for an event, which is kept until the broker has it, across a restart too."""
        return not self.retain and self.expiry_s is None

    @property
    def packet_bytes(self) -> int:
        """Upper bound of the size of its PUBLISH packet."""
        correlation = 0 if self.correlation is None else len(self.correlation)
        return len(self.topic.encode()) + len(self.payload) + correlation + _OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message delivered by the broker. `retained`: it was stored before the subscription.

    With MQTT 5 the sender may request an answer at `response_topic`, with `correlation` as its data.
    """

    topic: str
    payload: bytes = field(repr=False)
    retained: bool
    response_topic: str | None = None
    correlation: bytes | None = None


def shorten(payload: bytes, limit: int) -> bytes | None:
    """Return the payload with less content and at most `limit` bytes; None if that is impossible.

    Lists and tables keep their first entries. Home Assistant's discovery loses the buttons of labels. A
    response becomes an error with its size. Only JSON objects can be shortened.
    """
    try:
        body = decode_json(payload, object)
    except msgspec.DecodeError:
        return None
    if not isinstance(body, dict):
        return None
    if "status" in body:
        return _encode_within(_too_long_response(body, len(payload)), limit)
    if "components" in body:
        return _encode_within(_without_buttons(body), limit)
    return _with_shorter_tables(body, limit)


def _encode_within(body: object, limit: int) -> bytes | None:
    payload = msgspec.json.encode(body)
    return payload if len(payload) <= limit else None


def _too_long_response(body: dict[str, Any], size: int) -> dict[str, Any]:
    error = f"the answer of {size} bytes is longer than the broker takes"
    return {"status": "error", "error": error, "transaction": body.get("transaction")}


def _without_buttons(body: dict[str, Any]) -> dict[str, Any]:
    components = body["components"]
    return body | {
        "components": {key: part for key, part in components.items() if not key.startswith(_BUTTON)}
    }


def _with_shorter_tables(body: dict[str, Any], limit: int) -> bytes | None:
    for *above, key in _TABLES:
        parent: Any = body
        for name in above:
            parent = parent.get(name) or {}
        while isinstance(table := parent.get(key), dict | list) and table:
            kept = list(table)[: len(table) // 2]
            parent[key] = {name: table[name] for name in kept} if isinstance(table, dict) else kept
            if (payload := _encode_within(body, limit)) is not None:
                return payload
    return None
