"""An example's record: the values to store, their bytes, and the columns and rows that hold them."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_daemon.domain.errors import EmbeddingError, StoreError
from edge_daemon.domain.types import WHOLE_FRAME, Example

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.domain.types import Vector

log = logging.getLogger(__name__)

COLUMNS = (
    "id, label, embedding, space, region, created_at, burst, source, origin, scene_id, boot_id, uptime_s,"
    " checked_object(id, object_embedding, object_digest)"
)
COLUMNS_AND_PICTURE = f"{COLUMNS}, checked_picture(id, thumbnail, picture_digest)"
DAMAGED = b""
"""Content of a damaged picture or object embedding."""

INTACT = "id NOT IN (SELECT id FROM temp.damaged)"
"""SQL condition: the check at the opening found no fault in the example."""

LIVE = f"FROM examples WHERE removed_at IS NULL AND {INTACT}"
OWN = f"{LIVE} AND origin = ''"
"""SQL: the live examples of all devices, and of this device."""


@dataclass(frozen=True, slots=True)
class ExampleRecord:
    """An example to be stored, without an id; `created_at` None means now. See `types.Example`.

    `origin` is the device that taught the example, empty for this device. A peer's example has a `number`,
    its sequence number there, and starts in quarantine. `object_embedding` has the length of `embedding`.
    """

    embedding: Vector
    label: str
    space: str = ""
    region: str = WHOLE_FRAME
    group: str = ""
    source: str = ""
    thumbnail: bytes = field(default=b"", repr=False)
    created_at: datetime | None = None
    origin: str = ""
    number: int | None = None
    scene_id: int | None = None
    object_embedding: Vector | None = None
    boot_id: str = ""
    uptime_s: float | None = None


def content_digest(content: bytes) -> bytes | None:
    """Return the SHA-256 by which duplicates are found; None for empty content."""
    return hashlib.sha256(content).digest() if content else None


def pack(embedding: npt.ArrayLike) -> bytes:
    """Return an embedding as little-endian float32. Raises EmbeddingError naming the fault."""
    try:
        with np.errstate(over="ignore"):
            vector = np.asarray(embedding, dtype="<f4")
    except (TypeError, ValueError) as exc:
        raise EmbeddingError("an embedding must be a list of numbers") from exc
    if vector.ndim != 1 or vector.size == 0:
        raise EmbeddingError(f"an embedding is one row of numbers, got the shape {vector.shape}")
    if not np.isfinite(vector).all():
        raise EmbeddingError("the embedding holds NaN or infinite numbers")
    if np.linalg.norm(vector.astype(np.float64)) > np.finfo(np.float32).max:
        raise EmbeddingError("the numbers of the embedding are too large; it has no length as float32")
    if not vector.any():
        raise EmbeddingError("the embedding is all zeros; nothing is similar to it")
    return vector.tobytes()


def unpack(blob: bytes) -> Vector:
    """Return the read-only float32 vector that `pack` wrote."""
    return np.frombuffer(blob, dtype="<f4").astype(np.float32, copy=False)


def format_time(moment: datetime) -> str:
    """Return a time as UTC text of fixed width, which sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def read_example(row: tuple[Any, ...]) -> Example:
    """Return the example of a row of `COLUMNS_AND_PICTURE`.

    An example whose object embedding is damaged has no scene either: it would be one of the empty scene.
    Raises StoreError for a row that was damaged after the check.
    """
    example_id, label, embedding, space, region, created_at, group, source, origin, *rest = row
    scene_id, boot_id, uptime_s, object_embedding, thumbnail = rest
    try:
        created, vector = datetime.fromisoformat(created_at), unpack(embedding)
    except (TypeError, ValueError) as exc:
        raise StoreError(f"example {example_id} ('{label}') is damaged: {exc}") from exc
    return Example(
        *(example_id, label, vector, space, region, created, group, source, origin, thumbnail),
        scene_id=None if object_embedding == DAMAGED else scene_id,
        object_embedding=unpack(object_embedding) if object_embedding else None,
        boot_id=boot_id,
        uptime_s=uptime_s,
    )


class ContentCheck:
    """SQL functions that compare a content with its digest and leave out a damaged one.

    `checked_picture` returns a picture's bytes, empty if damaged. `checked_object` returns an object
    embedding's bytes, NULL if there is none, and DAMAGED.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._logged: set[tuple[str, int]] = set()

    def register(self, connection: sqlite3.Connection) -> None:
        """Add the functions to a connection."""
        connection.create_function("checked_picture", 3, self._checked_picture)
        connection.create_function("checked_object", 3, self._checked_object)

    def _checked_picture(self, example_id: int, picture: bytes, digest: bytes | None) -> bytes:
        return picture if self._is_intact("picture", example_id, picture, digest) else DAMAGED

    def _checked_object(self, example_id: int, embedding: bytes | None, digest: bytes | None) -> bytes | None:
        return embedding if self._is_intact("object embedding", example_id, embedding, digest) else DAMAGED

    def _is_intact(self, kind: str, example_id: int, content: bytes | None, digest: bytes | None) -> bool:
        if content_digest(content or b"") == digest:
            return True
        if (kind, example_id) not in self._logged:
            self._logged.add((kind, example_id))
            log.warning(
                "store '%s': the %s of example %d is damaged and left out", self._path, kind, example_id
            )
        return False
