"""The example store: one SQLite file that survives power cuts, full disks and kill -9."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from edge_daemon.domain.errors import LabelError, NoExamplesError
from edge_daemon.domain.labels import check_label, normalise_label
from edge_daemon.domain.types import WHOLE_FRAME, Example
from edge_daemon.example_store.change_history import Change, ChangeHistory, Step
from edge_daemon.example_store.connection import StoreConnection, utc_now
from edge_daemon.example_store.example_table import ExampleTable
from edge_daemon.example_store.integrity import summarise
from edge_daemon.example_store.record import (
    COLUMNS,
    INTACT,
    LIVE,
    OWN,
    ExampleRecord,
    format_time,
    read_example,
)
from edge_daemon.example_store.scene_table import SceneTable

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

log = logging.getLogger(__name__)

_REMOVE = "UPDATE examples SET removed_at = ? WHERE removed_at IS NULL"


class ExampleStore:
    """Taught examples on disk. Removed examples stay as tombstones until `purge` and can be restored.

    A call that changes something returns after the commit reached the disk (WAL, synchronous FULL); a
    failed call changes nothing. `transaction` joins several calls. Owned by one thread at a time, in the
    daemon by the pipeline's. Other processes may use the same file; a call waits `busy_s` seconds for
    their lock. Raises StoreError for every failure of the file.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        busy_s: float = 2.0,
        now: Callable[[], datetime] = utc_now,
        recover: bool = False,
        create: bool = True,
    ) -> None:
        self.path = Path(path)
        self._connection = StoreConnection(self.path, busy_s, now, recover=recover, create=create)
        self._table = ExampleTable(self._connection)
        self.history = ChangeHistory(self._connection)
        self.scenes = SceneTable(self._connection)

    @classmethod
    def open_or_recover(cls, path: str | Path, *, busy_s: float = 2.0, create: bool = True) -> Self:
        """Open the store in spite of a damaged file or a full disk, and log what is wrong.

        The readable part of a corrupt file goes into a new one; the old one is kept as
        `<name>.corrupt-<UTC time>`. While the disk is full or read-only the examples are in memory, and
        each change is refused. So it is without `create` while there is no file: none is made, and the
        store is empty; and with a file that this user may only read.
        """
        store = cls(path, busy_s=busy_s, recover=True, create=create)
        if store.damaged:
            left_out = summarise(store.damaged.values())
            log.warning("store '%s': left out, and kept in the file: %s", path, left_out)
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Fold the journal into the file and release it; harmless when closed."""
        self._connection.close()

    @property
    def damaged(self) -> dict[int, str]:
        """The faults of the examples that can't be used, by id."""
        return self._connection.damaged

    @property
    def file_number(self) -> int:
        """Number of the file in use; ids of another one mean nothing, see `StoreConnection`."""
        return self._connection.file_number

    def wait_for_lock(self, busy_s: float) -> None:
        """Set the time that a call waits for another process's lock; 0 for an owner that must not block."""
        self._connection.wait_for_lock(busy_s)

    def acquire_lock(self) -> int | None:
        """Lock the file for this process's daemon until `close`; return the process that has locked it."""
        return self._connection.lock.acquire()

    @contextmanager
    def transaction(self, key: str = "") -> Iterator[None]:
        """Make the changes of a `with` block one commit, after an error none of them.

        One `undo` takes back all of them, and those of the other transactions with the same `key`.
        """
        with self._connection.transaction() as outermost:
            if outermost:
                self.history.begin(key)
            yield

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement, for the other modules of this package."""
        return self._connection.query(statement, *values)

    def checkpoint_if_idle(self, now_s: float) -> None:
        """Fold the journal into the file after 30 s without a change; `now_s` is monotonic. Never waits."""
        self._connection.checkpoint_if_idle(now_s)

    def changed_elsewhere(self) -> bool:
        """Return whether another process has changed the store since the last call; reads no file.

        A store in memory moves back to its disk once that can be written, and counts as changed. One that
        was replaced is opened again. Raises StoreError for one that was deleted.
        """
        return self._connection.changed_elsewhere()

    @property
    def replaced(self) -> bool:
        """True if another file has the store's path since it was opened."""
        return self._connection.replaced

    def add(
        self,
        embedding: Vector,
        label: str,
        *,
        space: str = "",
        region: str = WHOLE_FRAME,
        group: str = "",
        source: str = "",
        thumbnail: bytes = b"",
        created_at: datetime | None = None,
    ) -> Example:
        """Store one example and return it once it is on disk.

        Raises LabelError, StoreError, and EmbeddingError for an embedding that is not finite, is zero, or
        has another length than the others of its space.
        """
        return self.add_record(
            ExampleRecord(embedding, label, space, region, group, source, thumbnail, created_at)
        )

    def add_record(self, record: ExampleRecord) -> Example:
        """Store an example as `add` does."""
        label = check_label(record.label)
        with self.transaction(record.group):
            example = self._table.insert(record, label)
            if not record.origin:
                self.history.record([Step(example.id, label, False, label, True)])
        return example

    def undo(self, number: int | None = None) -> Change:
        """Undo the latest change of the examples, or the one with this number; return what that did.

        A whole burst is one change. Examples that were changed since are left as they are. Without a change
        in the history, the newest burst of this device is removed. Raises NoExamplesError.
        """
        with self.transaction():
            return self.history.undo(number, self._now())

    def redo(self, number: int | None = None) -> Change:
        """Redo the change undone last, or the one with this number; return what that did.

        Raises NoExamplesError if there is none, or if all its examples were changed since.
        """
        with self.transaction():
            return self.history.redo(number, self._now())

    def newest_change(self) -> int | None:
        """Return the number of the latest change, for `undo`; None without one."""
        return self.history.newest()

    def clear(self, label: str | None = None) -> list[int]:
        """Remove all examples, or those of one label, peers' too; return their ids.

        Raises NoExamplesError for a label without examples.
        """
        label = None if label is None else normalise_label(label)
        with self.transaction():
            statement = f"{_REMOVE} AND label = coalesce(?, label) RETURNING id, label"
            rows = self.query(statement, self._now(), label)
            if label is not None and not rows:
                raise NoExamplesError(f"the store holds no examples of '{label}'")
            self.history.record(Step(one, name, True, name, False) for one, name in sorted(rows))
        return [row[0] for row in rows]

    def remove(self, ids: Iterable[int]) -> list[int]:
        """Remove the live examples among `ids`; return their ids."""
        with self.transaction():
            removed = self._update_each(_REMOVE, ids, self._now())
            self.history.record(Step(one, name, True, name, False) for one, name in removed)
        return [one for one, _ in removed]

    def restore(self, ids: Iterable[int]) -> list[int]:
        """Restore the removed examples among `ids` in their old places; return their ids."""
        statement = "UPDATE examples SET removed_at = NULL WHERE removed_at IS NOT NULL"
        with self.transaction():
            restored = self._update_each(statement, ids)
            self.history.record(Step(one, name, False, name, True) for one, name in restored)
        return [one for one, _ in restored]

    def relabel(self, ids: Iterable[int], label: str) -> list[int]:
        """Give the live examples among `ids` another label; return their ids. Raises LabelError."""
        label = check_label(label)
        with self.transaction():
            found = [
                row for each in ids for row in self.query(f"SELECT id, label {LIVE} AND id = ?", index(each))
            ]
            self._relabel(found, label)
        return [one for one, _ in found]

    def rename(self, old: str, new: str) -> list[int]:
        """Give all live examples of a label another label, peers' too; return their ids.

        Raises LabelError, and NoExamplesError if there are none of `old`, or some of `new`: that is a merge.
        """
        old, new = normalise_label(old), check_label(new)
        if new == old:
            raise LabelError(f"the label is '{old}' already")
        with self.transaction():
            if all(self.query(f"SELECT 1 {LIVE} AND label = ? LIMIT 1", each) for each in (old, new)):
                raise NoExamplesError(f"there are examples of '{new}' already; merge '{old}' into it instead")
            return self.merge([old], new)

    def merge(self, labels: Iterable[str], into: str) -> list[int]:
        """Give all live examples of some labels one label, peers' too; return their ids.

        Raises LabelError, and NoExamplesError for a label without examples.
        """
        if isinstance(labels, str):
            raise LabelError(f"got the text '{labels}' for several labels; give a list such as ['{labels}']")
        into = check_label(into)
        found = []
        with self.transaction():
            for label in dict.fromkeys(map(normalise_label, labels)):
                rows = self.query(f"SELECT id, label {LIVE} AND label = ? ORDER BY id", label)
                if not rows:
                    raise NoExamplesError(f"the store holds no examples of '{label}'")
                found += [] if label == into else rows
            self._relabel(found, into)
        return [one for one, _ in found]

    def _relabel(self, found: Iterable[tuple[int, str]], label: str) -> None:
        """Give examples, as (id, label now), another label."""
        for one, before in found:
            if before == label:
                continue
            self.query("UPDATE examples SET label = ? WHERE id = ?", label, one)
            self.history.record([Step(one, before, True, label, True)])

    def replace_embeddings(
        self,
        embeddings: Iterable[tuple[int, Vector]],
        space: str,
        object_embeddings: Mapping[int, Vector] | None = None,
    ) -> int:
        """Give examples, by id, a new embedding in another space, all or none; return their number.

        An example without a new object embedding loses the old one, and with it its scene.
        """
        with self.transaction():
            return self._table.replace_embeddings(embeddings, space, object_embeddings or {})

    def purge(self, older_than: datetime) -> int:
        """Delete the examples that were removed before `older_than`; return their number.

        Tombstones of peers' examples stay: without one, the example would be received as a new one. Scenes
        from before `older_than` that nothing refers to are deleted too.
        """
        statement = f"DELETE FROM examples WHERE removed_at < ? AND origin = '' AND {INTACT} RETURNING id"
        with self.transaction():
            purged = len(self.query(statement, format_time(older_than)))
            self.scenes.purge(older_than)
        return purged

    @property
    def counts(self) -> dict[str, int]:
        """Number of live examples of this device per label, in the order of their first use."""
        return dict(self.query(f"SELECT label, count(*) {OWN} GROUP BY label ORDER BY min(id)"))

    def spaces(self) -> dict[str, int]:
        """Return the number of live examples of this device per embedding space, in order of first use."""
        return dict(self.query(f"SELECT space, count(*) {OWN} GROUP BY space ORDER BY min(id)"))

    def __iter__(self) -> Iterator[Example]:
        return self.examples()

    def examples(
        self, space: str | None = None, *, thumbnails: bool = True, peers: bool = False
    ) -> Iterator[Example]:
        """Yield the live examples of one space or all, oldest first; the store may change meanwhile.

        Without `thumbnails` these are empty and not read from disk. `peers` includes the accepted examples
        of the fleet.
        """
        return self._table.read(space, thumbnails=thumbnails, peers=peers)

    def thumbnail(self, example_id: int) -> bytes | None:
        """Return the picture of a live or removed example; None without such an example."""
        statement = "SELECT checked_picture(id, thumbnail, picture_digest) FROM examples WHERE id = ?"
        rows = self.query(statement, example_id)
        return bytes(rows[0][0]) if rows else None

    def scene_id(self, example_id: int) -> int | None:
        """Return the id of the scene of a live or removed example; None without one."""
        rows = self.query("SELECT scene_id FROM examples WHERE id = ?", example_id)
        return rows[0][0] if rows else None

    def removed(self, limit: int = 256) -> list[Example]:
        """Return the removed examples of this device, latest removal first, without thumbnails."""
        statement = (
            f"SELECT {COLUMNS}, x'' FROM examples WHERE removed_at IS NOT NULL AND {INTACT} AND origin = ''"
            " ORDER BY removed_at DESC, id LIMIT ?"
        )
        return [read_example(row) for row in self.query(statement, limit)]

    def find_duplicate(
        self,
        space: str,
        region: str = WHOLE_FRAME,
        *,
        thumbnail: bytes = b"",
        embedding: Vector | None = None,
    ) -> str | None:
        """Return the label of a live example with the same picture or embedding; None without one."""
        return self._table.find_duplicate(space, region, thumbnail, embedding)

    def _now(self) -> str:
        return format_time(self._connection.now())

    def _update_each(self, statement: str, ids: Iterable[int], *values: object) -> list[tuple[int, str]]:
        """Run an UPDATE for each id; return the id and label of each row that was updated."""
        one_row = f"{statement} AND id = ? RETURNING id, label"
        return [row for each in ids for row in self.query(one_row, *values, index(each))]
