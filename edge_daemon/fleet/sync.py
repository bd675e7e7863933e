"""Fleet synchronization on the pipeline thread: publish our own examples, accept those of the peers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from edge_daemon.domain import events
from edge_daemon.domain.errors import EdgeError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Example, FleetFigures, PeerFigures
from edge_daemon.example_store.peer_examples import PeerExamples
from edge_daemon.fleet.live_set import EMPTY, LiveSet, is_far_ahead, is_lost, pack, unpack
from edge_daemon.fleet.quarantine import Quarantine, encode_names
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.fleet.records import FleetMessage, RecordSigner
from edge_daemon.fleet.replica import Replica
from edge_daemon.learning.sampling import newest_balanced
from edge_daemon.teaching.trainer import Trainer

logger = logging.getLogger(__name__)

STEP_S = 0.02
"""Time limit of a step, exceeded by at most one unit of work: a frame must not wait for the fleet."""

MAX_ACCEPTED_PER_STEP = 32
"""About the number of examples accepted in one step, because loading them takes time as well."""

REPORT_INTERVAL_S = 1.0
"""Interval of the counts while they change with every step."""

SETTLED_S = 60.0
"""Time after a connect by which every retained message has been received."""

PAUSE_S = 10.0
"""Pause after a store error, and the interval at which rejections alone are reported."""


class FleetPublisher:
    """Keeps the signed records of our own examples: at most `max_examples`, the newest of each label.

    Sequence numbers start at the Unix time, so that they keep increasing even if the store is lost. Belongs
    to one thread.
    """

    def __init__(
        self, device: str, signer: RecordSigner, peers: PeerExamples, max_examples: int, clock: Clock
    ) -> None:
        self._device = device
        self._signer = signer
        self._peers = peers
        self._max_examples = max_examples
        self._clock = clock
        self._records: dict[int, bytes] = {}

    def snapshot(self) -> events.FleetSnapshot:
        """Number the examples without a number, and return all records for the group. Raises StoreError."""
        if is_lost(self._peers.last_number(), self._clock.utc().timestamp()):
            self._peers.clear_numbers()
        numbers = self._number_examples()
        for one, number in numbers.items():
            if number not in self._records:
                example = self._peers.get(one)
                self._records[number] = self._signer.sign_example(self._device, number, example)
        for number in self._records.keys() - set(numbers.values()):
            del self._records[number]
        live_set = self._signer.sign_live_set(self._device, self.live_set)
        return events.FleetSnapshot(live_set, dict(self._records))

    @property
    def live_set(self) -> LiveSet:
        """Our latest live set."""
        kept = self._peers.live_set()
        return LiveSet(kept[0], unpack(kept[1])) if kept else EMPTY

    def renumber_above(self, number: int) -> None:
        """Renumber all examples above the number of a live set of ours that this store has lost."""
        own = {one: None for one, _, old in self._peers.own_numbers() if old is not None}
        self._peers.set_numbers(own)
        self._peers.save_live_set(number, pack(()))

    def _number_examples(self) -> dict[int, int]:
        """Return the number of each published example by its id; store a new live set if they changed."""
        own = self._peers.own_numbers()
        chosen = self._choose([label for _, label, _ in own])
        published = {one: number for row, (one, _, number) in enumerate(own) if row in chosen}
        changed: dict[int, int | None] = {
            one: None for row, (one, _, number) in enumerate(own) if row not in chosen and number is not None
        }
        live_set = self.live_set
        last = max(self._peers.last_number(), int(self._clock.utc().timestamp()))
        for one in [one for one, number in published.items() if number is None]:
            last += 1
            changed[one] = published[one] = last
        numbers = {one: number for one, number in published.items() if number is not None}
        if changed or live_set.live != set(numbers.values()):
            self._peers.set_numbers(changed)
            self._peers.save_live_set(last + 1, pack(numbers.values()))
        return numbers

    def _choose(self, labels: Sequence[str]) -> set[int]:
        classes: dict[str, int] = {}
        class_ids = encode_names(labels, classes)
        rows = newest_balanced(class_ids, len(classes), self._max_examples)
        return set(rows.tolist()[-self._max_examples :])


class FleetSync:
    """Publishes our own examples and accepts peers' in small steps, all called from the pipeline thread.

    A store error is logged once and the work is retried later.
    """

    def __init__(
        self,
        *,
        device: str,
        group: str,
        peers: PeerExamples,
        trainer: Trainer,
        publisher: FleetPublisher,
        replica: Replica,
        quarantine: Quarantine,
        receive_queue: ReceiveQueue,
        clock: Clock,
    ) -> None:
        self._device = device
        self._group = group
        self._peers = peers
        self._trainer = trainer
        self._publisher = publisher
        self._replica = replica
        self._quarantine = quarantine
        self._receive_queue = receive_queue
        self._clock = clock
        self._published_revision = -1
        self._shared = 0
        self._counts_changed = True
        self._reported_rejections = 0
        self._reported_s = clock.monotonic()
        self._resume_s = 0.0
        self._failing = False
        self._connections = 0
        self._make_room_s = clock.monotonic()

    def advance(self) -> Iterator[events.Event]:
        """Work for at most 20 ms; yield the resulting events."""
        if self._clock.monotonic() < self._resume_s:
            return
        try:
            yield from self._work()
            self._failing = False
        except EdgeError as exc:
            level = logging.DEBUG if self._failing else logging.WARNING
            logger.log(level, "fleet synchronization is paused: %s", exc)
            self._failing = True
            self._receive_queue.mark_overflow()
            self._published_revision = -1
            self._resume_s = self._clock.monotonic() + PAUSE_S

    def _work(self) -> Iterator[events.Event]:
        if self._published_revision != self._trainer.revision:
            yield self._publish()
        end_s = self._clock.monotonic() + STEP_S
        accepted: list[Example] = []
        idle = False
        while not idle and len(accepted) < MAX_ACCEPTED_PER_STEP and self._clock.monotonic() < end_s:
            message = self._receive_queue.pop()
            if message is not None:
                self._accept(accepted)  # before a live set can delete one of them
                accepted = []
                yield from self._apply(message)
            elif not self._quarantine.idle:
                accepted += self._quarantine.check_next()
            else:
                idle = True
        self._accept(accepted)
        if idle:
            self._make_room()
        if idle or self._clock.monotonic() - self._reported_s >= REPORT_INTERVAL_S:
            yield from self._report_counts()

    def _publish(self) -> events.FleetSnapshot:
        """Return the snapshot of our own changed examples, and check the peers' against them again."""
        snapshot = self._publisher.snapshot()
        self._quarantine.revalidate()
        self._replica.request_rejected()  # a label that was cleared or renamed here may be free
        self._published_revision = self._trainer.revision
        self._counts_changed = self._counts_changed or self._shared != len(snapshot.records)
        self._shared = len(snapshot.records)
        return snapshot

    def _apply(self, message: FleetMessage) -> Iterator[events.Event]:
        if message.device == self._device:
            yield from self._check_own_live_set(message)
            return
        change = self._replica.merge(message)
        if change.deleted:
            self._remove(change.deleted)
        self._quarantine.add(change.added)
        self._counts_changed = self._counts_changed or bool(change.added)
        if change.deleted:
            self._replica.request_rejected()

    def _remove(self, ids: Sequence[int]) -> None:
        self._quarantine.remove(ids)
        self._trainer.unload(ids)
        self._counts_changed = True

    def _make_room(self) -> None:
        """Remove a peer that has left in favour of one that was rejected, at most every 10 s."""
        if self._receive_queue.connections != self._connections:
            self._connections = self._receive_queue.connections
            self._make_room_s = self._clock.monotonic() + SETTLED_S
        if self._clock.monotonic() < self._make_room_s:
            return
        self._make_room_s = self._clock.monotonic() + PAUSE_S
        if deleted := self._replica.make_room():
            self._remove(deleted)

    def _check_own_live_set(self, message: FleetMessage) -> Iterator[events.Event]:
        """Compare our live set at the broker with the store's: a higher number proves a loss of the store."""
        if message.live_set is None:
            return
        number, own = message.live_set.number, self._publisher.live_set.number
        if is_far_ahead(number, own, self._clock.utc().timestamp()):
            self._receive_queue.count_rejection("number")
        elif number > own:
            logger.warning("the group has later examples of this device than its store; ours are renumbered")
            self._publisher.renumber_above(number)
            yield self._publish()

    def _accept(self, examples: Sequence[Example]) -> None:
        """Accept checked examples in one transaction, because each commit waits for the disk."""
        if examples and (fitting := self._trainer.filter_acceptable(examples)):
            self._peers.accept(each.id for each in fitting)
            self._trainer.load(fitting)
            # Evaluate now: cheap for a few examples at a time, and slow for hundreds.
            self._trainer.examples()
            self._counts_changed = True

    def _report_counts(self) -> Iterator[events.Event]:
        rejected = self._receive_queue.rejected
        total, now_s = sum(rejected.values()), self._clock.monotonic()
        rejections_due = total != self._reported_rejections and now_s - self._reported_s >= PAUSE_S
        if not self._counts_changed and not rejections_due:
            return
        self._counts_changed, self._reported_s, self._reported_rejections = False, now_s, total
        counts = self._peers.peer_counts()
        peers = {name: PeerFigures(accepted, waiting) for name, accepted, waiting in counts}
        self._trainer.fleet = FleetFigures(self._group, self._shared, peers, rejected)
        yield self._trainer.examples()
