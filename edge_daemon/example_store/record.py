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

COLUMNS = "id, label, embedding, space, region, created_at, burst, source, origin"
COLUMNS_AND_PICTURE = f"{COLUMNS}, checked_picture(id, thumbnail, picture_digest)"
INTACT = "id NOT IN (SELECT id FROM temp.damaged)"
"""SQL condition: the check at the opening found no fault in the example."""

LIVE = f"FROM examples WHERE removed_at IS NULL AND {INTACT}"


@dataclass(frozen=True, slots=True)
class ExampleRecord:
    """An example to be stored, without an id; `created_at` None means now. See `types.Example`.

    `origin` is the device that taught the example, empty for this device. A peer's example has a `number`,
    its sequence number there, and starts in quarantine.
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


def content_digest(content: bytes) -> bytes | None:
    """Return the SHA-256 by which duplicates are found; None for empty content."""
    return hashlib.sha256(content).digest() if content else None


def pack(embedding: npt.ArrayLike) -> bytes:
    """Return an embedding as little-endian float32. Raises EmbeddingError naming the fault."""
    vector = np.asarray(embedding, dtype="<f4")
    if vector.ndim != 1 or vector.size == 0:
        raise EmbeddingError(f"an embedding is one row of numbers, got the shape {vector.shape}")
    if not np.isfinite(vector).all():
        raise EmbeddingError("the embedding holds NaN or infinite numbers")
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

    Raises StoreError for a row that was damaged after the check.
    """
    example_id, label, embedding, space, region, created_at, group, source, origin, thumbnail = row
    try:
        created, vector = datetime.fromisoformat(created_at), unpack(embedding)
    except (TypeError, ValueError) as exc:
        raise StoreError(f"example {example_id} ('{label}') is damaged: {exc}") from exc
    return Example(example_id, label, vector, space, region, created, group, source, origin, thumbnail)


class PictureCheck:
    """The SQL function `checked_picture`: a picture's bytes, empty if they differ from its digest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._logged: set[int] = set()

    def register(self, connection: sqlite3.Connection) -> None:
        """Add the function to a connection."""
        connection.create_function("checked_picture", 3, self._checked_picture)

    def _checked_picture(self, example_id: int, picture: bytes, digest: bytes | None) -> bytes:
        if content_digest(picture) == digest:
            return picture
        if example_id not in self._logged:
            self._logged.add(example_id)
            log.warning(
                "store '%s': the picture of example %d is damaged and left out", self._path, example_id
            )
        return b""
