"""Taking in what peers say: a grow-only set with tombstones, so order and repetition make no difference."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Example
from edge_daemon.example_store.peer_examples import PeerExamples
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.fleet.live_set import NOBODY, LiveSet, is_far_ahead, later, pack, unpack
from edge_daemon.fleet.messages import FleetMessage
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.fleet.records import Reason, RemoteExample

log = logging.getLogger(__name__)

MAX_PEER_LABELS = 200
"""Most labels accepted of one peer: time and memory of the evaluation grow with examples times labels."""

MAX_LABELS = 1000
"""Most labels accepted of all peers together."""

_MAX_TURNED_AWAY = 64


@dataclass(frozen=True, slots=True)
class Change:
    """What a parcel changed in the store."""

    arrived: list[Example] = field(default_factory=list)
    gone: Sequence[int] = ()


class Replica:
    """Merges parcels into the store; refusals are counted in the inbox. Belongs to one thread.

    An example is kept when its device's latest roll doesn't bury its number; a roll when it is the latest.
    At most `max_peers` devices with `max_examples` each are kept; `make_room` drops one that left for one
    that was turned away. The space's vectors have `size` numbers.
    """

    def __init__(
        self,
        peers: PeerExamples,
        space: str,
        size: int,
        inbox: ReceiveQueue,
        max_examples: int,
        max_peers: int,
        clock: Clock,
    ) -> None:
        self._peers = peers
        self._space = space
        self._size = size
        self._inbox = inbox
        self._max_examples = max_examples
        self._max_peers = max_peers
        self._clock = clock
        self._turned_away: dict[str, None] = {}
        self._labels: set[tuple[str, str]] | None = None
        self._devices = {device for device, _, _ in peers.standing()} | peers.rolled()
        self._known: dict[str, dict[int, int]] = {}
        self._rolls: dict[str, LiveSet] = {}
        self._full: set[str] = set()
        self._crowded = False

    def merge(self, parcel: FleetMessage) -> Change:
        """Take in a parcel, all or nothing. Raises StoreError."""
        device = parcel.device
        if device not in self._devices and not parcel.examples and not (parcel.roll and parcel.roll.living):
            return Change()  # nothing to keep, and no place taken
        if device not in self._devices and len(self._devices) >= self._max_peers:
            self._note_crowd(device)
            return Change()
        self._recall(device)
        gone = self._bury(device, parcel.roll) if parcel.roll is not None else ()
        fresh: dict[int, RemoteExample] = {}
        for told in parcel.examples:
            if told.number in fresh:
                self._refuse("number")
            elif told.number not in self._known[device]:
                fresh[told.number] = told
        arrived = self._keep(device, [told for told in fresh.values() if self._is_admissible(device, told)])
        if self._known[device] or self._rolls[device] is not NOBODY:
            self._devices.add(device)
        return Change(arrived, gone)

    def make_room(self) -> Sequence[int]:
        """Drop one peer without examples, or else one no longer at the broker, if another was turned away.

        Call it once this connection has had time to bring every retained message. Returns the ids of the
        examples that were deleted. Raises StoreError.
        """
        if not self._turned_away:
            return ()
        empty = self._devices - {device for device, _, _ in self._peers.standing()}
        absent = {device for device in self._devices if not self._inbox.is_present(device)}
        leaver = min(empty | absent, key=lambda device: (device not in empty, device), default=None)
        if leaver is None:
            return ()
        log.warning("peer %r has no examples or left the broker; it makes room for another", leaver)
        gone = self._peers.remove_peer(leaver)
        self._devices.discard(leaver)
        self._known.pop(leaver, None)
        self._rolls.pop(leaver, None)
        self._turned_away.clear()
        self._labels = None
        self._inbox.miss()
        return gone

    def _recall(self, device: str) -> None:
        if device not in self._known:
            kept = self._peers.roll(device)
            self._rolls[device] = LiveSet(kept[0], unpack(kept[1])) if kept else NOBODY
            self._known[device] = self._peers.known(device)

    def _bury(self, device: str, roll: LiveSet) -> list[int]:
        had = self._rolls[device]
        if self._is_far_ahead(device, roll.number):
            return []
        if roll.number < had.number:
            self._refuse("replayed")
        if later(had, roll) is had:
            return []
        known = self._known[device]
        buried = {number: one for number, one in known.items() if roll.buries(number)}
        self._peers.bury(device, roll.number, pack(roll.living), buried.values())
        self._rolls[device] = roll
        self._labels = None
        if buried and device in self._full:
            self._full.discard(device)
            self._inbox.miss()  # what found no room may find it now
        self._known[device] = {number: one for number, one in known.items() if number not in buried}
        return list(buried.values())

    def _is_admissible(self, device: str, told: RemoteExample) -> bool:
        if told.embedding.size != self._size:
            self._refuse("size")
            return False
        if self._is_far_ahead(device, told.number):
            return False
        if self._rolls[device].buries(told.number):
            self._refuse("removed")
            return False
        if not self._has_room_for_label(device, told.label):
            self._refuse("full")
            return False
        return True

    def _is_far_ahead(self, device: str, number: int) -> bool:
        known = max(self._rolls[device].number, max(self._known[device], default=0))
        ahead = is_far_ahead(number, known, self._clock.utc().timestamp())
        if ahead:
            self._refuse("number")
            self._inbox.forget_marks()  # our own clock may be wrong: read all again at the next connection
        return ahead

    def _has_room_for_label(self, device: str, label: str) -> bool:
        if self._labels is None:
            self._labels = self._peers.labels()
        if (device, label) in self._labels:
            return True
        of_device = sum(owner == device for owner, _ in self._labels)
        if of_device >= MAX_PEER_LABELS or len({each for _, each in self._labels} | {label}) > MAX_LABELS:
            return False
        self._labels.add((device, label))
        return True

    def _keep(self, device: str, examples: list[RemoteExample]) -> list[Example]:
        known = self._known[device]
        room = max(0, self._max_examples - len(known))
        if len(examples) > room:
            self._note_full(device, len(examples) - room)
        drafts = [self._draft(device, told) for told in examples[:room]]
        kept = self._peers.keep(drafts) if drafts else []
        known |= {told.number: example.id for told, example in zip(examples, kept, strict=False)}
        return kept

    def _draft(self, device: str, told: RemoteExample) -> ExampleRecord:
        return ExampleRecord(
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
        if len(self._turned_away) < _MAX_TURNED_AWAY:
            self._turned_away[device] = None
        self._refuse("full")

    def _refuse(self, reason: Reason) -> None:
        self._inbox.refuse(reason)
