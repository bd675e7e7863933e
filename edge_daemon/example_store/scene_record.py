"""A stored scene: a picture of a region without objects, and the row that holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.integrity import row_checksum

SceneSource: TypeAlias = Literal["press", "automatic"]

MAX_SCENE_BYTES: Final = 256 * 1024
"""Largest picture of a scene: 160 x 160 pixels take 77,000 bytes uncompressed."""

SCENE_COLUMNS: Final = "id, region, created_at, source, checksum, picture"


@dataclass(frozen=True, slots=True)
class StoredScene:
    """A stored scene of a region; `picture` has the bytes of `SceneReference.to_bytes`."""

    id: int
    region: str
    created_at: datetime
    source: SceneSource
    picture: bytes = field(repr=False)


def scene_checksum(region: str, created_at: str, source: str, picture: bytes) -> bytes | None:
    """Return the checksum of a row of the table of scenes. Raises StoreError for an impossible size."""
    if not 0 < len(picture) <= MAX_SCENE_BYTES:
        raise StoreError(f"a scene has 1 to {MAX_SCENE_BYTES} bytes, got {len(picture)}")
    return row_checksum(region, created_at, source, picture)


def read_scene(row: tuple[object, ...]) -> StoredScene | None:
    """Return the scene of a row of `SCENE_COLUMNS`; None for a damaged row."""
    match row:
        case (
            int(scene_id),
            str(region),
            str(created),
            ("press" | "automatic") as source,
            checksum,
            bytes(picture),
        ):
            if checksum == row_checksum(region, created, source, picture):
                return StoredScene(scene_id, region, datetime.fromisoformat(created), source, picture)
    return None
