"""Commands that fail or wait: error replies, changes that wait for the store's lock, and their order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from edge_daemon.domain.commands import AddExample, AddPicture, Command, Undo
from edge_daemon.domain.errors import EdgeError, RequestError
from edge_daemon.domain.events import (
    Cleared,
    CommandReply,
    Event,
    ExampleAdded,
    ExamplesEdited,
    ExampleUndone,
)
from edge_daemon.domain.interfaces import Clock
from edge_daemon.example_store.change_history import MAX_CHANGES
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


class _Change(Struct, frozen=True):
    command: Command
    attempt: Attempt
    deadline_s: float
    number: int

    @property
    def key(self) -> str:
        """Changes with the same key are undone together; empty for a change of its own."""
        match self.command:
            case AddExample(group=key) | AddPicture(batch=key):
                return key
        return ""


class _MadeChange(NamedTuple):
    number: int
    key: str


class PendingChanges:
    """At most 64 commands that wait while another process holds the store's lock; retried in order.

    Presses and changes take a number when they are accepted: an undo takes back what has the highest one,
    whether it waits or is made. Every call comes from one thread, and no call blocks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: deque[_Change] = deque()
        self._numbers = count(1)
        self._made: deque[_MadeChange] = deque(maxlen=MAX_CHANGES)
        """The changes of the examples that undos without a number take back, the next one last."""

    def next_number(self) -> int:
        """Return the number of a press or change that is accepted now."""
        return next(self._numbers)

    @property
    def latest_made(self) -> int:
        """Highest number of the changes of the examples that were made and not undone; 0 without one."""
        return max((each.number for each in self._made), default=0)

    @property
    def latest(self) -> int:
        """Highest number of the changes that were made or wait; 0 without one."""
        return max([self.latest_made, *(each.number for each in self._pending)])

    def ends_with(self, key: str) -> bool:
        """Return whether the next undo takes back the burst or batch with this key, or a part of it."""
        last = self._pending or self._made
        return bool(key and last and last[-1].key == key)

    def make(self, command: Command, attempt: Attempt, number: int | None = None) -> Iterator[Event]:
        """Make a change, or queue it if the store is locked or earlier changes are pending.

        `number` is that of its press, by default a new one. Raises RequestError when too many are pending,
        and the errors of `attempt`.
        """
        deadline_s = self._clock.monotonic() + CHANGE_TIMEOUT_S
        change = _Change(command, attempt, deadline_s, self.next_number() if number is None else number)
        if not self._pending:
            try:
                yield from self._attempt(change)
            except LockedStoreError:
                pass
            else:
                return
        if len(self._pending) >= MAX_PENDING:
            raise RequestError("too many changes are waiting for the store, which another process has locked")
        self._pending.append(change)

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
                happened = list(self._attempt(pending))
            except LockedStoreError as exc:
                if self._clock.monotonic() < pending.deadline_s:
                    return
                happened = [error_reply(pending.command, exc)]
            except EdgeError as exc:
                happened = [error_reply(pending.command, exc)]
            self._pending.popleft()
            yield from happened

    def _attempt(self, change: _Change) -> Iterator[Event]:
        """Make a change; note it if it changed examples."""
        noted = False
        for event in change.attempt():
            if not noted and isinstance(event, ExampleAdded | ExampleUndone | Cleared | ExamplesEdited):
                self._note(change)
                noted = True
            yield event

    def _note(self, change: _Change) -> None:
        if isinstance(change.command, Undo) and change.command.change is None:
            if self._made:
                self._made.pop()
            return
        if change.key and self._made and self._made[-1].key == change.key:
            self._made.pop()
        self._made.append(_MadeChange(change.number, change.key))
