"""How the rows of the store are selected and read as examples."""

from __future__ import annotations

import logging
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_daemon.domain.errors import StoreError
from edge_daemon.domain.types import Example
from edge_daemon.example_store.record import content_digest, unpack

log = logging.getLogger(__name__)

NARROW = "id, label, embedding, space, region, created_at, burst, source, origin"
WITH_PICTURE = f"{NARROW}, sound_picture(id, thumbnail, picture_digest)"
SOUND = "id NOT IN (SELECT id FROM temp.damaged)"
"""Holds for every example that the check at the opening found no fault in."""

LIVING = f"FROM examples WHERE removed_at IS NULL AND {SOUND}"


class SoundPictures:
    """The SQL function `sound_picture`: a picture that is not the one that was stored is left out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._named: set[int] = set()

    def serve(self, connection: sqlite3.Connection) -> None:
        """Give a connection the function."""
        connection.create_function("sound_picture", 3, self._sound_picture)

    def _sound_picture(self, number: int, picture: bytes, digest: bytes | None) -> bytes:
        if content_digest(picture) == digest:
            return picture
        if number not in self._named:
            self._named.add(number)
            log.warning("store '%s': the picture of example %d is damaged and left out", self._path, number)
        return b""


def stamp(moment: datetime) -> str:
    """Return a time as UTC in one fixed width, so that text compares as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def example_of(row: tuple[Any, ...]) -> Example:
    """Return the example of a row of `WITH_PICTURE`. Raises StoreError for one damaged since the check."""
    number, label, embedding, space, region, created_at, group, source, origin, thumbnail = row
    try:
        created, vector = datetime.fromisoformat(created_at), unpack(embedding)
    except (TypeError, ValueError) as exc:
        raise StoreError(f"example {number} ('{label}') is damaged: {exc}") from exc
    return Example(number, label, vector, space, region, created, group, source, origin, thumbnail)
