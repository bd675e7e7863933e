"""The stored scenes, read and written as scene references."""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import AbstractContextManager
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from edge_daemon.domain.errors import ImageError, StoreError
from edge_daemon.domain.types import region_prefix
from edge_daemon.example_store.scene_record import SceneSource
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.regions import Box
from edge_daemon.imaging.scene_reference import SceneReference

log = logging.getLogger(__name__)

MAX_CACHED = 16
"""Number of references kept in memory, 0.1 MB each."""

_EQUAL_SHARE = 0.02
"""Share of cells that may differ between a scene and a stored one that stands for it."""


class StoredScene(Struct, frozen=True):
    """A scene of the store, with its id. One that is not `automatic` was learned by a press."""

    reference: SceneReference
    learned_at: datetime
    automatic: bool
    id: int


class StoredScenes:
    """Reads and writes the scenes of a store. Owned by the store's thread."""

    def __init__(self, store: ExampleStore) -> None:
        self._store = store
        self._file_number = store.file_number
        self._references: dict[int, SceneReference | None] = {}

    @property
    def file_number(self) -> int:
        """Number of the store's file, in which the ids are valid."""
        return self._store.file_number

    def newest(self, region: str, box: Box | None = None) -> StoredScene | None:
        """Return a region's current scene; None without one, if it can't be read, or if of another box."""
        try:
            stored = self._store.scenes.newest(region)
        except StoreError as exc:
            log.warning("%sthe scene can't be read: %s", region_prefix(region), exc)
            return None
        if stored is None:
            return None
        reference = self._decode(stored.id, stored.picture)
        if reference is None or not _shows(reference, box):
            return None
        return StoredScene(reference, stored.created_at, stored.source == "automatic", stored.id)

    def transaction(self) -> AbstractContextManager[None]:
        """Make the changes of a `with` block one commit, after an error none of them. Raises StoreError."""
        return self._store.transaction()

    def add(
        self, region: str, reference: SceneReference, *, automatic: bool, at: datetime, box: Box | None = None
    ) -> int:
        """Store a scene as a region's current one; return its id. Raises StoreError."""
        source: SceneSource = "automatic" if automatic else "press"
        reference = replace(reference, box=box)
        return self._store.scenes.add(region, reference.to_bytes(), source, at).id

    def same_scene(self, region: str, reference: SceneReference, box: Box | None = None) -> int | None:
        """Return the id of the region's current scene if it hardly differs. Raises StoreError."""
        stored = self._store.scenes.newest(region)
        if stored is None:
            return None
        other = self._decode(stored.id, stored.picture)
        if other is None or not _shows(other, box) or other.difference(reference) > _EQUAL_SHARE:
            return None
        return stored.id

    def remove(self, scene_id: int) -> None:
        """Remove a scene, so that the one before it is current again. Raises StoreError."""
        self._store.scenes.remove(scene_id)

    def remove_all(self, region: str) -> None:
        """Remove every scene of a region. Raises StoreError."""
        while (stored := self._store.scenes.newest(region)) is not None:
            self._store.scenes.remove(stored.id)

    def matching(self, scene_ids: Collection[int], reference: SceneReference) -> frozenset[int]:
        """Return which of these scenes are that of `reference`; their light may differ."""
        return frozenset(
            scene_id
            for scene_id in scene_ids
            if (other := self._read(scene_id)) is not None and other.is_same_scene(reference)
        )

    def of_example(self, example_id: int) -> SceneReference | None:
        """Return the scene in which an example was taught; None without one. Raises StoreError."""
        scene_id = self._store.scene_id(example_id)
        return None if scene_id is None else self._read(scene_id)

    def _read(self, scene_id: int) -> SceneReference | None:
        if self._file_number != self.file_number:
            self._file_number = self.file_number
            self._references.clear()
        if scene_id not in self._references:
            try:
                stored = self._store.scenes.get(scene_id)
            except StoreError as exc:
                log.debug("scene %d can't be read now: %s", scene_id, exc)
                return None
            self._remember(scene_id, None if stored is None else self._decode(scene_id, stored.picture))
        return self._references[scene_id]

    def _decode(self, scene_id: int, picture: bytes) -> SceneReference | None:
        try:
            return SceneReference.from_bytes(picture)
        except ImageError as exc:
            log.warning("scene %d is left out: %s", scene_id, exc)
            return None

    def _remember(self, scene_id: int, reference: SceneReference | None) -> None:
        self._references[scene_id] = reference
        while len(self._references) > MAX_CACHED:
            self._references.pop(next(iter(self._references)))


def _shows(reference: SceneReference, box: Box | None) -> bool:
    """Return whether a stored scene shows a region with this box, or may do so as its box is unknown."""
    return reference.box is None or reference.box == box
