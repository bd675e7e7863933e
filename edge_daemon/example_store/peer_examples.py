"""The fleet's data in the store: sequence numbers and live sets, peers' examples, the group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from edge_daemon.domain.errors import StoreError
from edge_daemon.domain.types import Example
from edge_daemon.example_store.record import COLUMNS, INTACT, ExampleRecord, read_example
from edge_daemon.example_store.store import ExampleStore

_OWN = ""
_PAGE = 128

# Rows of `fleet_groups` beside the group's: no group has a name with `=`.
_DEVICE = "device="
_FORMER = re.compile(r"former=(\d{1,16}) (\S+)")

MAX_FORMER = 32
"""Number of former ids that are kept; the id can be a host name that changes at each start."""


class PeerExamples:
    """The fleet's part of an `ExampleStore`, in one embedding space; owned by the store's thread.

    A peer's example is in quarantine until `accept`. A peer's example that was removed here stays as a
    row, so that it is not received as a new one. Raises StoreError for every failure of the file.
    """

    def __init__(self, store: ExampleStore, space: str) -> None:
        self._store = store
        self._space = space

    # Own examples

    def own_numbers(self) -> list[tuple[int, str, int | None]]:
        """Return (id, label, sequence number) of this device's live examples, oldest first."""
        return self._rows(
            "SELECT id, label, number FROM examples"
            f" WHERE removed_at IS NULL AND {INTACT} AND origin = '' AND space = ? ORDER BY id"
        )

    def get(self, example_id: int) -> Example:
        """Return an example by its id, without thumbnail."""
        statement = f"SELECT {COLUMNS}, x'' FROM examples WHERE id = ?"
        return read_example(self._store.query(statement, example_id)[0])

    def set_numbers(self, numbers: Mapping[int, int | None]) -> None:
        """Set or clear the sequence numbers of this device's examples, by id."""
        statement = "UPDATE examples SET number = ? WHERE id = ? AND origin = ''"
        with self._store.transaction():
            for example_id, number in numbers.items():
                self._store.query(statement, number, example_id)

    def clear_numbers(self) -> None:
        """Clear all sequence numbers of this device, in every space."""
        with self._store.transaction():
            self._store.query("DELETE FROM fleet_rolls WHERE device = ?", _OWN)
            self._store.query("UPDATE examples SET number = NULL WHERE origin = '' AND number IS NOT NULL")

    def last_number(self) -> int:
        """Return the highest sequence number of this device so far, in any space; 0 before the first."""
        rows = self._store.query("SELECT max(number) FROM fleet_rolls WHERE device = ?", _OWN)
        return int(rows[0][0] or 0)

    # Live sets

    def live_set(self, device: str = _OWN) -> tuple[int, bytes] | None:
        """Return the sequence number and the packed live numbers of a device's latest live set."""
        rows = self._rows("SELECT number, living FROM fleet_rolls WHERE space = ? AND device = ?", device)
        return (int(rows[0][0]), bytes(rows[0][1])) if rows else None

    def save_live_set(self, number: int, live: bytes, device: str = _OWN) -> None:
        """Replace a device's live set."""
        self._rows(
            "INSERT INTO fleet_rolls (space, device, number, living) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET number = excluded.number, living = excluded.living",
            device,
            number,
            live,
        )

    def peers_with_live_set(self) -> set[str]:
        """Return the peers whose live set is stored."""
        statement = "SELECT device FROM fleet_rolls WHERE space = ? AND device <> ''"
        return {row[0] for row in self._rows(statement)}

    # Peers' examples

    def ids_by_number(self, device: str) -> dict[int, int]:
        """Return the ids of a peer's examples by their sequence numbers, removed examples too."""
        return dict(self._rows("SELECT number, id FROM examples WHERE space = ? AND origin = ?", device))

    def delete_damaged(self, device: str) -> None:
        """Delete a peer's damaged examples, so that they are received again as new ones."""
        rows = self._store.query(
            f"SELECT id FROM examples WHERE origin = ? AND origin <> '' AND NOT ({INTACT})", device
        )
        if not rows:
            return  # without a transaction, which a locked store or a full disk would refuse
        with self._store.transaction():
            for (example_id,) in rows:
                self._store.query("DELETE FROM examples WHERE id = ?", example_id)

    def add(self, records: Iterable[ExampleRecord]) -> list[Example]:
        """Store peers' examples in quarantine, all or none."""
        with self._store.transaction():
            return [self._store.add_record(record) for record in records]

    def delete(self, device: str, number: int, live: bytes, ids: Iterable[int]) -> None:
        """Replace a peer's live set, and delete the peer's examples with these ids."""
        with self._store.transaction():
            self.save_live_set(number, live, device)
            for example_id in ids:
                self._store.query("DELETE FROM examples WHERE id = ? AND origin <> ''", example_id)

    def accept(self, ids: Iterable[int]) -> None:
        """End the quarantine of examples."""
        with self._store.transaction():
            for example_id in ids:
                self._store.query("UPDATE examples SET probation = 0 WHERE id = ?", example_id)

    def quarantined(self) -> list[Example]:
        """Return the live examples in quarantine, in order of arrival."""
        rows = self._rows(
            f"SELECT {COLUMNS}, x'' FROM examples"
            f" WHERE space = ? AND removed_at IS NULL AND {INTACT} AND probation ORDER BY id"
        )
        return [read_example(row) for row in rows]

    def accepted(self) -> Iterator[list[Example]]:
        """Yield the live examples outside quarantine, those of this device too, in pages of 128."""
        statement = (
            f"SELECT {COLUMNS}, x'' FROM examples"
            f" WHERE space = ? AND removed_at IS NULL AND {INTACT} AND NOT probation AND id > ?"
            " ORDER BY id LIMIT ?"
        )
        last = 0
        while rows := self._rows(statement, last, _PAGE):
            yield [read_example(row) for row in rows]
            last = rows[-1][0]

    def peer_counts(self) -> list[tuple[str, int, int]]:
        """Return (device, accepted examples, quarantined examples) of every peer, by name."""
        return count_peers(self._store, self._space)

    def labels(self) -> set[tuple[str, str]]:
        """Return each (device, label) of the peers' live examples, in every space."""
        return set(
            self._store.query(
                "SELECT DISTINCT origin, label FROM examples"
                f" WHERE removed_at IS NULL AND {INTACT} AND origin <> ''"
            )
        )

    def remove_peer(self, device: str) -> list[int]:
        """Delete a peer's examples and live set in this space; return the ids of the examples."""
        with self._store.transaction():
            self._rows("DELETE FROM fleet_rolls WHERE space = ? AND device = ? AND device <> ''", device)
            rows = self._rows(
                "DELETE FROM examples WHERE space = ? AND origin = ? AND origin <> '' RETURNING id", device
            )
        return [row[0] for row in rows]

    # The group

    def join(self, group: str, key_id: str) -> None:
        """Store the group and the key in use.

        Another group or another key deletes the peers' examples, all live sets and the sequence numbers of
        this device. A store that has the group without a key adopts this key.
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

    def set_device(self, device: str) -> None:
        """Store this device's id in the group; call it after `join`.

        Another id than before makes that a former one. Examples that were received under either id are
        deleted, and the examples of this device get new sequence numbers.
        """
        statement = "SELECT name FROM fleet_groups WHERE name LIKE ?"
        stored = [row[0] for row in self._store.query(statement, f"{_DEVICE}%")]
        insert = "INSERT INTO fleet_groups (name) VALUES (?)"
        if stored == [_DEVICE + device]:
            return
        # A locked store or a full disk does not prevent the start: the next one stores the id.
        with suppress(StoreError), self._store.transaction():
            for name in stored:
                self._make_former(name.removeprefix(_DEVICE), device)
                self._store.query("DELETE FROM fleet_groups WHERE name = ?", name)
            self._store.query(insert, _DEVICE + device)

    def former_devices(self) -> dict[str, int]:
        """Return the former ids of this device in the group, each with the number of its last live set.

        That number is above all that this device used under the id, and below all later ones.
        """
        rows = self._store.query("SELECT name FROM fleet_groups")
        matches = [match for row in rows if (match := _FORMER.fullmatch(row[0]))]
        return {match[2]: int(match[1]) for match in sorted(matches, key=lambda match: int(match[1]))}

    def _make_former(self, earlier: str, device: str) -> None:
        for own in (earlier, device):
            self._store.query("DELETE FROM examples WHERE origin = ? AND origin <> ''", own)
            self._store.query("DELETE FROM fleet_rolls WHERE device = ? AND device <> ''", own)
        numbers = self._store.query("SELECT max(number) FROM examples WHERE origin = ''")
        number = max(self.last_number(), numbers[0][0] or 0) + 1
        self._store.query("UPDATE examples SET number = NULL WHERE origin = '' AND number IS NOT NULL")
        self._store.query("UPDATE fleet_rolls SET number = ? WHERE device = ?", number, _OWN)
        former = self.former_devices() | {earlier: number}
        former.pop(device, None)
        self._store.query("DELETE FROM fleet_groups WHERE name LIKE 'former=%'")
        for each, last in list(former.items())[-MAX_FORMER:]:
            self._store.query("INSERT INTO fleet_groups (name) VALUES (?)", f"former={last} {each}")

    def _rows(self, statement: str, *values: object) -> list[Any]:
        return self._store.query(statement, self._space, *values)


def count_peers(store: ExampleStore, space: str | None = None) -> list[tuple[str, int, int]]:
    """Return (device, accepted examples, quarantined examples) of every peer, in one space or all."""
    return store.query(
        "SELECT origin, sum(NOT probation), sum(probation) FROM examples WHERE space = coalesce(?, space)"
        f" AND removed_at IS NULL AND {INTACT} AND origin <> '' GROUP BY origin ORDER BY origin",
        space,
    )


def was_ever_joined(store: ExampleStore) -> bool:
    """Return whether this device was ever in a group."""
    return bool(store.query("SELECT 1 FROM fleet_groups"))
