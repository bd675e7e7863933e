"""A row of the persistent queue: an event with a checksum, which is checked when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from edge_daemon.config.topic_names import topic_fault
from edge_daemon.mqtt.message import Message

SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL,
    checksum BLOB
)
"""
ADD_CHECKSUM = "ALTER TABLE event ADD COLUMN checksum BLOB"
"""For a file of an earlier state of 0.1.0, which can still use it then; its rows have no checksum."""

COLUMNS_WITHOUT_CHECKSUM = [
    ("id", "INTEGER", 1),
    ("topic", "TEXT", 0),
    ("payload", "BLOB", 0),
    ("qos", "INTEGER", 0),
]
COLUMNS = [*COLUMNS_WITHOUT_CHECKSUM, ("checksum", "BLOB", 0)]
"""Name, type and place in the primary key."""

_MAX_TOPIC_BYTES = 65_535  # MQTT 5, 1.5.4
_MAX_PAYLOAD_BYTES = 16 << 20
"""Far above every event; a damaged length must not fill the memory."""

INSERT = "INSERT INTO event (topic, payload, qos, checksum) VALUES (?, ?, ?, ?)"
DELETE = "DELETE FROM event WHERE id = ?"
SELECT = f"""
SELECT id, typeof(topic), typeof(payload),
    CASE WHEN length(CAST(topic AS BLOB)) <= {_MAX_TOPIC_BYTES} THEN CAST(topic AS BLOB) END,
    CASE WHEN typeof(payload) <> 'blob' OR length(payload) <= {_MAX_PAYLOAD_BYTES} THEN payload END,
    qos, checksum
FROM event
"""


class DamagedEventError(ValueError):
    """A row is no event of this device; the text is the fault."""


def row_of(message: Message) -> tuple[str, bytes, int, bytes]:
    """Return the values for `INSERT`."""
    topic = message.topic.encode()
    return message.topic, message.payload, message.qos, _checksum(topic, message.payload, message.qos)


def read_event(row: Sequence[Any], base_topic: str) -> Message:
    """Return the event of a row of `SELECT`; its topic is below `base_topic`. Raises DamagedEventError."""
    _, topic_type, payload_type, topic, payload, qos, checksum = row
    if (topic_type, payload_type) != ("text", "blob"):
        raise DamagedEventError(f"its topic is of the type {topic_type}, its payload {payload_type}")
    if topic is None or payload is None:
        raise DamagedEventError("its topic or payload is too long")
    if not isinstance(qos, int) or not 0 <= qos <= 2:
        raise DamagedEventError("its QoS is not 0, 1 or 2")
    text = _checked_topic(topic, base_topic)
    if checksum is not None and checksum != _checksum(topic, payload, qos):
        raise DamagedEventError("it differs from its checksum")
    return Message(text, payload, qos, retain=False)


def _checked_topic(topic: bytes, base_topic: str) -> str:
    prefix = f"{base_topic}/" if base_topic else ""
    try:
        text = topic.decode()
    except UnicodeDecodeError as exc:
        raise DamagedEventError("its topic is not text") from exc
    if not text.startswith(prefix):
        raise DamagedEventError(f"its topic {text[:40]!r} is not below '{base_topic}'")
    if fault := topic_fault(text.removeprefix(prefix)):
        raise DamagedEventError(f"its topic {text[:40]!r} {fault}")
    return text


def _checksum(topic: bytes, payload: bytes, qos: int) -> bytes:
    digest = sha256(b"%d %d " % (qos, len(topic)))
    digest.update(topic)
    digest.update(payload)
    return digest.digest()[:16]
