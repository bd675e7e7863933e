"""Rules for MQTT topic names."""

from __future__ import annotations

from unicodedata import category

FORBIDDEN = "+#\0"
RESERVED_LEVELS = frozenset(
    (
        "availability",
        "event",
        "examples",
        "info",
        "label",
        "request",
        "response",
        "result",
        "settings",
        "snapshot",
    )
)
"""Levels below the base topic in use, which no region can have as its name."""

FLEET_ROOT = "edge_daemon/fleet"
"""The topics at and below it belong to the fleet."""

MAX_BYTES = 512
"""Length limit for the device's topics."""


def topic_fault(topic: str) -> str | None:
    """Return the fault of a text as a base topic, with the remedy; None for a valid one.

    Brokers disconnect clients that use control characters or noncharacters (MQTT 5, 1.5.4).
    """
    if not topic or any(character in topic for character in FORBIDDEN):
        return "can't be a topic: it must not be empty or hold + # or NUL"
    if topic.startswith("$") or not all(topic.split("/")):
        return "can't start with $ or hold an empty level (//, or / at an end)"
    if refused := next((character for character in topic if _is_refused(character)), None):
        return f"can't be a topic: brokers refuse {refused!r}; leave it out"
    return f"is longer than {MAX_BYTES} bytes" if len(topic.encode()) > MAX_BYTES else None


def _is_refused(character: str) -> bool:
    code = ord(character)
    return category(character) in ("Cc", "Cs") or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
