"""Teaching sessions: presses close in time, which share a scene and its light."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from edge_daemon.domain.types import Example

SESSION_GAP = timedelta(minutes=20)
"""Longest time between two presses of one session."""


class _Run(Struct):
    """Presses without a gap; each scene among them is a separate session."""

    latest: Example
    scene_id: int | None = None
    sessions: dict[int | None, int] = {}


class SessionCounter:
    """Numbers the sessions of examples, which are given in the order in which they were stored; pure.

    A session ends after 20 minutes without a press and with the boot; presses in different scenes are of
    different sessions. Where boot and uptime are known the wall clock does not matter. Otherwise a session
    also ends where the time goes back: a device without a battery-backed clock was restarted. The sessions
    of each device of a fleet (`origin`) are its own.
    """

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], _Run] = {}
        self._count = 0

    def number(self, example: Example) -> int:
        """Return the session of the next example, counted from 0."""
        source = (example.origin, example.boot_id)
        run = self._runs.get(source)
        if run is None or not _continues(run.latest, example):
            run = self._runs[source] = _Run(example)
        session = self._session(run, example.scene_id)
        run.latest = example
        return session

    def _session(self, run: _Run, scene_id: int | None) -> int:
        """Return the session of a press; one without a known scene belongs to that of the press before."""
        if scene_id is None:
            scene_id = run.scene_id
        if scene_id not in run.sessions:
            run.sessions[scene_id] = run.sessions.pop(None, self._count)
            self._count = max(self._count, run.sessions[scene_id] + 1)
        run.scene_id = scene_id
        return run.sessions[scene_id]


def _continues(latest: Example, example: Example) -> bool:
    """Return whether an example follows one of the same device and boot without a gap."""
    if example.boot_id and latest.uptime_s is not None and example.uptime_s is not None:
        # A frame may be stored after a later one: the store was locked.
        return abs(example.uptime_s - latest.uptime_s) <= SESSION_GAP.total_seconds()
    return timedelta(0) <= example.created_at - latest.created_at <= SESSION_GAP
