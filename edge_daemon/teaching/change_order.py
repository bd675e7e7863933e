"""The order in which presses and changes were accepted: an undo takes back the latest of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.change_history import MAX_CHANGES, LiveChange


class Undoable(NamedTuple):
    """A change that an undo takes back: a single one, or those of a burst or batch, which share a `key`.

    `number` is that of the latest of them. The key of a single change is empty. `is_refused`: the change
    waited for the store and was refused, and the store holds no other part of its burst.
    """

    number: int
    key: str = ""
    is_refused: bool = False


def with_latest(changes: Sequence[Undoable], latest: Undoable) -> list[Undoable]:
    """Return the changes with one more at the end, which includes the earlier part of its burst."""
    return [*(each for each in changes if not latest.key or each.key != latest.key), latest]


class ChangeOrder:
    """Numbers the presses and changes as they are accepted, and knows which changes are in the store.

    `live` reads the changes in the store, some of which other processes make. While it raises StoreError,
    those of the last time count. Every call comes from one thread.
    """

    def __init__(self, live: Callable[[], Sequence[LiveChange]]) -> None:
        self._live = live
        self._numbers = count(1)
        self._made: dict[LiveChange, int] = {}
        self._dropped = 0
        """Highest number of the changes that the store's history no longer keeps."""
        self.record_made(0)

    def next_number(self) -> int:
        """Return the number of a press or change that is accepted now.

        Changes that another process made until now, as an import does, come before it.
        """
        self.record_made_elsewhere()
        return next(self._numbers)

    def record_made_elsewhere(self) -> None:
        """Number the changes that another process made until now."""
        self.record_made(next(self._numbers))

    def record_made(self, number: int) -> None:
        """Give this number to the new changes in the store, and to those that a burst continued."""
        try:
            live = self._live()
        except StoreError:
            return
        former, self._made = self._made, {each: self._made.get(each, number) for each in live}
        if len(live) == MAX_CHANGES:
            dropped = (of for each, of in former.items() if each.made < live[0].made)
            self._dropped = max([self._dropped, *dropped])

    @property
    def latest_made(self) -> int:
        """Highest number of the changes that were made and not undone; 0 without one."""
        return max([self._dropped, *self._made.values()])

    def made(self) -> list[Undoable]:
        """Return the changes that were made and not undone; an undo takes back the last one.

        The first one stands for those that the store's history no longer keeps.
        """
        return [Undoable(self._dropped), *(Undoable(number, each.key) for each, number in self._made.items())]

    def has_made(self, key: str) -> bool:
        """Return whether the store has a change with this key, which is not empty."""
        return any(key and each.key == key for each in self._made)
