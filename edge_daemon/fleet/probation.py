"""Peers' examples that don't count yet, judged a little at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from itertools import islice

import numpy as np

from edge_daemon.examples.peers import PeerExamples
from edge_daemon.fleet.jury import WITNESSES, Jury
from edge_daemon.learning.sample import newest
from edge_daemon.types import Example

BATCH = 16
"""Most examples of one device and label that are judged together."""


class Probation:
    """Keeps what waits, and the jury. Every call of `proceed` is one small piece of work.

    A batch that would harm is halved and judged again, down to single examples; those that harm wait until
    `reconsider`. With no example of our own there is nothing to harm. Belongs to one thread.
    """

    def __init__(self, peers: PeerExamples, pool_of: Callable[[str], str]) -> None:
        self._peers = peers
        self._pool_of = pool_of
        self._queue: deque[Sequence[Example]] = deque()
        self._jury: Jury | None = None
        self._seating: Generator[None, None, Jury] | None = None
        self.take(peers.waiting())

    def take(self, examples: Iterable[Example]) -> None:
        """Put new examples on probation."""
        parties: dict[tuple[str, str], list[Example]] = {}
        for example in examples:
            parties.setdefault((example.origin, example.label), []).append(example)
        for party in parties.values():
            rest = iter(party)
            while batch := list(islice(rest, BATCH)):
                self._queue.append(batch)

    def forget(self, ids: Collection[int]) -> None:
        """Let go of examples that their device took back."""
        gone = set(ids)
        kept = ([each for each in batch if each.id not in gone] for batch in self._queue)
        self._queue = deque(batch for batch in kept if batch)
        self._jury = self._seating = None  # they may have had a vote in it

    def reconsider(self) -> None:
        """Judge anew: our own examples changed."""
        self._jury = self._seating = None
        self._queue.clear()
        self.take(self._peers.waiting())

    @property
    def idle(self) -> bool:
        """Whether nothing is left to judge for now."""
        return not self._queue

    def proceed(self) -> Sequence[Example]:
        """Do one piece of work; return the examples that have passed, mostly none."""
        if self._jury is None:
            self._seat()
            return ()
        batch = self._queue.popleft()
        if self._jury.admits(batch):
            return batch
        if len(batch) > 1:
            middle = len(batch) // 2
            self._queue.extendleft((batch[middle:], batch[:middle]))
        return ()

    def _seat(self) -> None:
        self._seating = self._seating or self._introduce()
        try:
            next(self._seating)
        except StopIteration as end:
            self._jury, self._seating = end.value, None

    def _introduce(self) -> Generator[None, None, Jury]:
        """Choose the witnesses, then introduce what counts to them, a page at a time."""
        own = self._peers.own()
        labels = list(dict.fromkeys(label for _, label, _ in own))
        codes = np.array([labels.index(label) for _, label, _ in own], np.intp)
        chosen = newest(codes, len(labels), WITNESSES)
        jury = Jury([self._peers.example(own[row][0]) for row in chosen], self._pool_of)
        yield
        if len(chosen):
            for page in self._peers.counting():
                jury.meet(page)
                yield
        return jury
