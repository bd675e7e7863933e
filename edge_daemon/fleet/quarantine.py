"""Whether examples of peers harm: the local exam with them against the local exam without. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.types import Example
from edge_daemon.example_store.peer_examples import PeerExamples
from edge_daemon.learning.embedding_index import Codes, Floats, newest_balanced

WITNESSES = 200
"""Most of our own examples that are examined: a bound on the work, at one product with each newcomer."""

_K = 3


class ImpactCheck:
    """Examines our own examples by leaving each out: the three nearest others vote; ties go to the nearest.

    An example and the burst it was taught in are no others to each other, as in `learning.exam`. `pool_of`
    names the pool of a region; examples of other pools are no others either. `meet` introduces those that
    count already. Vectors are unit length, of one space.
    """

    def __init__(self, witnesses: Sequence[Example], pool_of: Callable[[str], str]) -> None:
        self._pool_of = pool_of
        self._codes: dict[str, int] = {}
        self._witnesses = witnesses
        self._matrix: Floats = np.array([each.embedding for each in witnesses], np.float32)
        self._labels = self._code([each.label for each in witnesses])
        self._pools = self._code([pool_of(each.region) for each in witnesses])
        self._bursts = self._code([_burst(each) for each in witnesses])
        self._values: Floats = np.full((len(witnesses), _K), -np.inf, np.float32)
        self._nearest: Codes = np.full((len(witnesses), _K), -1, np.intp)

    @property
    def right(self) -> int:
        """How many witnesses the others name rightly."""
        return _count_right(self._labels, self._nearest)

    def meet(self, examples: Sequence[Example]) -> None:
        """Let examples count from now on."""
        if self._witnesses and examples:
            self._values, self._nearest = self._with(examples)

    def admits(self, examples: Sequence[Example]) -> bool:
        """Whether as many witnesses are right with these as without; then they count from now on."""
        if not self._witnesses:
            return True
        values, nearest = self._with(examples)
        if _count_right(self._labels, nearest) < self.right:
            return False
        self._values, self._nearest = values, nearest
        return True

    def _with(self, examples: Sequence[Example]) -> tuple[Floats, Codes]:
        """Return each witness's three nearest with these among them: similarities and labels."""
        similarities = self._matrix @ np.array([each.embedding for each in examples]).T
        kin = self._bursts[:, None] == self._code([_burst(each) for each in examples])
        foreign = self._pools[:, None] != self._code([self._pool_of(each.region) for each in examples])
        similarities[kin | foreign] = -np.inf
        labels = np.broadcast_to(self._code([each.label for each in examples]), similarities.shape)
        values = np.hstack((self._values, similarities))
        nearest = np.hstack((self._nearest, np.where(np.isneginf(similarities), -1, labels)))
        order = np.argsort(-values, axis=1, kind="stable")[:, :_K]
        return np.take_along_axis(values, order, 1), np.take_along_axis(nearest, order, 1)

    def _code(self, names: Sequence[str]) -> Codes:
        return np.array([self._codes.setdefault(name, len(self._codes)) for name in names], np.intp)


def _burst(example: Example) -> str:
    """Name the burst; an example without one is a burst of its own."""
    return f"{example.label}\0{example.group}" if example.group else f"\0{example.id}"


def _count_right(labels: Codes, nearest: Codes) -> int:
    known: npt.NDArray[np.bool_] = nearest >= 0
    votes = ((nearest[:, :, None] == nearest[:, None, :]) & known[:, None, :]).sum(axis=2)
    votes[~known] = 0
    winners = np.take_along_axis(nearest, votes.argmax(axis=1)[:, None], 1)[:, 0]
    return int((winners == labels).sum())


BATCH = 16
"""Most examples of one device and label that are judged together."""


class Quarantine:
    """Keeps what waits, and the jury. Every call of `proceed` is one small piece of work.

    A batch that would harm is halved and judged again, down to single examples; those that harm wait until
    `reconsider`. With no example of our own there is nothing to harm. Belongs to one thread.
    """

    def __init__(self, peers: PeerExamples, pool_of: Callable[[str], str]) -> None:
        self._peers = peers
        self._pool_of = pool_of
        self._queue: deque[Sequence[Example]] = deque()
        self._jury: ImpactCheck | None = None
        self._seating: Generator[None, None, ImpactCheck] | None = None
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

    def _introduce(self) -> Generator[None, None, ImpactCheck]:
        """Choose the witnesses, then introduce what counts to them, a page at a time."""
        own = self._peers.own()
        labels = list(dict.fromkeys(label for _, label, _ in own))
        codes = np.array([labels.index(label) for _, label, _ in own], np.intp)
        chosen = newest_balanced(codes, len(labels), WITNESSES)
        jury = ImpactCheck([self._peers.example(own[row][0]) for row in chosen], self._pool_of)
        yield
        if len(chosen):
            for page in self._peers.counting():
                jury.meet(page)
                yield
        return jury
