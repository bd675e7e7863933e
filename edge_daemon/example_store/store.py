"""The example store: one SQLite file that survives power cuts, full disks and kill -9."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from edge_daemon.domain.errors import EmbeddingError, NoExamplesError, StoreError
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.types import WHOLE_FRAME, Example
from edge_daemon.example_store.checkpoint import Checkpoint
from edge_daemon.example_store.database import connect, leave_out_damaged
from edge_daemon.example_store.integrity import TO_BE_SEALED, in_words
from edge_daemon.example_store.process_lock import StoreLock
from edge_daemon.example_store.record import ExampleRecord, content_digest, pack
from edge_daemon.example_store.recovery import connect_or_recover, connect_or_replace
from edge_daemon.example_store.rows import (
    LIVING,
    NARROW,
    SOUND,
    WITH_PICTURE,
    SoundPictures,
    example_of,
    stamp,
)
from edge_daemon.system.disk import disk_refuses
from edge_daemon.system.sqlite import named

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

log = logging.getLogger(__name__)

_OWN = f"{LIVING} AND origin = ''"
_BURY = "UPDATE examples SET removed_at = ? WHERE removed_at IS NULL"
_NEVER_SEEN = -1
_PAGE = 256  # examples read at once: a few megabytes with their thumbnails


def utc_now() -> datetime:
    """Return the wall clock, timezone-aware."""
    return datetime.now(UTC)


class ExampleStore:
    """Taught examples on disk. Removed ones stay as tombstones until `purge`, so they can be restored.

    A call that changes something returns after the commit reached the disk (WAL, synchronous FULL); one
    that fails changed nothing. `transaction` joins several calls. Owned by one thread at a time, in the
    daemon the pipeline's. Another process may use the same file; a call waits `busy_s` seconds for its
    lock. Every failure of the file is a StoreError.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        busy_s: float = 2.0,
        now: Callable[[], datetime] = utc_now,
        recover: bool = False,
    ) -> None:
        self.path = Path(path)
        self._now = now
        self._busy_s = busy_s
        self._checkpoint = Checkpoint()
        self._claim = StoreLock(self.path)
        self._trouble: StoreError | None = None
        self._pictures = SoundPictures(self.path)
        if recover:
            self._connection, self._trouble = connect_or_recover(self.path, busy_s, now)
        else:
            with named(self.path):
                self._connection = connect(self.path, busy_s)
        self._check()

    @classmethod
    def open_or_recover(cls, path: str | Path, *, busy_s: float = 2.0) -> Self:
        """Open the store for its owner, who goes on whatever the disk did, and log what is amiss.

        Of a corrupt file all that can be read goes into a new one, and the old is kept as
        `<name>.corrupt-<UTC time>`. While the disk is full or read-only the examples are in memory, and
        each change is refused.
        """
        store = cls(path, busy_s=busy_s, recover=True)
        if store.damaged:
            log.warning(
                "store '%s': left out, and kept in the file: %s", path, in_words(store.damaged.values())
            )
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Fold the journal into the file and release it; harmless when closed."""
        self._claim.release()
        with named(self.path):
            self._connection.close()

    def wait_for_lock(self, busy_s: float) -> None:
        """Set how long a call waits for another process's lock: 0 for an owner that must not block."""
        self._busy_s = busy_s
        self.query(f"PRAGMA busy_timeout = {round(busy_s * 1000)}")

    def claim(self) -> int | None:
        """Claim the file for this process, until `close`; return another process that has claimed it."""
        return self._claim.take()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the block's changes one commit: on leaving all are on disk, after any error none is."""
        with named(self.path):
            joined = self._connection.in_transaction
        if joined:
            yield
            return
        self._return_to_disk()
        self.query("BEGIN IMMEDIATE")
        try:
            yield
            self.query("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self.query("ROLLBACK")
            raise

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
        """Keep one example and return it once it is on disk.

        Raises LabelError, StoreError, and EmbeddingError when the embedding is not finite, zero, or of
        another length than the others of its space.
        """
        return self.keep(ExampleRecord(embedding, label, space, region, group, source, thumbnail, created_at))

    def keep(self, draft: ExampleRecord) -> Example:
        """Do what `add` does with the values of `draft`."""
        label = check_label(draft.label)
        created = stamp(draft.created_at or self._now())
        with self.transaction():
            blob = self._packed(draft.embedding, draft.space)
            rows = self.query(
                f"INSERT INTO examples ({NARROW}, thumbnail, number, probation,"
                " picture_digest, embedding_digest, checksum)"
                f" VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {TO_BE_SEALED})"
                f" RETURNING {NARROW}, thumbnail",
                *(label, blob, draft.space, draft.region, created, draft.group, draft.source, draft.origin),
                *(draft.thumbnail, draft.number, bool(draft.origin)),
                *(content_digest(draft.thumbnail), content_digest(blob)),
            )
        return example_of(rows[0])

    def undo(self) -> Example:
        """Take back the living example added last, never a peer's, and return it. Raises NoExamplesError."""
        with self.transaction():
            rows = self.query(f"SELECT {WITH_PICTURE} {_OWN} ORDER BY id DESC LIMIT 1")
            if not rows:
                raise NoExamplesError("nothing to undo: the store holds no examples")
            last = example_of(rows[0])
            self._each(_BURY, [last.id], stamp(self._now()))
        return last

    def clear(self, label: str | None = None) -> list[int]:
        """Take back all, or all of one label, peers' too; their ids.

        Raises NoExamplesError for a label that has none.
        """
        with self.transaction():
            statement = f"{_BURY} AND (?2 IS NULL OR label = ?2) RETURNING id"
            rows = self.query(statement, stamp(self._now()), label)
            if label is not None and not rows:
                raise NoExamplesError(f"the store holds no examples of '{label}'")
        return [row[0] for row in rows]

    def remove(self, ids: Iterable[int]) -> list[int]:
        """Take back the living ones among `ids`; which those were."""
        with self.transaction():
            return self._each(_BURY, ids, stamp(self._now()))

    def restore(self, ids: Iterable[int]) -> list[int]:
        """Bring the removed ones among `ids` back, in their old places; which those were."""
        with self.transaction():
            return self._each("UPDATE examples SET removed_at = NULL WHERE removed_at IS NOT NULL", ids)

    def recover(self) -> list[int]:
        """Bring back what the last undo, clear or remove took; their ids. Raises NoExamplesError."""
        statement = (
            "UPDATE examples SET removed_at = NULL"
            f" WHERE removed_at = (SELECT max(removed_at) FROM examples WHERE {SOUND})"
            f" AND {SOUND} RETURNING id"
        )
        with self.transaction():
            rows = self.query(statement)
            if not rows:
                raise NoExamplesError("nothing to restore: no example was removed")
        return [row[0] for row in rows]

    def relabel(self, ids: Iterable[int], label: str) -> list[int]:
        """Give the living ones among `ids` another label; which those were. Raises LabelError."""
        with self.transaction():
            return self._each(
                "UPDATE examples SET label = ? WHERE removed_at IS NULL", ids, check_label(label)
            )

    def move(self, embeddings: Iterable[tuple[int, Vector]], space: str) -> int:
        """Give examples, by id, a new embedding in another space, all or none; how many."""
        statement = "UPDATE examples SET space = ?, embedding = ?, embedding_digest = ?"
        moved = 0
        with self.transaction():
            for one, vector in embeddings:
                blob = self._packed(vector, space)
                moved += len(self._each(f"{statement} WHERE true", [one], space, blob, content_digest(blob)))
        return moved

    def purge(self, older_than: datetime) -> int:
        """Forget for good what was removed before `older_than`; how many.

        Not a peer's: it would come again, as something new.
        """
        statement = f"DELETE FROM examples WHERE removed_at < ? AND origin = '' AND {SOUND} RETURNING id"
        with self.transaction():
            return len(self.query(statement, stamp(older_than)))

    def checkpoint_at_rest(self, now_s: float) -> None:
        """Fold the journal into the file if changes were made, and none for a while; waits for nobody."""
        if self._checkpoint.is_due(self._connection.total_changes, now_s):
            self.query("PRAGMA wal_checkpoint(PASSIVE)")

    def changed_elsewhere(self) -> bool:
        """Whether another process has changed the store since the last call; costs no disk access.

        A store in memory is on disk again, and counts as changed, once its disk can be written.
        """
        if self._trouble is not None:
            with suppress(StoreError):
                self._return_to_disk()
        version = int(self.query("PRAGMA data_version")[0][0])
        changed = version != self._data_version
        if changed:
            self._check()
        return changed

    @property
    def counts(self) -> dict[str, int]:
        """Living examples of our own per label, in the order of their first use."""
        return dict(self.query(f"SELECT label, count(*) {_OWN} GROUP BY label ORDER BY min(id)"))

    def spaces(self) -> dict[str, int]:
        """Living examples of our own per embedding space, in the order of their first use."""
        return dict(self.query(f"SELECT space, count(*) {_OWN} GROUP BY space ORDER BY min(id)"))

    def __iter__(self) -> Iterator[Example]:
        return self.examples()

    def examples(
        self, space: str | None = None, *, thumbnails: bool = True, peers: bool = False
    ) -> Iterator[Example]:
        """Yield living examples as they were added, of one space or all; the store may change meanwhile.

        Without `thumbnails` these are empty and not read from disk. With `peers`, those of the fleet that
        count are among them.
        """
        columns = WITH_PICTURE if thumbnails else f"{NARROW}, x''"
        statement = (
            f"SELECT {columns} {LIVING} AND id > ?1 AND (?2 IS NULL OR space = ?2)"
            " AND (origin = '' OR (?3 AND NOT probation)) ORDER BY id LIMIT ?4"
        )
        last = 0
        while rows := self.query(statement, last, space, peers, _PAGE):
            yield from map(example_of, rows)
            last = rows[-1][0]

    def thumbnail(self, number: int) -> bytes | None:
        """Return the picture of an example, living or removed; None when there is no such example."""
        statement = "SELECT sound_picture(id, thumbnail, picture_digest) FROM examples WHERE id = ?"
        rows = self.query(statement, number)
        return bytes(rows[0][0]) if rows else None

    def removed(self, limit: int = _PAGE) -> list[Example]:
        """Return what was taken back of our own and not purged, the latest first, without thumbnails."""
        statement = (
            f"SELECT {NARROW}, x'' FROM examples WHERE removed_at IS NOT NULL AND {SOUND} AND origin = ''"
        )
        return [
            example_of(row) for row in self.query(f"{statement} ORDER BY removed_at DESC, id LIMIT ?", limit)
        ]

    def twin(
        self,
        space: str,
        region: str = WHOLE_FRAME,
        *,
        thumbnail: bytes = b"",
        embedding: Vector | None = None,
    ) -> str | None:
        """Return the label under which this very picture or embedding is taught already, or None."""
        contents = {"picture": thumbnail, "embedding": b"" if embedding is None else pack(embedding)}
        for kind, content in contents.items():
            statement = f"SELECT label {_OWN} AND space = ? AND region = ? AND {kind}_digest = ? LIMIT 1"
            if rows := self.query(statement, space, region, content_digest(content)):
                return str(rows[0][0])
        return None

    def _check(self) -> None:
        """Find the damaged examples; every other query passes them over."""
        self._pictures.serve(self._connection)
        self._data_version = int(self.query("PRAGMA data_version")[0][0])
        with named(self.path):
            self.damaged = leave_out_damaged(self._connection)

    def _return_to_disk(self) -> None:
        """Leave the store in memory for the file, if the disk can be written now. Raises StoreError."""
        if self._trouble is None:
            return
        if disk_refuses(self.path):
            raise self._trouble
        connection = connect_or_replace(self.path, self._busy_s, self._now)
        self._connection.close()
        self._connection, self._trouble = connection, None
        self._check()
        self._data_version = _NEVER_SEEN
        log.info("store '%s' is on disk again", self.path)

    def _packed(self, embedding: Vector, space: str) -> bytes:
        blob = pack(embedding)
        others = self.query(f"SELECT length(embedding) {LIVING} AND space = ? LIMIT 1", space)
        if others and others[0][0] != len(blob):
            had, got = others[0][0] // 4, len(blob) // 4
            raise EmbeddingError(f"an embedding of {got} numbers among those of {had} in space '{space}'")
        return blob

    def _each(self, statement: str, ids: Iterable[int], *values: object) -> list[int]:
        """Run an UPDATE for each id; the ids of the rows it met."""
        one_row = f"{statement} AND id = ? RETURNING id"
        return [row[0] for one in ids for row in self.query(one_row, *values, int(one))]

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement, for the other tables of this room. Raises StoreError."""
        with named(self.path):
            return self._connection.execute(statement, values).fetchall()
