"""Commands that fail or wait: error replies, and changes that wait for the store's lock."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct

from edge_daemon.domain.commands import AddExample, AddPicture, Command, ForgetScene, Undo
from edge_daemon.domain.errors import EdgeError, RequestError
from edge_daemon.domain.events import CommandReply, Event
from edge_daemon.domain.interfaces import Clock
from edge_daemon.example_store.change_history import LiveChange
from edge_daemon.system.sqlite import LockedStoreError
from edge_daemon.teaching.change_order import ChangeOrder, Undoable, with_latest
from edge_daemon.teaching.lock_wait import LockWait

log = logging.getLogger(__name__)

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
    """A command that changes the store, with its number among presses and changes."""

    command: Command
    attempt: Attempt
    wait: LockWait
    number: int

    @property
    def key(self) -> str:
        """Changes with the same key are undone together. It is empty for a single change."""
        match self.command:
            case AddExample(group=key) | AddPicture(batch=key):
                return key
        return ""

    @property
    def is_undo(self) -> bool:
        """True for an undo of the latest change, whichever that is then."""
        return isinstance(self.command, Undo) and self.command.change is None

    @property
    def is_undoable(self) -> bool:
        """True for a change that an undo of the latest change can take back later."""
        return not isinstance(self.command, Undo | ForgetScene)


class PendingChanges:
    """At most 64 commands that wait while another process holds the store's lock; retried in order.

    Presses and changes take a number when they are accepted: an undo takes back what has the highest one,
    whether it waits or is made. `live` reads the changes in the store. Every call comes from one thread, and
    no call blocks.
    """

    def __init__(self, clock: Clock, live: Callable[[], Sequence[LiveChange]]) -> None:
        self._clock = clock
        self._order = ChangeOrder(live)
        self._pending: deque[_Change] = deque()
        self._finished: list[Undoable] = []
        """The changes that waited and were made or refused, for the undos that still wait behind them.

        The latest one is the last. Empty when nothing waits.
        """

    def next_number(self) -> int:
        """Return the number of a press or change that is accepted now."""
        return self._order.next_number()

    def waits_before(self, number: int) -> bool:
        """Return whether a command with a lower number waits for the store."""
        return any(each.number < number for each in self._pending)

    @property
    def latest_made(self) -> int:
        """Highest number of the changes of the examples that were made and not undone; 0 without one."""
        return self._order.latest_made

    def latest_undoable(self, scene_press: int) -> int:
        """Return the highest number of what an undo finds once the waiting commands are done; 0 without one.

        `scene_press` is the number of the scene press that can be undone, 0 without one.
        """
        self._order.record_made_elsewhere()
        changes, scene_press = self._after_waiting(scene_press)
        return max(scene_press, _highest(changes))

    def next_undo_includes(self, key: str) -> bool:
        """Return whether the next undo takes back the burst or batch with this key, or a part of it."""
        changes, _ = self._after_waiting(0)
        return bool(key and changes and changes[-1].key == key)

    def _after_waiting(self, scene_press: int) -> tuple[list[Undoable], int]:
        """Return what later undos find once the waiting commands are done: the changes and the scene press.

        An undo takes back the last change, or the scene press if its number is higher than theirs. Its number
        is 0 then, as without one.
        """
        changes = self._order.made()
        for waiting in self._pending:
            if waiting.is_undo and scene_press > _highest(changes):
                scene_press = 0
            elif waiting.is_undo:
                del changes[-1:]
            elif waiting.is_undoable:
                changes = with_latest(changes, Undoable(waiting.number, waiting.key))
        return changes, scene_press

    def make(self, command: Command, attempt: Attempt, number: int | None = None) -> Iterator[Event]:
        """Make a change, or queue it if the store is locked or earlier changes are pending.

        `number` is that of its press, by default a new one. Raises RequestError when too many are pending,
        and the errors of `attempt`.
        """
        wait = LockWait(command, self._clock)
        change = _Change(command, attempt, wait, self.next_number() if number is None else number)
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
        self._finished.clear()
        return commands

    def retry(self) -> Iterator[Event]:
        """Make the pending changes up to the first that still meets a lock; reject the overdue ones.

        An undo behind a change that was rejected is rejected too: it would take back an earlier one.
        """
        while self._pending:
            change = self._pending[0]
            is_refused = False
            try:
                self._check_undo(change)
                happened = list(self._attempt(change))
            except EdgeError as exc:
                if isinstance(exc, LockedStoreError) and not change.wait.is_over(exc):
                    return
                happened, is_refused = [error_reply(change.command, exc)], True
            self._pending.popleft()
            self._finish(change, is_refused=is_refused)
            yield from happened
        self._finished.clear()

    def _check_undo(self, change: _Change) -> None:
        """Raise RequestError for an undo of a change that was refused."""
        if change.is_undo and self._finished and self._finished[-1].is_refused:
            raise RequestError("the change that it was to undo was refused")

    def _finish(self, change: _Change, *, is_refused: bool) -> None:
        """Note that a change was made or refused. An undo has taken back the last one, refused or not."""
        if change.is_undo:
            del self._finished[-1:]
        elif change.is_undoable:
            is_refused = is_refused and not self._order.has_made(change.key)
            self._finished = with_latest(self._finished, Undoable(change.number, change.key, is_refused))

    def _attempt(self, change: _Change) -> Iterator[Event]:
        yield from change.attempt()
        self._order.record_made(change.number)


def _highest(changes: Sequence[Undoable]) -> int:
    """Return the highest number of the changes; 0 without one."""
    return max((each.number for each in changes), default=0)
