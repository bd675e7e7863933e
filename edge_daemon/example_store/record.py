"""An example on its way into the store: checked, but without an id yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.domain.types import WHOLE_FRAME

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.domain.types import Vector


@dataclass(frozen=True, slots=True)
class ExampleRecord:
    """What the store is asked to keep. `created_at` None means now; see `types.Example` for the rest.

    `origin` names the peer that taught it, empty for this device; then `number` is what the peer calls it,
    and it is kept on probation.
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
    """Return the SHA-256 that twins are recognised by; None for nothing."""
    return hashlib.sha256(content).digest() if content else None


def pack(embedding: npt.ArrayLike) -> bytes:
    """Return an embedding as little-endian float32, or raise EmbeddingError saying why it is none."""
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
