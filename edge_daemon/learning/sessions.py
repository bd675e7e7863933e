"""Teaching sessions: presses close in time, which share a scene and its light."""

from __future__ import annotations

from datetime import datetime, timedelta

SESSION_GAP = timedelta(minutes=20)
"""Longest time between two presses of one session."""


class SessionCounter:
    """Numbers the sessions of examples, which are given in the order in which they were stored; pure.

    A session ends after 20 minutes without a press. It also ends where the time goes back: a device without
    a battery-backed clock was restarted. The sessions of each device of a fleet (`origin`) are its own.
    """

    def __init__(self) -> None:
        self._latest: dict[str, tuple[int, datetime]] = {}
        self._count = 0

    def number(self, created_at: datetime, origin: str = "") -> int:
        """Return the session of the next example, counted from 0."""
        known = self._latest.get(origin)
        if known is not None and timedelta(0) <= created_at - known[1] <= SESSION_GAP:
            session = known[0]
        else:
            session, self._count = self._count, self._count + 1
        self._latest[origin] = (session, created_at)
        return session
