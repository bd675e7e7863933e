"""Commands that fail or wait: error replies, changes that wait for the store's lock, and their order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from edge_daemon.domain.commands import AddExample, AddPicture, Command, ForgetScene, Undo
from edge_daemon.domain.errors import EdgeError, RequestError, StoreError
from edge_daemon.domain.events import CommandReply, Event
from edge_daemon.domain.interfaces import Clock
from edge_daemon.example_store.change_history import MAX_CHANGES, LiveChange
from edge_daemon.system.sqlite import LockedStoreError
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


class _Numbered(NamedTuple):
    number: int
    key: str


class _Settled(NamedTuple):
    key: str
    is_made: bool


class PendingChanges:
    """At most 64 commands that wait while another process holds the store's lock; retried in order.

    Presses and changes take a number when they are accepted: an undo takes back what has the highest one,
    whether it waits or is made. `live` reads the changes in the store. Every call comes from one thread, and
    no call blocks.
    """

    def __init__(self, clock: Clock, live: Callable[[], Sequence[LiveChange]]) -> None:
        self._clock = clock
        self._live = live
        self._pending: deque[_Change] = deque()
        self._settled: list[_Settled] = []
        """The changes that waited, until undos that wait behind them take them back, the next one last."""
        self._numbers = count(1)
        self._made: dict[LiveChange, int] = {}
        """The changes in the store with their numbers; an undo without a number takes the last one."""
        self._forgotten = 0
        """Highest number of the changes that the store no longer keeps."""
        self._read_made(0)

    def next_number(self) -> int:
        """Return the number of a press or change that is accepted now.

        Changes that another process made until now, as an import does, come before it.
        """
        self._read_made(next(self._numbers))
        return next(self._numbers)

    def waits_before(self, number: int) -> bool:
        """Return whether a command with a lower number waits for the store."""
        return any(each.number < number for each in self._pending)

    @property
    def latest_made(self) -> int:
        """Highest number of the changes of the examples that were made and not undone; 0 without one."""
        return max([self._forgotten, *self._made.values()])

    def latest(self, scene_press: int) -> int:
        """Return the highest number that an undo finds once the waiting commands are done; 0 without one.

        `scene_press` is the number of the scene press that can be undone, 0 without one.
        """
        self._read_made(next(self._numbers))
        made, scene_press = self._after_waiting(scene_press)
        return max([scene_press, *(each.number for each in made)], default=0)

    def ends_with(self, key: str) -> bool:
        """Return whether the next undo takes back the burst or batch with this key, or a part of it."""
        made, _ = self._after_waiting(0)
        return bool(key and made and made[-1].key == key)

    def _after_waiting(self, scene_press: int) -> tuple[list[_Numbered], int]:
        """Return the changes, and the scene press, that the waiting commands will leave to later undos."""
        made = [_Numbered(self._forgotten, "")]
        made += [_Numbered(number, change.key) for change, number in self._made.items()]
        for waiting in self._pending:
            match waiting.command:
                case Undo(change=None) if scene_press > max((each.number for each in made), default=0):
                    scene_press = 0
                case Undo(change=None):
                    del made[-1:]
                case Undo() | ForgetScene():
                    pass
                case _:
                    made = [each for each in made if not waiting.key or each.key != waiting.key]
                    made.append(_Numbered(waiting.number, waiting.key))
        return made, scene_press

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
        self._settled.clear()
        return commands

    def retry(self) -> Iterator[Event]:
        """Make the pending changes up to the first that still meets a lock; reject the overdue ones.

        An undo behind a change that was rejected is rejected too: it would take back an earlier one.
        """
        while self._pending:
            pending, is_made = self._pending[0], True
            try:
                self._check_undo(pending)
                happened = list(self._attempt(pending))
            except LockedStoreError as exc:
                if not pending.wait.ends_with(exc):
                    return
                happened, is_made = [error_reply(pending.command, exc)], False
            except EdgeError as exc:
                happened, is_made = [error_reply(pending.command, exc)], False
            self._pending.popleft()
            self._settle(pending, is_made)
            yield from happened
        self._settled.clear()

    def _check_undo(self, change: _Change) -> None:
        """Raise RequestError for an undo of a change that was rejected."""
        if change.is_undo and self._settled and not self._settled[-1].is_made:
            raise RequestError("the change that it was to undo was refused")

    def _settle(self, change: _Change, is_made: bool) -> None:
        """Note a change that was made or rejected; an undo takes back the last one that was noted."""
        if change.is_undo:
            del self._settled[-1:]
        elif not isinstance(change.command, Undo | ForgetScene):
            self._settled = [each for each in self._settled if not change.key or each.key != change.key]
            is_made = is_made or any(change.key and each.key == change.key for each in self._made)
            self._settled.append(_Settled(change.key, is_made))

    def _attempt(self, change: _Change) -> Iterator[Event]:
        yield from change.attempt()
        self._read_made(change.number)

    def _read_made(self, number: int) -> None:
        """Read the changes in the store; new ones get this number, and so do those that a burst joined."""
        try:
            live = self._live()
        except StoreError:
            return
        former, self._made = self._made, {each: self._made.get(each, number) for each in live}
        if len(live) == MAX_CHANGES:
            dropped = (of for each, of in former.items() if each.made < live[0].made)
            self._forgotten = max([self._forgotten, *dropped])
