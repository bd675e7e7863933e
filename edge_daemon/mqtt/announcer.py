"""When Home Assistant is told of the device, and when it is told that the device is gone."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from edge_daemon.mqtt.discovery import MAX_KNOWN, Discovery, described
from edge_daemon.mqtt.message import Incoming, Message

_LONGEST_DELAY_S = 10.0


class Announcer:
    """Announces once the labels are known, when they change, and after each birth of Home Assistant.

    After a birth it waits up to 10 s, at random, so that a hundred devices don't answer at once. When
    discovery is turned off, an announcement of an earlier time is taken back. Belongs to one thread.
    """

    def __init__(self, discovery: Discovery, enabled: bool, random: Random) -> None:
        self._discovery = discovery
        self._enabled = enabled
        self._random = random
        self._known: dict[str, str] = {}
        self._told: tuple[str, ...] | None = None
        self._due_s: float | None = None

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to: our own retained announcement, and Home Assistant's birth."""
        return (self._discovery.topic, *((self._discovery.birth_topic,) if self._enabled else ()))

    def take(self, incoming: Incoming, now_s: float) -> None:
        """Note a birth or an earlier announcement of ours; anything else is passed over."""
        if incoming.topic == self._discovery.birth_topic and incoming.payload == b"online":
            self._due_s = now_s + self._random.uniform(0, _LONGEST_DELAY_S)
        elif incoming.topic == self._discovery.topic and incoming.retained:
            known = described(incoming.payload)
            if known is not None and not known.keys() <= self._known.keys():
                self._remember(known)
                self._due_s = now_s

    def due(self, labels: Sequence[str] | None, now_s: float, max_qos: int = 2) -> Message | None:
        """Return what is to be sent now, if anything. `labels` is None until they are known.

        `max_qos` is the highest QoS that the broker takes, from Home Assistant as well.
        """
        overdue = self._due_s is not None and now_s >= self._due_s
        if not self._enabled:
            self._due_s = None
            return self._discovery.removal() if overdue else None
        if labels is None or not (overdue or tuple(labels) != self._told):
            return None
        announcement = self._discovery.announcement(labels, self._known, min(1, max_qos))
        self._remember(described(announcement.payload) or {})
        self._told = tuple(labels)
        if overdue:
            self._due_s = None
        return announcement

    def _remember(self, known: dict[str, str]) -> None:
        """Keep what was described last, up to a bound: labels come and go for years."""
        merged = {key: kind for key, kind in self._known.items() if key not in known} | known
        self._known = dict(list(merged.items())[-MAX_KNOWN:])
