"""The quarantine of peers' examples: accept them only if the leave-one-out accuracy does not drop. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from itertools import islice

import numpy as np

from edge_daemon.domain.types import Example
from edge_daemon.example_store.peer_examples import PeerExamples
from edge_daemon.learning.quality.evaluation import count_votes
from edge_daemon.learning.sampling import Floats, Ints, burst_key, newest_balanced

MAX_VALIDATION_EXAMPLES = 200
"""Bound on the work: one dot product per validation example and new example."""

BATCH = 16
"""Maximum number of examples of one device and label that are checked together."""

_K = 3


class ImpactCheck:
    """Checks whether new examples lower the leave-one-out accuracy of the validation examples.

    The classifier is a vote of the three nearest neighbours; ties go to the nearest. Examples of the same
    burst are excluded from each other's neighbours, as are examples of another pool. `pool_of` returns the
    pool of a region. Embeddings are unit vectors of one space.
    """

    def __init__(self, validation_examples: Sequence[Example], pool_of: Callable[[str], str]) -> None:
        self._pool_of = pool_of
        self._classes: dict[str, int] = {}
        self._codes: dict[str, int] = {}
        self._validation_examples = validation_examples
        self._matrix: Floats = np.array([each.embedding for each in validation_examples], np.float32)
        self._labels = encode_names([each.label for each in validation_examples], self._classes)
        self._pools = encode_names([pool_of(each.region) for each in validation_examples], self._codes)
        self._bursts = encode_names([_burst(each) for each in validation_examples], self._codes)
        self._similarities: Floats = np.full((len(validation_examples), _K), -np.inf, np.float32)
        self._neighbours: Ints = np.full((len(validation_examples), _K), -1, np.intp)

    @property
    def correct_count(self) -> int:
        """Number of validation examples that their neighbours classify correctly."""
        return self._count_correct(self._neighbours)

    def add_accepted(self, examples: Sequence[Example]) -> None:
        """Add examples to the neighbours without a check."""
        if self._validation_examples and examples:
            self._similarities, self._neighbours = self._neighbours_with(examples)

    def accepts(self, examples: Sequence[Example]) -> bool:
        """Return whether the accuracy does not drop with these examples; they are added if so."""
        if not self._validation_examples:
            return True
        similarities, neighbours = self._neighbours_with(examples)
        if self._count_correct(neighbours) < self.correct_count:
            return False
        self._similarities, self._neighbours = similarities, neighbours
        return True

    def _neighbours_with(self, examples: Sequence[Example]) -> tuple[Floats, Ints]:
        """Return similarities and labels of the three nearest neighbours, `examples` included."""
        similarities = self._matrix @ np.array([each.embedding for each in examples]).T
        bursts = encode_names([_burst(each) for each in examples], self._codes)
        pools = encode_names([self._pool_of(each.region) for each in examples], self._codes)
        similarities[(self._bursts[:, None] == bursts) | (self._pools[:, None] != pools)] = -np.inf
        classes = encode_names([each.label for each in examples], self._classes)
        labels = np.broadcast_to(classes, similarities.shape)
        values = np.hstack((self._similarities, similarities))
        neighbours = np.hstack((self._neighbours, np.where(np.isneginf(similarities), -1, labels)))
        order = np.argsort(-values, axis=1, kind="stable")[:, :_K]
        return np.take_along_axis(values, order, 1), np.take_along_axis(neighbours, order, 1)

    def _count_correct(self, neighbours: Ints) -> int:
        votes = count_votes(neighbours, neighbours >= 0, len(self._classes))
        return int(((votes.argmax(axis=1) == self._labels) & votes.any(axis=1)).sum())


def encode_names(names: Sequence[str], codes: dict[str, int]) -> Ints:
    """Return the code of each name; a new name gets the next code."""
    return np.array([codes.setdefault(name, len(codes)) for name in names], np.intp)


def _burst(example: Example) -> str:
    return f"{example.label}\0{burst_key(example.group, example.id)}"


class Quarantine:
    """Holds peers' examples until they are accepted. Each call of `check_next` is one small step of work.

    A batch that lowers the accuracy is halved and checked again, down to single examples; a single example
    that lowers it stays in quarantine until `revalidate`. Without examples of our own all are accepted.
    Belongs to one thread.
    """

    def __init__(self, peers: PeerExamples, pool_of: Callable[[str], str]) -> None:
        self._peers = peers
        self._pool_of = pool_of
        self._batches: deque[Sequence[Example]] = deque()
        self._check: ImpactCheck | None = None
        self._build_steps: Generator[None, None, ImpactCheck] | None = None
        self.add(peers.quarantined())

    def add(self, examples: Iterable[Example]) -> None:
        """Queue new examples for the check, in batches of one device and label."""
        groups: dict[tuple[str, str], list[Example]] = {}
        for example in examples:
            groups.setdefault((example.origin, example.label), []).append(example)
        for group in groups.values():
            rest = iter(group)
            while batch := list(islice(rest, BATCH)):
                self._batches.append(batch)

    def remove(self, ids: Collection[int]) -> None:
        """Remove examples that their device has deleted."""
        removed = set(ids)
        kept = ([each for each in batch if each.id not in removed] for batch in self._batches)
        self._batches = deque(batch for batch in kept if batch)
        self._check = self._build_steps = None  # the removed examples may have voted in it

    def revalidate(self) -> None:
        """Check all quarantined examples again, because our own examples have changed."""
        self._check = self._build_steps = None
        self._batches.clear()
        self.add(self._peers.quarantined())

    @property
    def idle(self) -> bool:
        """True if no batch waits for its check."""
        return not self._batches

    def check_next(self) -> Sequence[Example]:
        """Do one step of work; return the examples that were accepted, usually none."""
        if self._check is None:
            self._continue_build()
            return ()
        batch = self._batches.popleft()
        if self._check.accepts(batch):
            return batch
        if len(batch) > 1:
            middle = len(batch) // 2
            self._batches.extendleft((batch[middle:], batch[:middle]))
        return ()

    def _continue_build(self) -> None:
        self._build_steps = self._build_steps or self._build()
        try:
            next(self._build_steps)
        except StopIteration as end:
            self._check, self._build_steps = end.value, None

    def _build(self) -> Generator[None, None, ImpactCheck]:
        """Choose the validation examples, then add the accepted examples one page per step."""
        own = self._peers.own_numbers()
        classes: dict[str, int] = {}
        class_ids = encode_names([label for _, label, _ in own], classes)
        rows = newest_balanced(class_ids, len(classes), MAX_VALIDATION_EXAMPLES)
        check = ImpactCheck([self._peers.get(own[row][0]) for row in rows], self._pool_of)
        yield
        if len(rows):
            for page in self._peers.accepted():
                check.add_accepted(page)
                yield
        return check
