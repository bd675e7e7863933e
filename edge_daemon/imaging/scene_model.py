"""The scene of a region without objects, learned from the frames of a fixed camera."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from msgspec.structs import replace

from edge_daemon.imaging.cell_bits import CellMask
from edge_daemon.imaging.median import median
from edge_daemon.imaging.scene_change import (
    MOTION_LEVELS,
    connected_components,
    dilated,
    has_left,
    has_shifted,
    is_dark,
    is_featureless,
    lost_edges,
    moved,
)
from edge_daemon.imaging.scene_reference import MIN_CELLS, SceneMatch, SceneReference
from edge_daemon.imaging.scene_sampling import Planes

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

SceneState: TypeAlias = Literal["learning", "known", "changed", "none"]
"""`learning`: not known yet. `changed`: the known scene no longer fits, a new one is being learned.
`none`: most of the picture moves, as with a moving camera."""

SAMPLE_S = 0.4
"""Shortest time between two samples; other frames cost nothing."""

MAX_FRAMES = 9
"""Number of pictures in the median, 0.7 MB at most."""

STILL_S = 5.0
"""Time without motion after which a change of some cells is examined."""

FILLED_S = 10.0
"""Time without motion after which a change of most of the region is a new scene."""

FEATURELESS_S = 600.0
"""The same for a featureless picture: more often a covered lens than a new scene."""

ABSORBED_S = 8 * 3600.0
"""Time without motion after which a thing becomes a part of the scene, unless it is recognised."""

_FRAME_S = 1.5
"""Shortest time between two pictures of the median while the scene is learned."""

_REFRESH_S = 60.0
"""Time in which all pictures of the median of a known scene are replaced, for slow changes of light."""

_MAX_STEP_S = 15.0
"""Longest time between two samples that counts as time without motion."""

_EXAMINATION_S = 2.0
"""Shortest time between two examinations of a difference."""

_AGREEING_FRAMES = 0.6
"""Share of the pictures that must agree with the median in a pixel."""

_MAX_DISAGREEING = 0.02
"""Largest share of the pixels in which fewer pictures agree."""

_EMPTY_SHARE = 0.01
"""Share of the cells up to which a difference is noise."""

_FILLED_SHARE = 0.5
"""Share of the cells above which most of the region differs."""

_LOST_EDGES = 0.7
"""Share of the scene's edges that the picture lacks above which it shows another scene."""

_MAX_TINT = 2.0
"""Largest ratio between the gains of two channels in one scene."""

_RESTLESS_S = 20.0
"""Time constant of the share of the time for which a cell moves."""

_RESTLESS = 0.3
"""Share of the time above which a cell is restless."""

_MAX_RESTLESS_SHARE = 0.5
"""Share of restless cells above which there is no scene."""

_RECOGNISED_STILL_S = 60.0
"""Longest time without motion that counts while an object is recognised."""


class SceneUpdate(Enum):
    """A change of the scene that an update found.

    `LEARNED` and `CHANGED` begin and end the state `known`. `CORRECTED`: a thing that was part of the scene
    left, or one that was there for hours became a part.
    """

    LEARNED = "learned"
    CHANGED = "changed"
    CORRECTED = "corrected"


class SceneModel:
    """Scene of one region. Pure: the caller passes the time. One owning thread.

    The scene is the median of pictures taken over at least 12 seconds in which nearly every cell showed the
    same most of the time. It may hold an object, so it is corrected: a part whose outline is in the scene but
    no longer in the picture has left. A thing in view keeps its outline; it is never learned while it is
    recognised, and otherwise after eight hours. Slow changes of light are followed; dark and featureless
    pictures are ignored. If most of the region differs, or it shows the scene shifted, the scene has changed
    and is learned again.
    """

    def __init__(self) -> None:
        self._reference: SceneReference | None = None
        self._size = (0, 0)
        self._changed = False
        self._frames: list[Image] = []
        self._frame_s = -np.inf
        self._refreshed_s = -np.inf
        self._sampled_s = -np.inf
        self._cells: Planes | None = None
        self._still_s: Planes = np.empty(0, np.float32)
        self._restless: Planes = np.empty(0, np.float32)
        self._is_restless = False
        self._examined: CellMask | None = None
        self._examined_s = -np.inf
        self._occupied: Planes | None = None

    @property
    def state(self) -> SceneState:
        """The state of the scene."""
        if self._is_restless:
            return "none"
        if self._reference is not None:
            return "known"
        return "changed" if self._changed else "learning"

    @property
    def reference(self) -> SceneReference | None:
        """The scene; None unless the state is `known`."""
        return None if self._is_restless else self._reference

    def restore(self, reference: SceneReference | None) -> None:
        """Set a scene that was learned before, by a press or an earlier run; None to learn it again.

        A scene that does not fit the next pictures becomes `changed`, as at any other time.
        """
        self._learn_again(changed=False)
        self._reference = reference
        if reference is not None:
            self._size = (reference.width, reference.height)
            self._frames = [reference.picture]

    def mark_occupied(self, image: Image) -> None:
        """Record that a view holds an object, because it was taught as one.

        It is not learned as the scene until something in it changes.
        """
        self._occupied = SceneReference.from_frames([image]).cells
        if self._reference is None:
            self._frames.clear()

    def update(self, image: Image, now: float, *, recognised: bool = False) -> SceneUpdate | None:
        """Process a picture captured at `now` (monotonic).

        `recognised`: it shows a taught object, so that it is not the scene.
        """
        elapsed_s = now - self._sampled_s
        if 0 <= elapsed_s < SAMPLE_S:
            return None
        if self._reference is not None and not self._reference.fits(image):
            fitted = self._reference.fitted_to(image.shape[1], image.shape[0])
            if fitted is None or not fitted.fits(image):
                self._learn_again(changed=True)
                return SceneUpdate.CHANGED
            self.restore(fitted)
        reference = self._reference
        if reference is None:
            sample = SceneReference.from_frames([image])
            self._size = (sample.width, sample.height)
            match, cells = None, sample.cells
        else:
            match = reference.match(image)
            cells = match.cells
        self._sampled_s = now
        if min(cells.shape[1:]) < MIN_CELLS or is_dark(cells):
            return None
        self._measure_motion(cells, min(max(elapsed_s, 0.0), _MAX_STEP_S), recognised)
        if self._is_restless:
            return None
        if match is None:
            return None if recognised else self._learn(sample.picture, cells, now)
        return self._compare(image, match, now)

    @property
    def restless(self) -> CellMask | None:
        """Cells that move for much of the time, such as leaves; None before the second sample."""
        return self._restless > _RESTLESS if self._restless.size else None

    def _measure_motion(self, cells: Planes, step_s: float, recognised: bool) -> None:
        """Add the time for which each cell has been still, and the share of the time for which it moves."""
        if self._cells is None or self._cells.shape != cells.shape:
            self._still_s = np.zeros(cells.shape[1:], np.float32)
            self._restless = np.zeros(cells.shape[1:], np.float32)
        else:
            motion = moved(cells, self._cells)
            self._still_s += step_s
            self._still_s[motion] = 0
            self._restless += (motion - self._restless) * np.float32(step_s / _RESTLESS_S)
            if recognised:
                np.minimum(self._still_s, _RECOGNISED_STILL_S, out=self._still_s)
        self._cells = cells
        # Kept: the state is asked for at every frame.
        self._is_restless = float((self._restless > _RESTLESS).mean()) > _MAX_RESTLESS_SHARE

    def _learn(self, picture: Image, cells: Planes, now: float) -> SceneUpdate | None:
        """Collect pictures until nearly every cell shows the same in most of them."""
        if self._is_occupied(cells) or 0 <= now - self._frame_s < _FRAME_S:
            return None
        if self._frames and self._frames[0].shape != picture.shape:
            self._frames.clear()
        self._frames = [*self._frames[-MAX_FRAMES + 1 :], picture]
        self._frame_s = now
        if len(self._frames) < MAX_FRAMES:
            return None
        if not _agree(self._frames):
            return None
        self._set_reference(now)
        return SceneUpdate.LEARNED

    def _is_occupied(self, cells: Planes) -> bool:
        """Return whether the view is still the one that was taught as an object."""
        if self._occupied is None or self._occupied.shape != cells.shape:
            return False
        if moved(cells, self._occupied, 2 * MOTION_LEVELS).mean() <= _EMPTY_SHARE:
            return True
        self._occupied = None
        self._frames.clear()
        return False

    def _compare(self, image: Image, match: SceneMatch, now: float) -> SceneUpdate | None:
        """Examine a picture's differences from the known scene."""
        differs: CellMask = match.contrast > 1
        share = float(differs.mean())
        if share <= _EMPTY_SHARE and not _is_tinted(match):
            self._examined = None
            self._follow(image, match, now)
            return None
        if 0 <= now - self._examined_s < _EXAMINATION_S:
            return None
        self._examined_s = now
        featureless = is_featureless(match.cells, match.expected)
        if self._has_changed(match, differs, featureless=featureless):
            self._learn_again(changed=True)
            return SceneUpdate.CHANGED
        if featureless:
            return None
        still = differs & (self._still_s >= STILL_S)
        if share > _FILLED_SHARE or not still.any() or self._was_examined(still):
            return None
        return self._correct(image, match, still, now)

    def _has_changed(self, match: SceneMatch, differs: CellMask, *, featureless: bool) -> bool:
        if float((self._still_s >= STILL_S).mean()) < 1 - _EMPTY_SHARE:
            return False
        if float((differs & (self._still_s >= FILLED_S)).mean()) > _FILLED_SHARE:
            return not featureless or float(self._still_s.max()) >= FEATURELESS_S
        if featureless:
            return False
        cells, expected = match.cells, match.expected
        return _is_tinted(match) or has_shifted(cells, expected) or lost_edges(cells, expected) > _LOST_EDGES

    def _was_examined(self, still: CellMask) -> bool:
        """Return whether these parts were examined before; parts still for eight hours are new."""
        key = still & (self._still_s < ABSORBED_S)
        before, self._examined = self._examined, key
        return before is not None and bool((before == key).mean() > 1 - _EMPTY_SHARE / 4)

    def _correct(self, image: Image, match: SceneMatch, still: CellMask, now: float) -> SceneUpdate | None:
        """Replace the parts of the scene that left, or that have been something else for hours."""
        replaced = np.zeros_like(still)
        for part in connected_components(still):
            if has_left(part, match.cells, match.expected) or float(self._still_s[part].min()) >= ABSORBED_S:
                replaced |= dilated(dilated(part))
        if not replaced.any():
            return None
        picture = SceneReference.from_frames([image]).picture
        rows, columns = picture.shape[:2]
        mask = replaced.repeat(2, axis=0).repeat(2, axis=1)
        mask = np.pad(mask, ((0, 2), (0, 2)), "edge")[:rows, :columns, np.newaxis]
        self._frames = [np.where(mask, picture, frame) for frame in self._frames]
        self._set_reference(now)
        return SceneUpdate.CORRECTED

    def _follow(self, image: Image, match: SceneMatch, now: float) -> None:
        """Follow slow changes of an empty scene."""
        if 0 <= now - self._frame_s < _REFRESH_S / MAX_FRAMES or is_featureless(match.cells, match.expected):
            return
        self._frames = [*self._frames[-MAX_FRAMES + 1 :], SceneReference.from_frames([image]).picture]
        self._frame_s = now
        if now - self._refreshed_s >= _REFRESH_S:
            self._set_reference(now)

    def _set_reference(self, now: float) -> None:
        width, height = self._size
        self._reference = replace(SceneReference.from_frames(self._frames), width=width, height=height)
        self._changed = False
        self._refreshed_s = now
        self._examined = None

    def _learn_again(self, *, changed: bool) -> None:
        self._reference = None
        self._changed = changed
        self._frames.clear()
        self._examined = None


def _is_tinted(match: SceneMatch) -> bool:
    """Return whether the picture differs by more than another white balance can explain."""
    return max(match.gain) > _MAX_TINT * min(match.gain)


def _agree(pictures: list[Image]) -> bool:
    """Return whether nearly every pixel shows the same in most of the pictures."""
    stack = np.stack(pictures)
    same = (np.abs(stack - median(stack)).max(axis=3) <= 2 * MOTION_LEVELS).mean(axis=0)
    return float((same < _AGREEING_FRAMES).mean()) <= _MAX_DISAGREEING
