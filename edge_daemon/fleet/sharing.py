"""What this device tells its group: its own examples, numbered and signed, and the roll of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_daemon import events
from edge_daemon.examples.peers import PeerExamples
from edge_daemon.fleet.records import Seal
from edge_daemon.fleet.roll import NOBODY, Roll, is_lost, pack, unpack
from edge_daemon.learning.sample import newest
from edge_daemon.ports import Clock


class Sharing:
    """Keeps the records of our own examples, at most `max_examples`, the newest of each label.

    Numbers follow the clock in seconds where they can: should the store be lost, the next one's numbers are
    still above those that the peers know. Belongs to one thread.
    """

    def __init__(self, device: str, seal: Seal, peers: PeerExamples, max_examples: int, clock: Clock) -> None:
        self._device = device
        self._seal = seal
        self._peers = peers
        self._max_examples = max_examples
        self._clock = clock
        self._records: dict[int, bytes] = {}

    def tell(self) -> events.FleetTold:
        """Number what has no number, and return all that the group should know. Raises StoreError."""
        if is_lost(self._peers.last_number(), self._clock.utc().timestamp()):
            self._peers.give_up_numbers()
        numbers = self._number()
        for one, number in numbers.items():
            if number not in self._records:
                example = self._peers.example(one)
                self._records[number] = self._seal.sign_example(self._device, number, example)
        for number in self._records.keys() - set(numbers.values()):
            del self._records[number]
        return events.FleetTold(self._seal.sign_roll(self._device, self.roll), dict(self._records))

    @property
    def roll(self) -> Roll:
        """Our latest roll."""
        kept = self._peers.roll()
        return Roll(kept[0], unpack(kept[1])) if kept else NOBODY

    def surpass(self, number: int) -> None:
        """Number everything anew, above a roll of ours that this store doesn't remember."""
        own = {one: None for one, _, old in self._peers.own() if old is not None}
        self._peers.renumber(own)
        self._peers.keep_roll(number, pack(()))

    def _number(self) -> dict[int, int]:
        """Return the number of each example that is shared, by id; a new roll is kept if they changed."""
        own = self._peers.own()
        chosen = self._choose([label for _, label, _ in own])
        shared = {one: number for row, (one, _, number) in enumerate(own) if row in chosen}
        changed: dict[int, int | None] = {
            one: None for row, (one, _, number) in enumerate(own) if row not in chosen and number is not None
        }
        roll, last = self.roll, max(self._peers.last_number(), int(self._clock.utc().timestamp()))
        for one in [one for one, number in shared.items() if number is None]:
            last += 1
            changed[one] = shared[one] = last
        numbers = {one: number for one, number in shared.items() if number is not None}
        if changed or roll.living != set(numbers.values()):
            self._peers.renumber(changed)
            self._peers.keep_roll(last + 1, pack(numbers.values()))
        return numbers

    def _choose(self, labels: Sequence[str]) -> set[int]:
        classes = list(dict.fromkeys(labels))
        codes = np.array([classes.index(label) for label in labels], np.intp)
        rows = newest(codes, len(classes), self._max_examples)
        return set(rows.tolist()[-self._max_examples :])
