"""Publication of the discovery message at the right times, and removal of entities that no longer exist."""

from __future__ import annotations

from random import Random
from typing import Literal

import msgspec

from edge_daemon.mqtt.home_assistant import ORIGIN, Discovery
from edge_daemon.mqtt.message import Incoming, Message
from edge_daemon.system.json_input import decode_json

MAX_REMEMBERED = 300
"""Maximum number of remembered entities, so that removed ones can be removed in Home Assistant."""

_MAX_DELAY_S = 10.0


class DiscoveryPublisher:
    """Publishes the discovery once the labels are known, when they change, and after Home Assistant's birth.

    After a birth it waits a random time of up to 10 s, so that many devices don't answer at once. If
    discovery is disabled, an earlier discovery message is removed. `set_labels` is for any thread; all other
    methods belong to the thread that owns the connection.
    """

    def __init__(self, discovery: Discovery, enabled: bool, random: Random) -> None:
        self._discovery = discovery
        self._enabled = enabled
        self._random = random
        self._known: dict[str, str] = {}
        self._labels: tuple[str, ...] | None = None
        self._announced: tuple[str, ...] | None = None
        self._due_s: float | None = None

    @property
    def filters(self) -> tuple[str, ...]:
        """Topic filters: our own retained discovery message, and Home Assistant's birth message."""
        return (self._discovery.topic, *((self._discovery.birth_topic,) if self._enabled else ()))

    def set_labels(self, labels: tuple[str, ...]) -> None:
        """Replace the labels with buttons."""
        self._labels = labels

    def handle(self, incoming: Incoming, now_s: float) -> None:
        """Handle a birth message or an earlier discovery message of ours; ignore all others."""
        if incoming.topic == self._discovery.birth_topic and incoming.payload == b"online":
            self._due_s = now_s + self._random.uniform(0, _MAX_DELAY_S)
        elif incoming.topic == self._discovery.topic and incoming.retained:
            known = described_platforms(incoming.payload)
            if known is not None and not known.keys() <= self._known.keys():
                self._remember(known)
                self._due_s = now_s

    def pop_due(self, now_s: float, max_qos: int = 2) -> Message | None:
        """Return the message that is due now, if any.

        `max_qos` is the maximum QoS of the broker, which applies to Home Assistant as well.
        """
        labels = self._labels
        overdue = self._due_s is not None and now_s >= self._due_s
        if not self._enabled:
            self._due_s = None
            return self._discovery.removal() if overdue else None
        if labels is None or not (overdue or labels != self._announced):
            return None
        announcement = self._discovery.announcement(labels, self._known, min(1, max_qos))
        self._remember(described_platforms(announcement.payload) or {})
        self._announced = labels
        if overdue:
            self._due_s = None
        return announcement

    def _remember(self, known: dict[str, str]) -> None:
        """Remember the described entities, up to a limit: labels may change for years."""
        merged = {key: kind for key, kind in self._known.items() if key not in known} | known
        self._known = dict(list(merged.items())[-MAX_REMEMBERED:])


def described_platforms(config: bytes) -> dict[str, str] | None:
    """Return the platform of each entity in a discovery message of ours; None for any other payload."""
    try:
        found = decode_json(config, _Config)
    except msgspec.DecodeError:
        return None
    if found.origin.name != ORIGIN:
        return None
    return {key: part.platform for key, part in found.components.items() if part.unique_id}


class _Origin(msgspec.Struct):
    name: str


class _Component(msgspec.Struct):
    platform: Literal["sensor", "event", "image", "button", "number", "select", "text"]
    unique_id: str = ""


class _Config(msgspec.Struct):
    origin: _Origin
    components: dict[str, _Component]
