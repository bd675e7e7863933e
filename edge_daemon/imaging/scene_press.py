"""Learning a scene at a press: the median of pictures in which nothing moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.domain.errors import RequestError
from edge_daemon.imaging.scene_change import CellMask, Planes, is_dark, moved
from edge_daemon.imaging.scene_reference import MIN_CELLS, SceneReference

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

PRESS_FRAMES = 7
"""Pictures in the median."""

TIMEOUT_S = 4.0
"""Longest time from the press to its last picture: a hand may leave the view meanwhile."""

FIRST_TIMEOUT_S = 8.5
"""The same while no picture has come: the slowest camera is asked every four seconds, and answers in 4.5."""

SLOW_FRAMES, SLOW_TIMEOUT_S = 3, 13.0
"""The same for a camera of at most two frames a second."""

_INTERVAL_S = 0.12
_SLOW_INTERVAL_S = 0.5
_MAX_MOVED_SHARE = 0.01


class ScenePress:
    """Collects the pictures of a region after a press at `pressed_s` (monotonic). Pure, one owning thread.

    Motion starts the collection again. `restless` marks cells that always move, such as leaves.
    """

    def __init__(self, pressed_s: float, restless: CellMask | None = None) -> None:
        self._pressed_s = pressed_s
        self._restless = restless
        self._pictures: list[Image] = []
        self._first: Planes | None = None
        self._added_s = -np.inf
        self._least_gap_s = np.inf
        self._moved = False

    def add(self, image: Image, now: float) -> SceneReference | None:
        """Add a picture captured at `now`; return the scene once it is complete.

        Raises RequestError if the picture is dark or the region small, or if something moves until the time
        is over.
        """
        if now <= self._pressed_s or now - self._added_s < _INTERVAL_S:
            return None
        sample = SceneReference.from_frames([image])
        self._check(sample)
        self._least_gap_s = min(self._least_gap_s, now - self._added_s)
        self._added_s = now
        if self._first is None or self._has_moved(sample.cells, self._first):
            self._moved = self._first is not None
            self._pictures, self._first = [], sample.cells
        self._pictures.append(image)
        if len(self._pictures) == (SLOW_FRAMES if self._is_slow() else PRESS_FRAMES):
            return SceneReference.from_frames(self._pictures)
        self.check_time(now)
        return None

    def check_time(self, now: float) -> None:
        """Raise RequestError if the time is over."""
        if self._first is None:
            timeout_s = FIRST_TIMEOUT_S
        else:
            timeout_s = SLOW_TIMEOUT_S if self._is_slow() else TIMEOUT_S
        if now - self._pressed_s <= timeout_s:
            return
        if self._moved:
            raise RequestError("something moved; press again with nothing in view")
        raise RequestError(f"no still picture came within {timeout_s:g} s of the press; press again")

    def _is_slow(self) -> bool:
        """Return whether the pictures come slowly; so does a second one that has not come yet."""
        return self._least_gap_s >= _SLOW_INTERVAL_S

    def _check(self, sample: SceneReference) -> None:
        if min(sample.cells.shape[1:]) < MIN_CELLS:
            raise RequestError(
                f"the region has {sample.width} x {sample.height} pixels, too few for a scene; enlarge it"
            )
        if is_dark(sample.cells):
            raise RequestError(
                "the picture is dark; uncover the camera or switch the light on, and press again"
            )

    def _has_moved(self, cells: Planes, earlier: Planes) -> bool:
        if cells.shape != earlier.shape:
            return True
        motion = moved(cells, earlier)
        if self._restless is not None and self._restless.shape == motion.shape:
            motion &= ~self._restless
        return float(motion.mean()) > _MAX_MOVED_SHARE
