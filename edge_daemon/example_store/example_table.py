"""The table of examples: rows written and read, without the history of changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.domain.types import Example
from edge_daemon.example_store.connection import StoreConnection
from edge_daemon.example_store.integrity import UNSET_CHECKSUM
from edge_daemon.example_store.record import (
    COLUMNS,
    COLUMNS_AND_PICTURE,
    LIVE,
    OWN,
    ExampleRecord,
    content_digest,
    format_time,
    pack,
    read_example,
)

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

_INSERT = (
    "INSERT INTO examples (label, space, region, burst, source, created_at, origin, number, probation,"
    " scene_id, boot_id, uptime_s, picture_digest, embedding_digest, object_digest,"
    " embedding, object_embedding, thumbnail, checksum)"
    f" VALUES ({'?, ' * 18}{UNSET_CHECKSUM}) RETURNING {COLUMNS}, thumbnail"
)
_PAGE = 256  # examples read at once: a few megabytes with their thumbnails


class ExampleTable:
    """The rows of the examples. Writing calls are within a transaction. Raises StoreError.

    Owned by the store's thread.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def insert(self, record: ExampleRecord, label: str) -> Example:
        """Add an example with its normalised label.

        Raises EmbeddingError for an embedding that is not finite, is zero, or has another length than the
        others of its space.
        """
        created = format_time(record.created_at or self._connection.now())
        blob, object_blob = self._pack_both(record.embedding, record.object_embedding, record.space)
        rows = self._connection.query(
            _INSERT,
            *(label, record.space, record.region, record.group, record.source, created),
            *(record.origin, record.number, bool(record.origin)),
            *(record.scene_id, record.boot_id, record.uptime_s),
            *map(content_digest, (record.thumbnail, blob, object_blob or b"")),
            *(blob, object_blob, record.thumbnail),
        )
        return read_example(rows[0])

    def replace_embeddings(
        self,
        embeddings: Iterable[tuple[int, Vector]],
        space: str,
        object_embeddings: Mapping[int, Vector],
    ) -> int:
        """Give examples, by id, a new embedding in another space; return their number.

        An example without a new object embedding loses the old one, which is of another space, and with it
        its scene: it would be an example of the empty scene.
        """
        statement = (
            "UPDATE examples SET space = ?, embedding = ?, embedding_digest = ?, scene_id ="
            " CASE WHEN object_embedding IS NULL OR ? THEN scene_id END,"
            " object_embedding = ?, object_digest = ? WHERE id = ? RETURNING id"
        )
        replaced = 0
        for example_id, vector in embeddings:
            object_vector = object_embeddings.get(example_id)
            blob, object_blob = self._pack_both(vector, object_vector, space)
            rows = self._connection.query(
                statement,
                *(space, blob, content_digest(blob), object_blob is not None),
                *(object_blob, content_digest(object_blob or b""), int(example_id)),
            )
            replaced += len(rows)
        return replaced

    def read(self, space: str | None, *, thumbnails: bool, peers: bool) -> Iterator[Example]:
        """Yield the live examples, see `ExampleStore.examples`."""
        columns = COLUMNS_AND_PICTURE if thumbnails else f"{COLUMNS}, x''"
        statement = (
            f"SELECT {columns} {LIVE} AND id > ? AND space = coalesce(?, space)"
            " AND (origin = '' OR (? AND NOT probation)) ORDER BY id LIMIT ?"
        )
        last = 0
        while rows := self._connection.query(statement, last, space, peers, _PAGE):
            yield from map(read_example, rows)
            last = rows[-1][0]

    def find_duplicate(
        self, space: str, region: str, thumbnail: bytes, embedding: Vector | None
    ) -> str | None:
        """Return the label of a live example of this device with the same picture or embedding, or None."""
        contents = {"picture": thumbnail, "embedding": b"" if embedding is None else pack(embedding)}
        for kind, content in contents.items():
            statement = f"SELECT label {OWN} AND space = ? AND region = ? AND {kind}_digest = ? LIMIT 1"
            if rows := self._connection.query(statement, space, region, content_digest(content)):
                return str(rows[0][0])
        return None

    def _pack_both(
        self, embedding: Vector, object_embedding: Vector | None, space: str
    ) -> tuple[bytes, bytes | None]:
        """Return the bytes of an embedding and its object embedding, see `insert` for the errors."""
        blob = pack(embedding)
        others = self._connection.query(f"SELECT length(embedding) {LIVE} AND space = ? LIMIT 1", space)
        if others and others[0][0] != len(blob):
            expected, got = others[0][0] // 4, len(blob) // 4
            raise EmbeddingError(
                f"an embedding of {counted(got, 'number')} among those of {expected} in space '{space}'"
            )
        object_blob = None if object_embedding is None else pack(object_embedding)
        if object_blob is not None and len(object_blob) != len(blob):
            raise EmbeddingError(
                f"an object embedding of {counted(len(object_blob) // 4, 'number')} "
                f"beside one of {len(blob) // 4}"
            )
        return blob, object_blob
