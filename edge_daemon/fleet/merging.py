"""Taking in what peers say: a grow-only set with tombstones, so order and repetition make no difference."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_daemon.examples.draft import Draft
from edge_daemon.examples.peers import PeerExamples
from edge_daemon.fleet.inbox import Inbox
from edge_daemon.fleet.parcel import Parcel
from edge_daemon.fleet.records import Reason, Told
from edge_daemon.fleet.roll import NOBODY, Roll, later, pack, unpack
from edge_daemon.types import Example

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What a parcel changed in the store."""

    arrived: list[Example] = field(default_factory=list)
    gone: Sequence[int] = ()


class Merging:
    """Merges parcels into the store; refusals are counted in the inbox. Belongs to one thread.

    An example is kept when its device's latest roll doesn't bury its number; a roll when it is the latest.
    At most `max_peers` devices with `max_examples` each are kept. The space's vectors have `size` numbers.
    """

    def __init__(
        self, peers: PeerExamples, space: str, size: int, inbox: Inbox, max_examples: int, max_peers: int
    ) -> None:
        self._peers = peers
        self._space = space
        self._size = size
        self._inbox = inbox
        self._max_examples = max_examples
        self._max_peers = max_peers
        self._devices = {device for device, _, _ in peers.standing()} | peers.rolled()
        self._known: dict[str, dict[int, int]] = {}
        self._rolls: dict[str, Roll] = {}
        self._full: set[str] = set()
        self._crowded = False

    def merge(self, parcel: Parcel) -> Change:
        """Take in a parcel, all or nothing. Raises StoreError."""
        device = parcel.device
        if device not in self._devices and len(self._devices) >= self._max_peers:
            self._note_crowd(device)
            return Change()
        self._recall(device)
        gone = self._bury(device, parcel.roll) if parcel.roll is not None else ()
        fresh = [told for told in parcel.examples if told.number not in self._known[device]]
        arrived = self._keep(device, [told for told in fresh if self._admissible(device, told)])
        self._devices.add(device)
        return Change(arrived, gone)

    def _recall(self, device: str) -> None:
        if device not in self._known:
            kept = self._peers.roll(device)
            self._rolls[device] = Roll(kept[0], unpack(kept[1])) if kept else NOBODY
            self._known[device] = self._peers.known(device)

    def _bury(self, device: str, roll: Roll) -> list[int]:
        had = self._rolls[device]
        if roll.number < had.number:
            self._refuse("replayed")
        if later(had, roll) is had:
            return []
        known = self._known[device]
        buried = {number: one for number, one in known.items() if roll.buries(number)}
        self._peers.bury(device, roll.number, pack(roll.living), buried.values())
        self._rolls[device] = roll
        if buried and device in self._full:
            self._full.discard(device)
            self._inbox.miss()  # what found no room may find it now
        self._known[device] = {number: one for number, one in known.items() if number not in buried}
        return list(buried.values())

    def _admissible(self, device: str, told: Told) -> bool:
        if told.embedding.size != self._size:
            self._refuse("size")
            return False
        if self._rolls[device].buries(told.number):
            self._refuse("removed")
            return False
        return True

    def _keep(self, device: str, examples: list[Told]) -> list[Example]:
        known = self._known[device]
        room = max(0, self._max_examples - len(known))
        if len(examples) > room:
            self._note_full(device, len(examples) - room)
        drafts = [self._draft(device, told) for told in examples[:room]]
        kept = self._peers.keep(drafts) if drafts else []
        known |= {told.number: example.id for told, example in zip(examples, kept, strict=False)}
        return kept

    def _draft(self, device: str, told: Told) -> Draft:
        return Draft(
            told.embedding,
            told.label,
            self._space,
            told.region,
            f"{device}/{told.burst}" if told.burst else "",
            "fleet",
            created_at=told.created_at,
            origin=device,
            number=told.number,
        )

    def _note_full(self, device: str, count: int) -> None:
        if device not in self._full:
            log.warning("of %r no more than fleet.max_examples: %d are taken", device, self._max_examples)
        self._full.add(device)
        for _ in range(count):
            self._refuse("full")

    def _note_crowd(self, device: str) -> None:
        if not self._crowded:
            log.warning("%r is not listened to: there are fleet.max_peers: %d", device, self._max_peers)
        self._crowded = True
        self._refuse("full")

    def _refuse(self, reason: Reason) -> None:
        self._inbox.refuse(reason)
