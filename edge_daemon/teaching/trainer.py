"""The store and the classifiers, changed together: first the store, then the classifiers in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

from edge_daemon.domain import commands, events
from edge_daemon.domain.commands import AddExample, AddPicture, ClockSet, Command, LabelSample
from edge_daemon.domain.errors import EdgeError, StoreError
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.types import ClassReport, Evaluation, Example, FleetFigures
from edge_daemon.example_store.change_history import LiveChange
from edge_daemon.example_store.clock_correction import KEEP_REMOVED
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.learning.open_set_classifier import OpenSetClassifier
from edge_daemon.teaching.classifier_pools import ClassifierPools
from edge_daemon.teaching.copy_maker import CopyMaker, picture_copies
from edge_daemon.teaching.edit_events import undo_events
from edge_daemon.teaching.time_correction import TimeCorrection

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector
    from edge_daemon.learning.object_classifier import ObjectClassifier
    from edge_daemon.teaching.removed_purge import RemovedPurge
    from edge_daemon.teaching.taught_view import TaughtView

log = logging.getLogger(__name__)


class Trainer:
    """Owns the store and one classifier per pool of examples. Every call comes from one thread.

    `pools` maps each region to its pool. Examples of other embedding spaces than `space` remain in the store
    and are not used. With `peers`, examples of the fleet's peers are used too. `revision` counts the changes
    of this device's own examples. `fleet` holds the fleet's figures, which are reported beside the counts.
    `boot_id` is the id of this boot, which new examples are stored with. `objects` holds, by pool, those of
    the classifiers that compare objects too. `label_uses` describes, by label, the parts of the configuration
    that name it, such as buttons; replies to commands that end a label have them. `purge` deletes what was
    removed long ago.

    Calls raise EdgeError and change nothing when they fail. After construction no call waits for the store's
    lock; a locked store raises LockedStoreError.
    """

    def __init__(
        self,
        store: ExampleStore,
        classifiers: Mapping[str, OpenSetClassifier],
        pools: Mapping[str, str],
        space: str,
        max_per_label: int | None = None,
        peers: bool = False,
        boot_id: str = "",
        *,
        objects: Mapping[str, ObjectClassifier] | None = None,
        label_uses: Mapping[str, Sequence[str]] | None = None,
        purge: RemovedPurge | None = None,
    ) -> None:
        self._store = store
        self._pools = ClassifierPools(classifiers, pools, objects or {})
        self._max_per_label = max_per_label
        self._peers = peers
        self._label_uses = label_uses or {}
        self._purge = purge
        self._time_correction = TimeCorrection(store, boot_id)
        self._outdated = False
        self._shared_with: int | None = None
        self._evaluations: dict[str, Evaluation] = {}
        self.space = space
        self.boot_id = boot_id
        self.revision = 0
        self.fleet: FleetFigures | None = None
        self.load(self._stored())
        store.wait_for_lock(0.0)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def claim_store(self) -> None:
        """Lock the store for this daemon; log once that another one uses it."""
        other = self._store.acquire_lock()
        if other is not None and other != self._shared_with:
            log.warning(
                "process %d uses the store '%s' too; give each device a separate store.path",
                other,
                self._store.path,
            )
            self._shared_with = other

    def reload_if_changed(self) -> Iterator[events.Event]:
        """Reload the examples if another process, as `edge-daemon examples import`, changed the store."""
        self.claim_store()
        self._outdated = self._store.changed_elsewhere() or self._outdated
        if self._outdated:
            self._reload()
            self.revision += 1
            yield self.examples()

    def set_clock(self, change: ClockSet) -> None:
        """Correct the times of the examples of this boot, and purge examples removed long ago.

        `maintain_store` corrects the times of a store that can't be changed now.
        """
        self._time_correction.add(change)
        try:
            self._time_correction.run()
            self._store.purge(change.until + timedelta(seconds=change.step_s) - KEEP_REMOVED)
        except StoreError as exc:
            log.info("the times of examples added before the clock was set are corrected later: %s", exc)

    def maintain_store(self, now_s: float) -> None:
        """Correct times, delete what was removed long ago, checkpoint the journal after a while.

        Raises StoreError.
        """
        self._time_correction.run()  # first: the purge goes by the times
        if self._purge is not None:
            self._purge.run_if_due()
        self._store.checkpoint_if_idle(now_s)

    def live_changes(self) -> list[LiveChange]:
        """Return the changes in the store that are not undone, the latest last. Raises StoreError."""
        return self._store.history.live()

    def classifier(self, region: str) -> OpenSetClassifier:
        """Return the classifier of the region's pool; it is the same object for every call."""
        return self._pools.classifier(region)

    def copy_maker(self, embed: Callable[[Image], Vector]) -> CopyMaker:
        """Return the maker of the examples' augmented copies."""
        return CopyMaker(self._pools.classifiers, partial(picture_copies, self._store.thumbnail, embed))

    def examples(self) -> events.ExamplesChanged:
        """Return the counts per label and the evaluation; no evaluation where there are several pools."""
        self._evaluations = self._pools.evaluate()
        evaluation = next(iter(self._evaluations.values())) if len(self._evaluations) == 1 else None
        predicted = {
            example_id: label
            for each in self._evaluations.values()
            for example_id, label in each.predicted.items()
        }
        return events.ExamplesChanged(self._pools.counts, evaluation, self.fleet, predicted)

    def class_report(self, region: str, label: str) -> ClassReport | None:
        """Return the report of a label in the latest evaluation of the region's pool; None without one."""
        evaluation = self._evaluations.get(self._pools.pool_of(region))
        return None if evaluation is None else evaluation.classes.get(label)

    def load(self, examples: Iterable[Example]) -> None:
        """Add stored examples to the classifiers; those that can't be used are logged and skipped."""
        self._pools.load(examples)

    def unload(self, ids: Sequence[int]) -> None:
        """Remove examples from the classifiers; the store keeps them."""
        self._pools.remove(ids)

    def pool_of(self, region: str) -> str:
        """Return the pool of a region's examples."""
        return self._pools.pool_of(region)

    def filter_acceptable(self, examples: Iterable[Example]) -> list[Example]:
        """Return the peers' examples whose label the classifier takes and has room for."""
        counts = self._pools.counts
        chosen = []
        for example in examples:
            count = counts[example.label] = counts.get(example.label, 0) + 1
            full = self._max_per_label is not None and count > self._max_per_label
            if not full and self._pools.accepts(example):
                chosen.append(example)
        return chosen

    def find_duplicate(self, record: ExampleRecord) -> str | None:
        """Return the label of a live example with the same picture or embedding; None without one."""
        return self._store.find_duplicate(
            record.space, record.region, thumbnail=record.thumbnail, embedding=record.embedding
        )

    def add(
        self,
        command: AddExample | AddPicture | LabelSample,
        record: ExampleRecord,
        seq: int,
        view: TaughtView | None = None,
        batch: str = "",
    ) -> Iterator[events.Event]:
        """Store an example, made from frame `seq`, and add it to its classifier; yield once it is on disk.

        Its `view` and the scene of the view are stored with it. In a full class, the most redundant example
        makes room in the same transaction. Those of one burst or `batch` are undone together.
        """
        label = record.label
        classifier = self.classifier(record.region)
        classifier.check(label)
        added: list[int] = []
        try:
            with self._store.transaction(record.group or batch):
                if view is not None:
                    record = replace(record, scene_id=view.scene_id(record.created_at))
                example = self._store.add_record(record)
                self._pools.add(example)
                added.append(example.id)
                replaced = self._redundant(classifier, label)
                self._store.remove(replaced)
                change = self._store.newest_change()
        except EdgeError:
            classifier.remove(added)
            if view is not None:
                view.discard_scene()
            raise
        if replaced:
            classifier.remove(replaced)
        self.revision += 1
        count = self._pools.counts[label]
        yield events.ExampleAdded(example.id, label, record.region, count, seq, command)
        data = {"id": example.id, "label": label, "count": count, "seq": seq, "change": change}
        yield events.CommandReply(command, data=data)

    def execute(self, command: Command) -> Iterator[events.Event]:
        """Run a command on the examples; yield its events, its reply and the new counts."""
        match command:
            case commands.Undo() | commands.Redo():
                yield from self._undo_or_redo(command)
            case commands.Clear():
                ids, change = self._change(partial(self._store.clear, command.label))
                self._unload_own(ids)
                yield events.Cleared(command.label, len(ids), command)
                data: dict[str, object] = {"removed": len(ids), "change": change}
                yield events.CommandReply(command, data=data | self._still_named(command.label))
            case commands.Rename() | commands.Merge():
                yield from self._rename_or_merge(command)
            case commands.Remove():
                ids = self._store.remove(command.ids)
                self._unload_own(ids)
                yield from _edited("removed", ids, command)
            case commands.Restore():
                ids = self._store.restore(command.ids)
                self._reload_own()
                yield from _edited("restored", ids, command)
            case commands.Relabel():
                label = self._check_new(command.label)
                ids = self._store.relabel(command.ids, label)
                self._reload_own()
                yield from _edited("relabelled", ids, command, label)
            case commands.ListExamples():
                yield events.CommandReply(command, data={"counts": self._pools.counts})
            case commands.SetThreshold():
                self._pools.set_unknown(command.unknown)
                yield events.CommandReply(command, data={"unknown": command.unknown})
        yield self.examples()

    def _undo_or_redo(self, command: commands.Undo | commands.Redo) -> Iterator[events.Event]:
        is_undo = isinstance(command, commands.Undo)
        change = (self._store.undo if is_undo else self._store.redo)(command.change)
        if len(change.removed) == len(change.steps):
            self._unload_own([step.id for step in change.steps])
        else:
            self._reload_own()
        yield from undo_events(change, command, self._pools.counts)

    def _rename_or_merge(self, command: commands.Rename | commands.Merge) -> Iterator[events.Event]:
        labels: tuple[str, ...]
        if isinstance(command, commands.Rename):
            labels, to = (command.label,), self._check_new(command.to)
            ids, change = self._change(partial(self._store.rename, command.label, to))
        else:
            labels, to = command.labels, self._check_new(command.into)
            ids, change = self._change(partial(self._store.merge, labels, to))
        self._reload_own()
        yield events.ExamplesEdited("relabelled", tuple(ids), command, to)
        former = [label for label in labels if label != to]
        data: dict[str, object] = {"label": to, "moved": len(ids), "count": self._pools.counts.get(to, 0)}
        data |= {"change": change} | self._still_named(*former)
        yield events.CommandReply(command, data=data)

    def _change(self, edit: Callable[[], list[int]]) -> tuple[list[int], int | None]:
        """Edit the store; return the ids of the changed examples and the number of the change, if any.

        The number is read before the commit: a lock after it would repeat the command.
        """
        with self._store.transaction():
            ids = edit()
            return ids, self._store.newest_change() if ids else None

    def _check_new(self, label: str) -> str:
        """Return the normalised label. Raises LabelError for one that the classifiers can't use."""
        label = check_label(label)
        self._pools.check(label)
        return label

    def _still_named(self, *labels: str | None) -> dict[str, object]:
        """Return what in the configuration names labels that have no examples any more, for a reply."""
        named = [use for label in labels if label for use in self._label_uses.get(label, ())]
        return {"still_named": named} if named else {}

    def _redundant(self, classifier: OpenSetClassifier, label: str) -> list[int]:
        """Return the example to remove from a class with too many; empty if the class has room."""
        if self._max_per_label is None or classifier.counts[label] <= self._max_per_label:
            return []
        return [classifier.most_redundant(label)]

    def _unload_own(self, ids: Sequence[int]) -> None:
        self.unload(ids)
        self.revision += 1

    def _reload_own(self) -> None:
        """Reload after a command changed the store; if reading fails, `reload_if_changed` tries later."""
        self.revision += 1
        self._outdated = True
        try:
            self._reload()
        except StoreError as exc:
            log.warning("the change takes effect as soon as the store can be read: %s", exc)

    def _reload(self) -> None:
        """Rebuild the classifiers from the store, in the order of its rows.

        The store is read completely first: a store that can't be read leaves the classifiers as they were.
        """
        stored = list(self._stored())
        self._pools.clear()
        self._pools.load(stored)
        self._outdated = False

    def _stored(self) -> Iterator[Example]:
        return self._store.examples(space=self.space, thumbnails=False, peers=self._peers)


def _edited(
    action: Literal["removed", "restored", "relabelled"],
    ids: Sequence[int],
    command: Command,
    label: str | None = None,
) -> Iterator[events.Event]:
    yield events.ExamplesEdited(action, tuple(ids), command, label)
    yield events.CommandReply(command, data={"ids": list(ids)})
