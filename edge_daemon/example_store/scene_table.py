"""The scenes of the store: pictures of the regions without objects, in which examples are taught."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final

from edge_daemon.example_store.connection import StoreConnection
from edge_daemon.example_store.record import format_time
from edge_daemon.example_store.scene_record import (
    SCENE_COLUMNS,
    SceneSource,
    StoredScene,
    read_scene,
    scene_checksum,
)

log = logging.getLogger(__name__)

SCENES_PER_REGION: Final = 16
"""Scenes kept of a region. The next one replaces the oldest that no example refers to, else the oldest."""

_USED = "EXISTS (SELECT 1 FROM examples WHERE scene_id = scenes.id)"
_NEWEST = "id IN (SELECT max(id) FROM scenes WHERE removed_at IS NULL GROUP BY region)"


class SceneTable:
    """The table of scenes. The newest one that is not removed is its region's current scene.

    A removed scene stays while an example refers to it. Owned by the store's thread. Raises StoreError.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection
        self._logged: set[int] = set()

    def add(
        self, region: str, picture: bytes, source: SceneSource, created_at: datetime | None = None
    ) -> StoredScene:
        """Store a scene as the current one of its region; return it once it is on disk.

        An automatic scene replaces the earlier automatic ones that no example refers to.
        """
        created_at = created_at or self._connection.now()
        with self._connection.transaction():
            scene = self._insert(region, picture, source, created_at, removed_at=None)
            if source == "automatic":
                self._connection.query(
                    f"DELETE FROM scenes WHERE region = ? AND source = ? AND id < ? AND NOT {_USED}",
                    *(region, source, scene.id),
                )
            self._limit(region, scene.id)
        return scene

    def adopt(self, scene: StoredScene) -> int:
        """Return the id of the same scene in this store; store it if it is new, not as the current one."""
        with self._connection.transaction():
            statement = "SELECT id FROM scenes WHERE region = ? AND picture = ?"
            if rows := self._connection.query(statement, scene.region, scene.picture):
                return int(rows[0][0])
            now = format_time(self._connection.now())
            added = self._insert(scene.region, scene.picture, scene.source, scene.created_at, removed_at=now)
            self._limit(scene.region, added.id)
        return added.id

    def get(self, scene_id: int) -> StoredScene | None:
        """Return a scene, also a removed one; None for a deleted or damaged one."""
        rows = self._connection.query(f"SELECT {SCENE_COLUMNS} FROM scenes WHERE id = ?", scene_id)
        scene = read_scene(rows[0]) if rows else None
        if rows and scene is None and scene_id not in self._logged:
            self._logged.add(scene_id)
            log.warning("store '%s': scene %d is damaged and left out", self._connection.path, scene_id)
        return scene

    def newest(self, region: str) -> StoredScene | None:
        """Return the current scene of a region; None without one. A damaged one is left out."""
        statement = "SELECT id FROM scenes WHERE region = ? AND removed_at IS NULL ORDER BY id DESC"
        scenes = (self.get(scene_id) for (scene_id,) in self._connection.query(statement, region))
        return next((scene for scene in scenes if scene is not None), None)

    def remove(self, scene_id: int) -> bool:
        """Remove a scene, so that the one before it is current again; return whether it was stored."""
        statement = "UPDATE scenes SET removed_at = ? WHERE id = ? RETURNING id"
        with self._connection.transaction():
            return bool(self._connection.query(statement, format_time(self._connection.now()), scene_id))

    def purge(self, older_than: datetime) -> None:
        """Delete the scenes from before `older_than` that are not current and that no example refers to."""
        self._connection.query(
            "DELETE FROM scenes WHERE coalesce(removed_at, created_at) < ?"
            f" AND NOT {_USED} AND NOT {_NEWEST}",
            format_time(older_than),
        )

    def _insert(
        self, region: str, picture: bytes, source: SceneSource, created_at: datetime, removed_at: str | None
    ) -> StoredScene:
        created = format_time(created_at)
        rows = self._connection.query(
            "INSERT INTO scenes (region, created_at, source, removed_at, checksum, picture)"
            " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
            *(region, created, source, removed_at, scene_checksum(region, created, source, picture), picture),
        )
        return StoredScene(rows[0][0], region, datetime.fromisoformat(created), source, picture)

    def _limit(self, region: str, added_id: int) -> None:
        """Delete the scenes of a region that are too many; never the one just added or the current one."""
        self._connection.query(
            "DELETE FROM scenes WHERE id IN (SELECT id FROM scenes WHERE region = ?"
            f" ORDER BY id = ? DESC, {_NEWEST} DESC, {_USED} DESC, id DESC LIMIT -1 OFFSET ?)",
            *(region, added_id, SCENES_PER_REGION),
        )
