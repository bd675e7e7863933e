"""Detection of a broker that keeps the connection open and acknowledges nothing."""

from __future__ import annotations

from collections.abc import Sequence

from edge_daemon.mqtt.message import Message

STALL_S = 5.0
"""A message that has waited this time may wait until the keepalive ends the connection, or longer."""


class StallDetector:
    """Finds messages that have waited in memory for STALL_S; at the latest after twice that.

    Only the newest waiting message is remembered: those before it have waited as long. `now_s` is monotonic.
    """

    def __init__(self) -> None:
        self._next_s = float("-inf")
        self._newest: Message | None = None

    def due(self, now_s: float) -> bool:
        """Return whether to call `is_stalled` now."""
        return now_s >= self._next_s

    def is_stalled(self, waiting: Sequence[Message], now_s: float) -> bool:
        """Return whether the newest message of the last call still waits; `waiting` has the oldest first."""
        newest, self._newest = self._newest, waiting[-1] if waiting else None
        self._next_s = now_s + STALL_S
        return any(each is newest for each in waiting)
