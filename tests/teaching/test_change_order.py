"""The order of presses and changes: numbers, bursts, changes of other processes, an unreadable store."""

from __future__ import annotations

from collections.abc import Sequence

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.change_history import MAX_CHANGES, LiveChange
from edge_daemon.teaching.change_order import ChangeOrder, Undoable, with_latest


class History:
    """The changes in a store, which a test makes."""

    def __init__(self) -> None:
        self.changes: list[LiveChange] = []
        self.is_readable = True

    def make(self, number: int, made: int, key: str = "") -> None:
        """Make a change, or continue the one with this number."""
        self.changes = [each for each in self.changes if each.number != number]
        self.changes = [*self.changes, LiveChange(number, made, key)][-MAX_CHANGES:]

    def live(self) -> Sequence[LiveChange]:
        """Return the changes. Raises StoreError if the store is not readable."""
        if not self.is_readable:
            raise StoreError("the store can't be read")
        return self.changes


def test_changes_of_the_last_run_come_before_all_presses() -> None:
    history = History()
    history.make(1, 1)
    order = ChangeOrder(history.live)
    assert order.made()[-1].number == 0 < order.next_number()


def test_a_change_of_another_process_comes_before_the_next_press() -> None:
    history = History()
    order = ChangeOrder(history.live)
    first = order.next_number()
    history.make(1, 1)
    second = order.next_number()
    assert first < order.latest_made < second


def test_a_change_has_the_number_of_its_press_though_another_press_followed() -> None:
    history = History()
    order = ChangeOrder(history.live)
    first, second = order.next_number(), order.next_number()
    history.make(1, 1)
    order.record_made(first)
    assert order.latest_made == first < second


def test_a_burst_has_the_number_of_its_last_press() -> None:
    history = History()
    order = ChangeOrder(history.live)
    numbers = [order.next_number() for _ in range(3)]
    for number, (change, key) in zip(numbers, [(1, "held"), (2, ""), (1, "held")], strict=True):
        history.make(change, number, key)
        order.record_made(number)
    assert order.made()[1:] == [Undoable(numbers[1]), Undoable(numbers[2], "held")]
    assert order.has_made("held")
    assert not order.has_made("")


def test_an_undone_change_leaves_the_one_before_as_the_latest() -> None:
    history = History()
    order = ChangeOrder(history.live)
    for number in (1, 2):
        history.make(number, number)
        order.record_made(number)
    history.changes.pop()
    order.record_made_elsewhere()
    assert order.latest_made == 1


def test_a_store_that_cannot_be_read_keeps_the_order() -> None:
    history = History()
    order = ChangeOrder(history.live)
    history.make(1, 1)
    order.record_made(1)
    history.is_readable = False
    assert order.next_number() > order.latest_made == 1


def test_changes_that_the_history_dropped_are_still_before_later_presses() -> None:
    history = History()
    order = ChangeOrder(history.live)
    for number in range(1, MAX_CHANGES + 2):
        history.make(number, number)
        order.record_made(number)
    history.changes.clear()
    order.record_made_elsewhere()
    assert order.latest_made == 1


def test_the_latest_change_includes_the_earlier_part_of_its_burst() -> None:
    changes = [Undoable(1, "held"), Undoable(2), Undoable(3)]
    assert with_latest(changes, Undoable(4, "held")) == [Undoable(2), Undoable(3), Undoable(4, "held")]
    assert with_latest(changes, Undoable(4)) == [*changes, Undoable(4)]
