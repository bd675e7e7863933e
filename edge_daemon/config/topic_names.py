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
"""What stands below the base topic, where regions stand too."""

MAX_BYTES = 512
"""Longest topic that the device uses."""


def topic_fault(topic: str) -> str | None:
    """Return why text can't be a topic with others below it, and what would be right; None when it can.

    Brokers hang up on control characters and noncharacters too (MQTT 5, 1.5.4).
    """
    if not topic or any(character in topic for character in FORBIDDEN):
        return "can't be a topic: it must not be empty or hold + # or NUL"
    if topic.startswith("$") or not all(topic.split("/")):
        return "can't start with $ or hold an empty level (//, or / at an end)"
    if strange := next((character for character in topic if _is_refused(character)), None):
        return f"can't be a topic: brokers refuse {strange!r}; leave it out"
    return f"is longer than {MAX_BYTES} bytes" if len(topic.encode()) > MAX_BYTES else None


def _is_refused(character: str) -> bool:
    code = ord(character)
    return category(character) in ("Cc", "Cs") or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
