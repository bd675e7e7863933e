"""Notices another device that speaks at our topics."""

from __future__ import annotations

import msgspec

from edge_daemon.mqtt.message import Incoming


class _Instance(msgspec.Struct):
    instance: str = ""


class DuplicateDeviceDetector:
    """Reads what stands at our own `info` topic. Belongs to one thread.

    Two devices with one id throw each other off the broker, and not every broker says why; but each
    finds the other's instance where it left its own. What is found at the first connect is no sign:
    it may be from our own earlier life.
    """

    def __init__(self, info_topic: str, instance: str) -> None:
        self.info_topic = info_topic
        self._instance = instance
        self._introduced = False

    def take(self, incoming: Incoming) -> str | None:
        """Return what to say when a message shows another device at our topics."""
        if incoming.topic != self.info_topic:
            return None
        try:
            found = msgspec.json.decode(incoming.payload, type=_Instance).instance
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if found == self._instance:
            self._introduced = True
        elif found and (self._introduced or not incoming.retained):
            return f"another device speaks at {self.info_topic}; give each its own device.id"
        return None
