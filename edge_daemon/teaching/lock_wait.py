"""The wait of one command for the store's lock, which another process holds."""

from __future__ import annotations

import logging

from edge_daemon.domain.commands import Command
from edge_daemon.domain.interfaces import Clock

log = logging.getLogger(__name__)

CHANGE_TIMEOUT_S = 120.0
"""Longest time that a change waits for the lock: an import of 10,000 examples may hold it for a minute."""

_WARNING_S = 5.0
"""Time that a command waits before the log says so."""


class LockWait:
    """Ends after two minutes; the log reports a wait of more than five seconds, once."""

    def __init__(self, command: Command, clock: Clock) -> None:
        self._command = command
        self._clock = clock
        self._started_s = clock.monotonic()
        self._is_logged = False

    def is_over(self, exc: Exception) -> bool:
        """Return whether the command is refused with `exc`, the error of its last try; log a long wait."""
        waited_s = self._clock.monotonic() - self._started_s
        if waited_s >= CHANGE_TIMEOUT_S:
            return True
        if waited_s >= _WARNING_S and not self._is_logged:
            self._is_logged = True
            log.warning("%s waits: %s", type(self._command).__name__, exc)
        return False
