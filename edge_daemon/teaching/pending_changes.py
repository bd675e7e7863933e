"""Changes of the store that wait for another process's lock: tried again between frames, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

from msgspec import Struct

from edge_daemon.domain.commands import Command
from edge_daemon.domain.errors import EdgeError, RequestError
from edge_daemon.domain.events import Event
from edge_daemon.domain.interfaces import Clock
from edge_daemon.system.sqlite import LockedStoreError
from edge_daemon.teaching.replies import error_reply

CHANGE_LASTS_S = 5.0
"""A change that could not be made for so long is refused."""

MAX_WAITING = 64

Attempt: TypeAlias = Callable[[], Iterator[Event]]
"""Makes the change. Raises LockedStoreError before anything is changed."""


class _Pending(Struct, frozen=True):
    command: Command
    attempt: Attempt
    until_s: float


class PendingChanges:
    """At most 64 commands that wait. Every call comes from one thread and none blocks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[_Pending] = deque()

    def make(self, command: Command, attempt: Attempt) -> Iterator[Event]:
        """Make a change, or let it wait behind the others for the lock.

        Raises RequestError when too many wait, and what the attempt raises.
        """
        if not self._waiting:
            try:
                yield from attempt()
            except LockedStoreError:
                pass
            else:
                return
        if len(self._waiting) >= MAX_WAITING:
            raise RequestError("too many changes are waiting for the store, which another process has locked")
        until_s = self._clock.monotonic() + CHANGE_LASTS_S
        self._waiting.append(_Pending(command, attempt, until_s))

    def retry(self) -> Iterator[Event]:
        """Make the changes that wait, up to the first that still can't be made; refuse the overdue."""
        while self._waiting:
            pending = self._waiting[0]
            try:
                happened = list(pending.attempt())
            except LockedStoreError as exc:
                if self._clock.monotonic() < pending.until_s:
                    return
                happened = [error_reply(pending.command, exc)]
            except EdgeError as exc:
                happened = [error_reply(pending.command, exc)]
            self._waiting.popleft()
            yield from happened
