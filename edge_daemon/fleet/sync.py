"""A device in its group, as the pipeline's thread sees it: it shares, merges and judges a little a step."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np

from edge_daemon.domain import events
from edge_daemon.domain.errors import EdgeError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Example, FleetFigures, PeerFigures
from edge_daemon.example_store.peer_examples import PeerExamples
from edge_daemon.fleet.live_set import NOBODY, LiveSet, is_far_ahead, is_lost, pack, unpack
from edge_daemon.fleet.messages import FleetMessage
from edge_daemon.fleet.quarantine import Quarantine
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.fleet.records import RecordSigner
from edge_daemon.fleet.replica import Replica
from edge_daemon.learning.embedding_index import newest_balanced
from edge_daemon.teaching.trainer import Trainer


class FleetPublisher:
    """Keeps the records of our own examples, at most `max_examples`, the newest of each label.

    Numbers follow the clock in seconds where they can: should the store be lost, the next one's numbers are
    still above those that the peers know. Belongs to one thread.
    """

    def __init__(
        self, device: str, seal: RecordSigner, peers: PeerExamples, max_examples: int, clock: Clock
    ) -> None:
        self._device = device
        self._seal = seal
        self._peers = peers
        self._max_examples = max_examples
        self._clock = clock
        self._records: dict[int, bytes] = {}

    def tell(self) -> events.FleetSnapshot:
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
        return events.FleetSnapshot(self._seal.sign_roll(self._device, self.roll), dict(self._records))

    @property
    def roll(self) -> LiveSet:
        """Our latest roll."""
        kept = self._peers.roll()
        return LiveSet(kept[0], unpack(kept[1])) if kept else NOBODY

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
        rows = newest_balanced(codes, len(classes), self._max_examples)
        return set(rows.tolist()[-self._max_examples :])


log = logging.getLogger(__name__)

BUDGET_S = 0.02
"""How long a step may take, and one piece of work more: a frame shall not wait for the fleet."""

MOST_ADMITTED = 32
"""About how many examples begin to count in one step: learning them takes its time, too."""

TELL_S = 1.0
"""How often the figures are told while they change with every step."""

SETTLED_S = 60.0
"""How long after a connect every retained message has surely come."""

PAUSE_S = 10.0
"""How long nothing is tried after the store failed, and how often refusals alone are told."""


class FleetSync:
    """Every call comes from the pipeline's thread. Faults of the store are said and tried again later."""

    def __init__(
        self,
        *,
        device: str,
        group: str,
        peers: PeerExamples,
        teacher: Trainer,
        sharing: FleetPublisher,
        merging: Replica,
        probation: Quarantine,
        inbox: ReceiveQueue,
        clock: Clock,
    ) -> None:
        self._device = device
        self._group = group
        self._peers = peers
        self._teacher = teacher
        self._sharing = sharing
        self._merging = merging
        self._probation = probation
        self._inbox = inbox
        self._clock = clock
        self._seen_revision = -1
        self._shared = 0
        self._changed = True
        self._refused = 0
        self._told_s = clock.monotonic()
        self._resume_s = 0.0
        self._troubled = False
        self._connections = 0
        self._room_s = clock.monotonic()

    def advance(self) -> Iterator[events.Event]:
        """Do what is to be done, for a fiftieth of a second; what changed comes as events."""
        if self._clock.monotonic() < self._resume_s:
            return
        try:
            yield from self._work()
            self._troubled = False
        except EdgeError as exc:
            log.log(logging.DEBUG if self._troubled else logging.WARNING, "the fleet has to wait: %s", exc)
            self._troubled = True
            self._inbox.miss()
            self._seen_revision = -1
            self._resume_s = self._clock.monotonic() + PAUSE_S

    def _work(self) -> Iterator[events.Event]:
        if self._seen_revision != self._teacher.revision:
            yield self._share()
        end_s = self._clock.monotonic() + BUDGET_S
        passed: list[Example] = []
        idle = False
        while not idle and len(passed) < MOST_ADMITTED and self._clock.monotonic() < end_s:
            parcel = self._inbox.take()
            if parcel is not None:
                self._admit(passed)  # before a roll can take one of them back
                passed = []
                yield from self._open(parcel)
            elif not self._probation.idle:
                passed += self._probation.proceed()
            else:
                idle = True
        self._admit(passed)
        if idle:
            self._make_room()
        if idle or self._clock.monotonic() - self._told_s >= TELL_S:
            yield from self._tell_figures()

    def _share(self) -> events.FleetSnapshot:
        """Tell the group of our own examples, which have changed, and judge the peers' by them anew."""
        told = self._sharing.tell()
        self._probation.reconsider()
        self._seen_revision = self._teacher.revision
        self._changed = self._changed or self._shared != len(told.records)
        self._shared = len(told.records)
        return told

    def _open(self, parcel: FleetMessage) -> Iterator[events.Event]:
        if parcel.device == self._device:
            yield from self._meet_ourselves(parcel)
            return
        change = self._merging.merge(parcel)
        if change.gone:
            self._probation.forget(change.gone)
            self._teacher.forget(change.gone)
        self._probation.take(change.arrived)
        self._changed = self._changed or bool(change.arrived or change.gone)

    def _make_room(self) -> None:
        """Drop a peer that left for one that was turned away, at most every ten seconds."""
        if self._inbox.connections != self._connections:
            self._connections = self._inbox.connections
            self._room_s = self._clock.monotonic() + SETTLED_S
        if self._clock.monotonic() < self._room_s:
            return
        self._room_s = self._clock.monotonic() + PAUSE_S
        if gone := self._merging.make_room():
            self._probation.forget(gone)
            self._teacher.forget(gone)
            self._changed = True

    def _meet_ourselves(self, parcel: FleetMessage) -> Iterator[events.Event]:
        """See what the broker keeps of us: a roll above ours means that this store has lost its memory."""
        ours = self._sharing.roll.number
        if parcel.roll is not None and is_far_ahead(parcel.roll.number, ours, self._clock.utc().timestamp()):
            self._inbox.refuse("number")
        elif parcel.roll is not None and parcel.roll.number > ours:
            log.warning("the group knows later examples of this device than its store; ours are told anew")
            self._sharing.surpass(parcel.roll.number)
            yield self._share()

    def _admit(self, examples: Sequence[Example]) -> None:
        """Let examples count that harm nothing; with one commit, as each waits for the disk."""
        if examples and (fitting := self._teacher.fitting(examples)):
            self._peers.settle(each.id for each in fitting)
            self._teacher.learn(fitting)
            self._teacher.examples()  # the exam is cheap a few examples at a time, and slow for hundreds
            self._changed = True

    def _tell_figures(self) -> Iterator[events.Event]:
        refused = self._inbox.refused
        now_s = self._clock.monotonic()
        recount = sum(refused.values()) != self._refused and now_s - self._told_s >= PAUSE_S
        if not self._changed and not recount:
            return
        self._changed, self._told_s, self._refused = False, now_s, sum(refused.values())
        devices = {name: PeerFigures(counting, waiting) for name, counting, waiting in self._peers.standing()}
        self._teacher.fleet = FleetFigures(self._group, self._shared, devices, refused)
        yield self._teacher.examples()
