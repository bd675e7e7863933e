"""The history of changes: what each one did to each example, so that it can be undone and redone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import NoExamplesError
from edge_daemon.example_store.connection import StoreConnection
from edge_daemon.example_store.record import INTACT, OWN

MAX_CHANGES = 64
"""Changes that can be undone; the next one replaces the oldest."""

_MAX_NAMED = 3
_NEXT = "(SELECT coalesce(max(max(made, coalesce(undone, 0))), 0) + 1 FROM changes)"
_BEFORE, _AFTER = "before", "after"

_EFFECT = (
    "(SELECT first.example, first.label_before, first.live_before, last.label_after, last.live_after"
    " FROM (SELECT min(rowid) AS one, max(rowid) AS other FROM change_steps WHERE change = ?"
    " GROUP BY example)"
    " JOIN change_steps first ON first.rowid = one JOIN change_steps last ON last.rowid = other"
    " WHERE (first.label_before, first.live_before) <> (last.label_after, last.live_after))"
)
"""One step an example: a burst in a full class adds examples that it replaces later."""


class Step(NamedTuple):
    """The label of an example, and whether it was in use, before and after a change."""

    id: int
    label_before: str
    live_before: bool
    label_after: str
    live_after: bool


class Change(NamedTuple):
    """A change that was undone or redone: its number in the history, and what that did to each example."""

    number: int
    steps: tuple[Step, ...]

    @property
    def removed(self) -> list[Step]:
        """The examples that are no longer in use."""
        return [step for step in self.steps if not step.live_after]

    @property
    def restored(self) -> list[Step]:
        """The examples that are in use again."""
        return [step for step in self.steps if not step.live_before]

    @property
    def relabelled(self) -> list[Step]:
        """The examples that have another label."""
        return [step for step in self.steps if step.live_before and step.live_after]

    @property
    def text(self) -> str:
        """One line for the user, such as "12 examples of 'cup' removed"."""
        said = [(self.removed, "removed"), (self.restored, "restored")]
        said += [
            ([step for step in self.relabelled if step.label_after == label], f"moved to '{label}'")
            for label in dict.fromkeys(step.label_after for step in self.relabelled)
        ]
        parts = [f"{_examples(steps)} {verb}" for steps, verb in said if steps]
        return "; ".join(parts)


def _examples(steps: Collection[Step]) -> str:
    """Return the number and the labels before the change, such as "3 examples of 'cup'"."""
    labels = list(dict.fromkeys(step.label_before for step in steps))
    named = " and ".join(f"'{label}'" for label in labels)
    of = named if len(labels) <= _MAX_NAMED else f"{len(labels)} labels"
    return f"{counted(len(steps), 'example')} of {of}"


class LiveChange(NamedTuple):
    """A change that is not undone: its number in the history, its place in the order, and its key."""

    number: int
    made: int
    key: str


class ChangeHistory:
    """The latest changes of the examples, in the store's own file. Every call is within a transaction.

    A transaction is one change. Transactions with the same key, as those of a held button, are one change
    together until it is undone. Owned by the store's thread. Raises StoreError.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection
        self._key = ""
        self._number: int | None = None

    def begin(self, key: str) -> None:
        """Begin a transaction; `key` is empty for a change of one transaction."""
        self._key = key
        self._number = None

    def record(self, steps: Iterable[Step]) -> None:
        """Add steps to the current change; the ones of damaged examples are left out."""
        for step in steps:
            if step.id in self._connection.damaged:
                continue
            if self._number is None:
                self._number = self._join() or self._insert()
            self._connection.query("INSERT INTO change_steps VALUES (?, ?, ?, ?, ?, ?)", self._number, *step)

    def live(self) -> list[LiveChange]:
        """Return the changes that are not undone; an undo takes the last one."""
        rows = self._connection.query("SELECT id, made, key FROM changes WHERE undone IS NULL ORDER BY made")
        return [LiveChange(*row) for row in rows]

    def newest(self) -> int | None:
        """Return the number of the latest change that is not undone; None without one."""
        return self._first("SELECT id FROM changes WHERE undone IS NULL ORDER BY made DESC LIMIT 1")

    def undo(self, number: int | None, removed_at: str) -> Change:
        """Undo the latest change that still has an effect, or the one with this number.

        `removed_at` is the time of the removals. See `ExampleStore.undo`. Raises NoExamplesError.
        """
        while (latest := self.newest() if number is None else number) is not None:
            change = self._undo(latest, removed_at)
            if change is not None and change.steps:
                return change
            if number is not None:
                raise NoExamplesError(f"change {number} can't be undone: it is undone already or too old")
        return self._undo_unrecorded(removed_at)

    def redo(self, number: int | None, removed_at: str) -> Change:
        """Redo the change undone last, or the one with this number. Raises NoExamplesError."""
        latest = self._newest_undone() if number is None else number
        change = None if latest is None else self._redo(latest, removed_at)
        if change is None or not change.steps:
            raise NoExamplesError(
                "nothing to redo: no change was undone since the last one"
                if number is None
                else f"change {number} can't be redone: it is not undone, or too old"
            )
        return change

    def _newest_undone(self) -> int | None:
        """Return the number of the change undone last; None without one, or after another change."""
        return self._first(
            "SELECT id FROM changes WHERE undone > (SELECT coalesce(max(made), 0) FROM changes"
            " WHERE undone IS NULL) ORDER BY undone DESC LIMIT 1"
        )

    def _undo(self, number: int, removed_at: str) -> Change | None:
        """Undo a change; None for one that is not in the history or is undone."""
        rows = self._connection.query(
            f"UPDATE changes SET undone = {_NEXT} WHERE id = ? AND undone IS NULL RETURNING id", number
        )
        return self._apply(number, removed_at, _AFTER, _BEFORE) if rows else None

    def _redo(self, number: int, removed_at: str) -> Change | None:
        """Redo an undone change; None for one that is not in the history or is not undone."""
        rows = self._connection.query(
            "UPDATE changes SET undone = NULL WHERE id = ? AND undone IS NOT NULL RETURNING id", number
        )
        return self._apply(number, removed_at, _BEFORE, _AFTER) if rows else None

    def _undo_unrecorded(self, removed_at: str) -> Change:
        """Remove the newest burst: examples that were taught before the oldest change in the history."""
        newest = f"(SELECT max(id) {OWN})"
        burst = f"id = {newest} OR burst = (SELECT nullif(burst, '') FROM examples WHERE id = {newest})"
        rows = self._connection.query(f"SELECT id, label {OWN} AND ({burst}) ORDER BY id")
        if not rows:
            raise NoExamplesError("nothing to undo: the store holds no examples")
        self.record(Step(one, label, False, label, True) for one, label in rows)
        assert self._number is not None
        change = self._undo(self._number, removed_at)
        assert change is not None
        return change

    def _apply(self, number: int, removed_at: str, old: str, new: str) -> Change:
        """Set the examples that still are as the history says to the other side of the change."""
        still = (
            f"s.example = examples.id AND examples.label = s.label_{old}"
            f" AND (examples.removed_at IS NULL) = s.live_{old} AND examples.{INTACT}"
        )
        rows = self._connection.query(
            f"SELECT s.example, s.label_{old}, s.live_{old}, s.label_{new}, s.live_{new}"
            f" FROM {_EFFECT} s, examples WHERE {still} ORDER BY s.example",
            number,
        )
        self._connection.query(
            f"UPDATE examples SET label = s.label_{new},"
            f" removed_at = CASE WHEN s.live_{new} THEN NULL ELSE ? END FROM {_EFFECT} s WHERE {still}",
            *(removed_at, number),
        )
        steps = (Step(one, was, bool(lived), label, bool(lives)) for one, was, lived, label, lives in rows)
        return Change(number, tuple(steps))

    def _join(self) -> int | None:
        """Return the change with the current key, now the latest one; None without one.

        A burst whose examples were changed since is not continued: neither would be undone whole.
        """
        if not self._key:
            return None
        rows = self._connection.query(
            "SELECT id, made FROM changes WHERE key = ? AND undone IS NULL ORDER BY made DESC LIMIT 1",
            self._key,
        )
        if not rows or self._changed_since(*rows[0]):
            return None
        return self._first(f"UPDATE changes SET made = {_NEXT} WHERE id = ? RETURNING id", rows[0][0])

    def _changed_since(self, number: int, made: int) -> bool:
        """Return whether a later change, not undone, has an example of this one."""
        later = "SELECT id FROM changes WHERE undone IS NULL AND made > ?"
        # No subquery depends on a row of the outer one: each would run again for every step of an import.
        examples = "SELECT example FROM change_steps WHERE change = ?"
        statement = (
            f"SELECT 1 FROM change_steps WHERE change IN ({later}) AND example IN ({examples}) LIMIT 1"
        )
        return bool(self._connection.query(statement, made, number))

    def _insert(self) -> int:
        query = self._connection.query
        number = query(f"INSERT INTO changes (made, key) VALUES ({_NEXT}, ?) RETURNING id", self._key)[0][0]
        oldest = "SELECT id FROM changes ORDER BY made DESC LIMIT -1 OFFSET ?"
        for (dropped,) in query(f"DELETE FROM changes WHERE id IN ({oldest}) RETURNING id", MAX_CHANGES):
            query("DELETE FROM change_steps WHERE change = ?", dropped)
        return int(number)

    def _first(self, statement: str, *values: object) -> int | None:
        rows = self._connection.query(statement, *values)
        return int(rows[0][0]) if rows else None
