"""What the store keeps for the fleet: the numbers of our own examples, and those that peers taught."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edge_daemon.domain.types import Example
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.rows import NARROW, SOUND, example_of
from edge_daemon.example_store.store import ExampleStore

_OURS = ""
_PAGE = 128


class PeerExamples:
    """The fleet's part of an `ExampleStore`, in one embedding space; owned by the store's thread.

    A peer's example is on probation until `settle`. One that was taken back here stays as a row, so that
    it is not taken for a new one. Every failure of the file is a StoreError.
    """

    def __init__(self, store: ExampleStore, space: str) -> None:
        self._store = store
        self._space = space

    # Our own

    def own(self) -> list[tuple[int, str, int | None]]:
        """Return (id, label, number) of our living examples in the order they were taught."""
        return self._rows(
            "SELECT id, label, number FROM examples"
            f" WHERE removed_at IS NULL AND {SOUND} AND origin = '' AND space = ? ORDER BY id"
        )

    def example(self, one: int) -> Example:
        """Return an example by its id, without thumbnail."""
        return example_of(self._store.query(f"SELECT {NARROW}, x'' FROM examples WHERE id = ?", one)[0])

    def renumber(self, numbers: Mapping[int, int | None]) -> None:
        """Give examples of ours, by id, another number or none."""
        with self._store.transaction():
            for one, number in numbers.items():
                self._store.query("UPDATE examples SET number = ? WHERE id = ? AND origin = ''", number, one)

    def give_up_numbers(self) -> None:
        """Forget all numbers of our own, in every space."""
        with self._store.transaction():
            self._store.query("DELETE FROM fleet_rolls WHERE device = ?", _OURS)
            self._store.query("UPDATE examples SET number = NULL WHERE origin = '' AND number IS NOT NULL")

    def last_number(self) -> int:
        """Return the highest number that was ever ours, in any space; 0 before the first."""
        rows = self._store.query("SELECT max(number) FROM fleet_rolls WHERE device = ?", _OURS)
        return int(rows[0][0] or 0)

    # Rolls

    def roll(self, device: str = _OURS) -> tuple[int, bytes] | None:
        """Return the number and the packed living ones of a device's latest roll; ours by default."""
        rows = self._rows("SELECT number, living FROM fleet_rolls WHERE space = ?1 AND device = ?2", device)
        return (int(rows[0][0]), bytes(rows[0][1])) if rows else None

    def keep_roll(self, number: int, living: bytes, device: str = _OURS) -> None:
        """Replace a device's roll."""
        self._rows(
            "INSERT INTO fleet_rolls (space, device, number, living) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET number = excluded.number, living = excluded.living",
            device,
            number,
            living,
        )

    def rolled(self) -> set[str]:
        """Return the peers whose roll is known."""
        return {
            row[0] for row in self._rows("SELECT device FROM fleet_rolls WHERE space = ? AND device <> ''")
        }

    # Peers'

    def known(self, device: str) -> dict[int, int]:
        """Return the ids of a peer's examples by their numbers, also of those taken back here."""
        return dict(self._rows("SELECT number, id FROM examples WHERE space = ? AND origin = ?", device))

    def keep(self, drafts: Iterable[ExampleRecord]) -> list[Example]:
        """Keep peers' examples, all or none, on probation."""
        with self._store.transaction():
            return [self._store.keep(draft) for draft in drafts]

    def bury(self, device: str, number: int, living: bytes, ids: Iterable[int]) -> None:
        """Replace a peer's roll, and forget for good the examples that it took back."""
        with self._store.transaction():
            self.keep_roll(number, living, device)
            for one in ids:
                self._store.query("DELETE FROM examples WHERE id = ? AND origin <> ''", one)

    def settle(self, ids: Iterable[int]) -> None:
        """Let examples count from now on."""
        with self._store.transaction():
            for one in ids:
                self._store.query("UPDATE examples SET probation = 0 WHERE id = ?", one)

    def waiting(self) -> list[Example]:
        """Return the living examples on probation, in the order they came."""
        return [
            example_of(row)
            for row in self._rows(
                f"SELECT {NARROW}, x'' FROM examples"
                f" WHERE space = ? AND removed_at IS NULL AND {SOUND} AND probation ORDER BY id"
            )
        ]

    def counting(self) -> Iterator[list[Example]]:
        """Yield the living examples that count, our own among them, in pages of 128."""
        statement = (
            f"SELECT {NARROW}, x'' FROM examples"
            f" WHERE space = ?1 AND removed_at IS NULL AND {SOUND} AND NOT probation AND id > ?2"
            " ORDER BY id LIMIT ?3"
        )
        last = 0
        while rows := self._rows(statement, last, _PAGE):
            yield [example_of(row) for row in rows]
            last = rows[-1][0]

    def standing(self) -> list[tuple[str, int, int]]:
        """Return (device, examples that count, examples on probation) of every peer, by name."""
        return standing(self._store, self._space)

    def labels(self) -> set[tuple[str, str]]:
        """Return each (device, label) of the peers' living examples, in every space."""
        return set(
            self._store.query(
                "SELECT DISTINCT origin, label FROM examples"
                f" WHERE removed_at IS NULL AND {SOUND} AND origin <> ''"
            )
        )

    def remove_peer(self, device: str) -> list[int]:
        """Delete a peer's examples and roll in this space; return the ids of the examples."""
        with self._store.transaction():
            self._rows("DELETE FROM fleet_rolls WHERE space = ? AND device = ? AND device <> ''", device)
            rows = self._rows(
                "DELETE FROM examples WHERE space = ? AND origin = ? AND origin <> '' RETURNING id", device
            )
        return [row[0] for row in rows]

    # The group

    def join(self, group: str, key_id: str) -> None:
        """Note the group and the key in use.

        With another group or another key everything starts afresh: the peers' examples, all sequence numbers
        and our own numbers are deleted. A store that knows the group without a key adopts this one.
        """
        name = f"{group} {key_id}"
        known = {row[0] for row in self._store.query("SELECT name FROM fleet_groups")}
        if name in known:
            return  # without a transaction, which a locked store or a full disk would refuse
        with self._store.transaction():
            if group not in known:
                self._store.query("DELETE FROM examples WHERE origin <> ''")
                self._store.query("DELETE FROM fleet_rolls")
                self._store.query("UPDATE examples SET number = NULL WHERE number IS NOT NULL")
            self._store.query("DELETE FROM fleet_groups")
            self._store.query("INSERT INTO fleet_groups (name) VALUES (?)", name)

    def _rows(self, statement: str, *values: object) -> list[Any]:
        return self._store.query(statement, self._space, *values)


def standing(store: ExampleStore, space: str | None = None) -> list[tuple[str, int, int]]:
    """Return (device, examples that count, examples on probation) of every peer, in one space or all."""
    return store.query(
        "SELECT origin, sum(NOT probation), sum(probation) FROM examples WHERE (?1 IS NULL OR space = ?1)"
        f" AND removed_at IS NULL AND {SOUND} AND origin <> '' GROUP BY origin ORDER BY origin",
        space,
    )


def ever_joined(store: ExampleStore) -> bool:
    """Return whether this device was ever in a group."""
    return bool(store.query("SELECT 1 FROM fleet_groups"))
