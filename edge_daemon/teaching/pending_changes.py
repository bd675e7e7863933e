"""Commands that fail or wait: error replies, and changes that wait for the store's lock."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

from msgspec import Struct

from edge_daemon.domain.commands import Command
from edge_daemon.domain.errors import EdgeError, RequestError
from edge_daemon.domain.events import CommandReply, Event
from edge_daemon.domain.interfaces import Clock
from edge_daemon.system.sqlite import LockedStoreError

log = logging.getLogger(__name__)

CHANGE_TIMEOUT_S = 5.0
"""Longest time that a change waits for the lock."""

MAX_PENDING = 64

Attempt: TypeAlias = Callable[[], Iterator[Event]]
"""Makes the change. Raises LockedStoreError before anything is changed."""


def reply_on_error(command: Command, happened: Iterator[Event]) -> Iterator[Event]:
    """Yield the command's events; an EdgeError becomes an error reply, and the pipeline continues."""
    try:
        yield from happened
    except EdgeError as exc:
        yield error_reply(command, exc)


def error_reply(command: Command, exc: EdgeError) -> CommandReply:
    """Log a failed command and return its error reply."""
    log.warning("%s refused: %s", type(command).__name__, exc)
    return CommandReply(command, error=str(exc))


class _PendingChange(Struct, frozen=True):
    command: Command
    attempt: Attempt
    deadline_s: float


class PendingChanges:
    """At most 64 commands that wait while another process holds the store's lock; retried in order.

    Every call comes from one thread, and no call blocks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: deque[_PendingChange] = deque()

    def make(self, command: Command, attempt: Attempt) -> Iterator[Event]:
        """Make a change, or queue it if the store is locked or earlier changes are pending.

        Raises RequestError when too many are pending, and the errors of `attempt`.
        """
        if not self._pending:
            try:
                yield from attempt()
            except LockedStoreError:
                pass
            else:
                return
        if len(self._pending) >= MAX_PENDING:
            raise RequestError("too many changes are waiting for the store, which another process has locked")
        deadline_s = self._clock.monotonic() + CHANGE_TIMEOUT_S
        self._pending.append(_PendingChange(command, attempt, deadline_s))

    def pop_all(self) -> list[Command]:
        """Remove and return the commands that wait."""
        commands = [pending.command for pending in self._pending]
        self._pending.clear()
        return commands

    def retry(self) -> Iterator[Event]:
        """Make the pending changes up to the first that still meets a lock; reject the overdue ones."""
        while self._pending:
            pending = self._pending[0]
            try:
                happened = list(pending.attempt())
            except LockedStoreError as exc:
                if self._clock.monotonic() < pending.deadline_s:
                    return
                happened = [error_reply(pending.command, exc)]
            except EdgeError as exc:
                happened = [error_reply(pending.command, exc)]
            self._pending.popleft()
            yield from happened
