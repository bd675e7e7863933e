"""A device in its group, as the pipeline's thread sees it: it shares, merges and judges a little a step."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from edge_daemon import events
from edge_daemon.errors import EdgeError
from edge_daemon.examples.peers import PeerExamples
from edge_daemon.fleet.inbox import Inbox
from edge_daemon.fleet.merging import Merging
from edge_daemon.fleet.parcel import Parcel
from edge_daemon.fleet.probation import Probation
from edge_daemon.fleet.roll import is_far_ahead
from edge_daemon.fleet.sharing import Sharing
from edge_daemon.ports import Clock
from edge_daemon.teacher import Teacher
from edge_daemon.types import Example, FleetFigures, PeerFigures

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


class Member:
    """Every call comes from the pipeline's thread. Faults of the store are said and tried again later."""

    def __init__(
        self,
        *,
        device: str,
        group: str,
        peers: PeerExamples,
        teacher: Teacher,
        sharing: Sharing,
        merging: Merging,
        probation: Probation,
        inbox: Inbox,
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

    def _share(self) -> events.FleetTold:
        """Tell the group of our own examples, which have changed, and judge the peers' by them anew."""
        told = self._sharing.tell()
        self._probation.reconsider()
        self._seen_revision = self._teacher.revision
        self._changed = self._changed or self._shared != len(told.records)
        self._shared = len(told.records)
        return told

    def _open(self, parcel: Parcel) -> Iterator[events.Event]:
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

    def _meet_ourselves(self, parcel: Parcel) -> Iterator[events.Event]:
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
