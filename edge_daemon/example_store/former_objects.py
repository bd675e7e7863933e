"""Object embeddings of earlier states of the program, which are made again before they are compared.

They are of the object on one colour; now they are pooled under its mask, see imaging/object_embedder.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edge_daemon.example_store.connection import StoreConnection
from edge_daemon.example_store.record import LIVE, content_digest, pack

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector


class FormerObjects:
    """The ids of the examples with such an embedding. Owned by the store's thread. Raises StoreError."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def ids(self, space: str | None = None) -> list[int]:
        """Return the live examples, of one space or all, that have a former object embedding."""
        statement = (
            f"SELECT id {LIVE} AND (?1 IS NULL OR space = ?1)"
            " AND id IN (SELECT example FROM former_objects) ORDER BY id"
        )
        return [int(example) for (example,) in self._connection.query(statement, space)]

    def add(self, example_id: int) -> None:
        """Note that an example has a former object embedding."""
        self._connection.query("INSERT INTO former_objects VALUES (?)", example_id)

    def replace(self, embeddings: Mapping[int, Vector | None]) -> None:
        """Give examples, by id, a present object embedding; with None they lose it and their scene."""
        with self._connection.transaction():
            for example_id, vector in embeddings.items():
                blob = None if vector is None else pack(vector)
                self._connection.query(
                    "UPDATE examples SET object_embedding = ?1, object_digest = ?2,"
                    " scene_id = CASE WHEN ?1 IS NULL THEN NULL ELSE scene_id END WHERE id = ?3",
                    *(blob, content_digest(blob or b""), example_id),
                )
                self.discard(example_id)

    def discard(self, example_id: int) -> None:
        """Note that an example has no former object embedding."""
        self._connection.query("DELETE FROM former_objects WHERE example = ?", example_id)
