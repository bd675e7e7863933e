"""What is taught, in memory and on disk as one: a change goes to the store first, then to the learners."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from edge_daemon.domain import commands, events
from edge_daemon.domain.commands import AddExample, ClockSet, Command, LabelSample
from edge_daemon.domain.errors import EdgeError, EmbeddingError, LabelError, StoreError
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.types import Example, FleetFigures, Prediction, Sight
from edge_daemon.example_store.clock_correction import KEEP_REMOVED, LEAST_STEP_S, shift_times
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.learning.open_set_classifier import OpenSetClassifier

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

log = logging.getLogger(__name__)

SHARED_POOL = ""
"""The pool of the regions that share their examples, and of regions that are no longer configured."""


class Trainer:
    """Owns the store and a learner per pool of examples. Every call comes from one thread.

    Once the store is read no call waits for its lock: what finds it locked raises LockedStoreError.

    `pools` names the pool of each region; `space` is the embedding space in use, others lie dormant in
    the store. With `peers`, what the fleet taught counts too. Raises EdgeError for what can't be done;
    nothing is changed then. `revision` counts the changes of what this device was taught itself.
    """

    def __init__(
        self,
        store: ExampleStore,
        learners: Mapping[str, OpenSetClassifier],
        pools: Mapping[str, str],
        space: str,
        max_per_label: int | None = None,
        peers: bool = False,
    ) -> None:
        self._store = store
        self._learners = learners
        self._pools = pools
        self._space = space
        self._max_per_label = max_per_label
        self._peers = peers
        self._stale = False
        self._shared_with: int | None = None
        self.revision = 0
        self.fleet: FleetFigures | None = None
        """What is told of the fleet beside the counts."""
        self._notice_others()
        self.learn(self._stored())
        store.wait_for_lock(0.0)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def refresh(self) -> Iterator[events.Event]:
        """Learn anew when another process, such as `edge-daemon examples import`, changed the store."""
        self._notice_others()
        self._stale = self._store.changed_elsewhere() or self._stale
        if self._stale:
            self._learn_anew()
            self.revision += 1
            yield self.examples()

    def set_clock(self, change: ClockSet) -> None:
        """Correct the times of what was stored in this boot, and forget what was removed long ago."""
        step = timedelta(seconds=change.step_s)
        try:
            if change.step_s >= LEAST_STEP_S:
                shift_times(self._store, change.since, change.until, step)
            self._store.purge(change.until + step - KEEP_REMOVED)
        except StoreError as exc:
            log.info("the times of examples taught before the clock was set stay: %s", exc)

    def checkpoint(self, now_s: float) -> None:
        """Let the store fold its journal when nothing was taught for a while. Raises StoreError."""
        self._store.checkpoint_at_rest(now_s)

    def predict(self, region: str, embedding: Vector, *, lenient: bool = False) -> Prediction:
        """Classify with the examples that count for this region; `lenient` for one of an object's frames."""
        return self._learners[self._pools[region]].predict(embedding, lenient=lenient)

    def examples(self) -> events.ExamplesChanged:
        """Return the counts and the exam of what is taught; no exam when regions learn apart."""
        exams = [learner.exam() for learner in self._learners.values()]
        return events.ExamplesChanged(self._counts(), exams[0] if len(exams) == 1 else None, self.fleet)

    def learn(self, examples: Iterable[Example]) -> None:
        """Let stored examples count."""
        refused: set[str] = set()
        for example in examples:
            pool = self.pool_of(example.region)
            if pool not in self._learners:
                continue
            try:
                self._learners[pool].add(example.embedding, example.label, example.id, example.group)
            except LabelError:
                refused.add(example.label)
            except EmbeddingError as exc:
                log.warning("example %d ('%s') is left out: %s", example.id, example.label, exc)
        if refused:
            log.warning("this classifier can't use the labels %s; their examples stay in the store", refused)

    def pool_of(self, region: str) -> str:
        """Return the pool that examples of a region count in."""
        return self._pools.get(region, SHARED_POOL)

    def fitting(self, examples: Iterable[Example]) -> list[Example]:
        """Return those of peers' examples that can count: the classifier takes them, and there is room."""
        counts = self._counts()
        chosen = []
        for example in examples:
            count = counts[example.label] = counts.get(example.label, 0) + 1
            full = self._max_per_label is not None and count > self._max_per_label
            if not full and self._takes(example):
                chosen.append(example)
        return chosen

    def _takes(self, example: Example) -> bool:
        learner = self._learners.get(self.pool_of(example.region))
        try:
            if learner is not None:
                learner.check(example.label)
        except LabelError:
            return False
        return learner is not None

    def forget(self, ids: Sequence[int]) -> None:
        """Let examples no longer count; what the store holds stays."""
        for learner in self._learners.values():
            learner.remove(ids)

    def add(
        self,
        press: AddExample | LabelSample,
        sight: Sight,
        thumbnail: bytes,
    ) -> Iterator[events.Event]:
        """Keep an example; its events come once it is on disk."""
        label = check_label(press.label)
        learner = self._learners[self._pools[sight.region]]
        learner.check(label)
        group = press.group if isinstance(press, AddExample) else ""
        added: list[int] = []
        try:
            with self._store.transaction():
                example = self._store.add(
                    sight.embedding,
                    label,
                    space=self._space,
                    region=sight.region,
                    group=group,
                    source=press.origin.via,
                    thumbnail=thumbnail,
                    created_at=sight.frame.captured_at,
                )
                learner.add(sight.embedding, label, example.id, group)
                added.append(example.id)
                replaced = self._redundant(learner, label)
                self._store.remove(replaced)
        except EdgeError:
            learner.remove(added)
            raise
        if replaced:
            learner.remove(replaced)
        self.revision += 1
        count = self._counts()[label]
        seq = sight.frame.seq
        yield events.ExampleAdded(example.id, label, sight.region, count, seq, press)
        yield events.CommandReply(press, data={"id": example.id, "label": label, "count": count, "seq": seq})

    def execute(self, command: Command) -> Iterator[events.Event]:
        """Do what a command asks of the examples and say so."""
        match command:
            case commands.Undo():
                example = self._store.undo()
                self._forget_taught([example.id])
                count = self._counts().get(example.label, 0)
                yield events.ExampleUndone(example.id, example.label, count, command)
                data = {"id": example.id, "label": example.label, "count": count}
                yield events.CommandReply(command, data=data)
            case commands.Clear():
                ids = self._store.clear(command.label)
                self._forget_taught(ids)
                yield events.Cleared(command.label, len(ids), command)
                yield events.CommandReply(command, data={"removed": len(ids)})
            case commands.Remove():
                ids = self._store.remove(command.ids)
                self._forget_taught(ids)
                yield from _edited("removed", ids, command)
            case commands.Restore():
                ids = self._store.restore(command.ids)
                self._learn_changed()
                yield from _edited("restored", ids, command)
            case commands.Relabel():
                ids = self._store.relabel(command.ids, command.label)
                self._learn_changed()
                yield from _edited("relabelled", ids, command, check_label(command.label))
            case commands.ListExamples():
                yield events.CommandReply(command, data={"counts": self._counts()})
            case commands.SetThreshold():
                for learner in self._learners.values():
                    learner.set_unknown(command.unknown)
                yield events.CommandReply(command, data={"unknown": command.unknown})
        yield self.examples()

    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for learner in self._learners.values():
            for label, count in learner.counts.items():
                counts[label] = counts.get(label, 0) + count
        return counts

    def _redundant(self, learner: OpenSetClassifier, label: str) -> list[int]:
        """Return the example that must make room, if its label has too many."""
        if self._max_per_label is None or learner.counts[label] <= self._max_per_label:
            return []
        return [learner.most_redundant(label)]

    def _forget_taught(self, ids: Sequence[int]) -> None:
        self.forget(ids)
        self.revision += 1

    def _learn_changed(self) -> None:
        """Learn what a command has changed on disk; where it can't be read, `refresh` does it later."""
        self.revision += 1
        self._stale = True
        try:
            self._learn_anew()
        except StoreError as exc:
            log.warning("what was changed counts as soon as the store can be read: %s", exc)

    def _learn_anew(self) -> None:
        """Teach the learners the whole store again: rows come back in their old places.

        All is read first, so that a store that can't be read costs nothing.
        """
        stored = list(self._stored())
        for learner in self._learners.values():
            learner.clear()
        self.learn(stored)
        self._stale = False

    def _notice_others(self) -> None:
        """Say it once when another daemon uses the store too."""
        other = self._store.claim()
        if other is not None and other != self._shared_with:
            log.warning(
                "process %d uses the store '%s' too; give each device a store.path of its own",
                other,
                self._store.path,
            )
            self._shared_with = other

    def _stored(self) -> Iterator[Example]:
        return self._store.examples(space=self._space, thumbnails=False, peers=self._peers)


def _edited(
    action: Literal["removed", "restored", "relabelled"],
    ids: Sequence[int],
    command: Command,
    label: str | None = None,
) -> Iterator[events.Event]:
    yield events.ExamplesEdited(action, tuple(ids), command, label)
    yield events.CommandReply(command, data={"ids": list(ids)})
