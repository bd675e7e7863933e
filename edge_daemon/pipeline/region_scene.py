"""The scene of one region: its model, its presses, and its row in the store."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from edge_daemon.domain.errors import EdgeError, RequestError
from edge_daemon.domain.events import Event, SceneChanged, SceneLearned, SceneStatus
from edge_daemon.domain.frame_timing import FrameTiming
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame, region_prefix
from edge_daemon.imaging.regions import Box
from edge_daemon.imaging.scene_model import SceneModel, SceneUpdate
from edge_daemon.imaging.scene_press import ScenePress
from edge_daemon.imaging.scene_reference import SceneReference
from edge_daemon.teaching.stored_scenes import StoredScenes

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

log = logging.getLogger(__name__)

STORE_INTERVAL_S = 3600.0
"""Shortest time between two automatic scenes in the store that no example refers to."""


class LearnedScene(Struct, frozen=True):
    """A scene and its origin; `scene_id` is its id in the store, None if it is not stored.

    The id is valid in the store's file `file_number`. `learned_s` is the monotonic time at which the scene
    was learned, None for a scene of an earlier run.
    """

    reference: SceneReference
    learned_at: datetime
    automatic: bool
    scene_id: int | None = None
    learned_s: float | None = None
    file_number: int = 0

    def age_s(self, clock: Clock) -> float:
        """Return the age, independent of the wall clock where it can be."""
        if self.learned_s is not None:
            return clock.monotonic() - self.learned_s
        return max(0.0, (clock.utc() - self.learned_at).total_seconds())


class RegionScene:
    """Keeps the scene of a region. Owned by the pipeline thread.

    A scene from the store is used until the frames show that it no longer fits. That of another `box` (None:
    the whole frame) is not used.
    """

    def __init__(self, region: str, model: SceneModel, archive: StoredScenes, box: Box | None = None) -> None:
        self.region = region
        self._model = model
        self._archive = archive
        self._box = box
        self._learned: LearnedScene | None = None
        self._press: ScenePress | None = None
        self._stored_s = float("-inf")
        self._reported: SceneStatus | None = None
        self._load()

    @property
    def reference(self) -> SceneReference | None:
        """The scene that frames are compared with; None while none is known."""
        return self._model.reference

    @property
    def status(self) -> SceneStatus:
        """State of the scene, and the origin of the one that is known."""
        learned = self._learned if self._model.state in ("known", "none") else None
        if learned is None:
            return SceneStatus(self.region, self._model.state)
        return SceneStatus(self.region, self._model.state, learned.learned_at, learned.automatic)

    @property
    def learned(self) -> LearnedScene | None:
        """The scene in use; None while none is known."""
        return self._learned

    def observe(self, frame: Frame, image: Image, *, recognised: bool) -> Iterator[Event]:
        """Process the region's picture; yield what changed. `recognised`: it shows a taught object."""
        update = self._model.update(image, frame.captured_s, recognised=recognised)
        if update is SceneUpdate.CHANGED:
            self._learned = None
            log.warning("%sthe scene changed; it is learned again", region_prefix(self.region))
            yield SceneChanged(self.region, frame.seq, automatic=True)
        elif update is not None and self._model.reference is not None:
            known = self._learned
            automatic = known is None or known.automatic
            self._learned = LearnedScene(
                self._model.reference, frame.captured_at, automatic, learned_s=frame.captured_s
            )
            if update is SceneUpdate.LEARNED:
                log.info("%sthe scene is known", region_prefix(self.region))
                yield SceneLearned(self.region, frame.seq, automatic=True)
            else:
                log.info("%ssomething left the scene, which is corrected", region_prefix(self.region))
            self._store_seldom(frame.captured_s)
        yield from self.report()

    def shift_time(self, step: timedelta) -> None:
        """Correct the time of a scene of this run, after the wall clock was set forward by `step`."""
        if self._learned is not None and self._learned.learned_s is not None:
            self._learned = replace(self._learned, learned_at=self._learned.learned_at + step)

    def begin_press(self, pressed_s: float, timing: FrameTiming) -> None:
        """Learn the scene from the frames captured after `pressed_s` (monotonic), of a camera's `timing`."""
        self._press = ScenePress(pressed_s, timing, self._model.restless)

    def continue_press(self, frame: Frame, image: Image) -> LearnedScene | None:
        """Give the press a frame; return the new scene once it is learned. It is not stored or used yet.

        Raises RequestError if the press is spoiled.
        """
        if self._press is None:
            return None
        try:
            reference = self._press.add(image, frame.captured_s)
        except RequestError:
            self._press = None
            raise
        if reference is None:
            return None
        self._press = None
        return LearnedScene(reference, frame.captured_at, False, learned_s=frame.captured_s)

    def transaction(self) -> AbstractContextManager[None]:
        """Make the stored changes of all regions' scenes one commit. Raises StoreError."""
        return self._archive.transaction()

    def store(self, learned: LearnedScene) -> LearnedScene:
        """Store a scene as the region's current one; return it with its id. Raises StoreError."""
        return self._with_id(learned, self._add_stored(learned, learned.learned_at))

    def remove_stored(self, learned: LearnedScene) -> None:
        """Remove a stored scene, so that the one before it is current again. Raises StoreError."""
        scene_id = self._valid_id(learned)
        if scene_id is not None:
            self._archive.remove(scene_id)

    def remove_all_stored(self) -> None:
        """Remove every stored scene of the region. Raises StoreError."""
        self._archive.remove_all(self.region)

    def expire_press(self, now: float) -> None:
        """Raise RequestError if a press waits in vain for frames."""
        if self._press is not None:
            try:
                self._press.check_time(now)
            except RequestError:
                self._press = None
                raise

    def use(self, learned: LearnedScene | None) -> None:
        """Make a scene the known one, or none."""
        self._model.restore(None if learned is None else learned.reference)
        self._learned = learned

    def mark_taught(self, image: Image, *, empty: bool) -> None:
        """Record that a view was taught: it holds an object.

        An automatic scene that equals the view holds the object too and is given up. A scene learned by a
        press stays: the class is that of the empty scene.
        """
        if self._model.state in ("learning", "changed"):
            self._model.mark_occupied(image)
        elif empty and self._learned is not None and self._learned.automatic:
            log.info(
                "%sthe taught view was taken for the scene, which is learned again",
                region_prefix(self.region),
            )
            self.use(None)
            self._model.mark_occupied(image)

    def matching(self, scene_ids: Collection[int]) -> frozenset[int]:
        """Return which of these stored scenes are this one; their light may differ."""
        reference = self._model.reference
        return frozenset() if reference is None else self._archive.matching(scene_ids, reference)

    def discard_stored(self) -> None:
        """Drop the id that `stored_id` returned, because its transaction failed."""
        if self._learned is not None:
            self._learned = replace(self._learned, scene_id=None)

    def stored_id(self, at: datetime | None = None) -> int | None:
        """Return the id of the scene for an example taught in it; store it first if needed.

        `at` is the time of a scene that is stored now, by default that at which it was learned.
        None while no scene is known. Raises StoreError.
        """
        learned = self._learned
        if learned is None or self._model.reference is None:
            return None
        scene_id = self._valid_id(learned)
        if scene_id is None:
            scene_id = self._archive.same_scene(self.region, learned.reference, self._box)
            if scene_id is None:
                scene_id = self._add_stored(learned, at or learned.learned_at)
            self._learned = self._with_id(learned, scene_id)
        return scene_id

    def cancel_press(self) -> None:
        """End a press without a result."""
        self._press = None

    def reset(self) -> None:
        """Learn the scene again; a press in progress goes on."""
        self.use(None)

    def move(self, box: Box) -> None:
        """Learn the scene of another box, and store it for the next start as soon as it is known."""
        self._box = box
        self._stored_s = float("-inf")
        self.reset()

    def report(self) -> Iterator[SceneStatus]:
        """Yield the state if it is not the one that was yielded last."""
        status = self.status
        if status != self._reported:
            self._reported = status
            yield status

    def _store_seldom(self, now: float) -> None:
        """Store an automatic scene for the next start, at most once an hour."""
        if now - self._stored_s < STORE_INTERVAL_S or self._learned is None:
            return
        self._stored_s = now
        try:
            self.stored_id(self._learned.learned_at)
        except EdgeError as exc:
            log.debug("%sthe scene is not stored: %s", region_prefix(self.region), exc)

    def _load(self) -> None:
        stored = self._archive.newest(self.region, self._box)
        if stored is not None:
            learned = LearnedScene(stored.reference, stored.learned_at, stored.automatic)
            self.use(self._with_id(learned, stored.id))

    def _add_stored(self, learned: LearnedScene, at: datetime) -> int:
        """Store a scene with this time; return its id. Raises StoreError."""
        return self._archive.add(
            self.region, learned.reference, automatic=learned.automatic, at=at, box=self._box
        )

    def _with_id(self, learned: LearnedScene, scene_id: int) -> LearnedScene:
        return replace(learned, scene_id=scene_id, file_number=self._archive.file_number)

    def _valid_id(self, learned: LearnedScene) -> int | None:
        """Return the scene's id; None if it is not stored in the file that the store has now."""
        return learned.scene_id if learned.file_number == self._archive.file_number else None
