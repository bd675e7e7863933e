"""Detection of a thread that hangs in a library: its loop no longer turns, and no error says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from edge_daemon.domain.errors import EdgeError

LIMIT_S = 30.0
"""A loop without a turn for this time hangs; the panel's turns at least four times a second."""

STEP_S = 1.0
"""Most that one check adds: while the whole process was suspended, no loop could turn."""


@runtime_checkable
class Loop(Protocol):
    """A service whose thread turns in a loop."""

    name: str
    """Name of its thread."""

    turns: int
    """Turns since its start; only its thread changes it."""


class StandstillCheck:
    """Compares the turns of each loop between checks, which the main loop makes several times a second."""

    def __init__(self, services: Iterable[object], now_s: float) -> None:
        self._loops = [service for service in services if isinstance(service, Loop)]
        self._seen = [loop.turns for loop in self._loops]
        self._still_s = [0.0] * len(self._loops)
        self._checked_s = now_s

    def check(self, now_s: float) -> None:
        """Raises EdgeError for a loop that hangs; the end of the process is the only way out of it."""
        passed_s = min(now_s - self._checked_s, STEP_S)
        self._checked_s = now_s
        for index, loop in enumerate(self._loops):
            if loop.turns != self._seen[index]:
                self._seen[index], self._still_s[index] = loop.turns, 0.0
                continue
            self._still_s[index] += passed_s
            if self._still_s[index] > LIMIT_S:
                raise EdgeError(
                    f"thread {loop.name} hangs in its library for {LIMIT_S:.0f} s; only a restart ends that"
                )
