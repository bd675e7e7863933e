"""Learning a scene at a press: the median of pictures in which nothing moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.domain.errors import RequestError
from edge_daemon.imaging.cell_bits import CellMask
from edge_daemon.imaging.scene_change import is_dark, moved
from edge_daemon.imaging.scene_reference import MIN_CELLS, SceneReference
from edge_daemon.imaging.scene_sampling import Planes

if TYPE_CHECKING:
    from edge_daemon.domain.frame_timing import FrameTiming
    from edge_daemon.domain.types import Image

PRESS_FRAMES = 7
"""Pictures in the median."""

TIMEOUT_S = 4.0
"""Longest time from the press to its last picture: a hand may leave the view meanwhile."""

SLOW_FRAMES, SLOW_TIMEOUT_S = 3, 13.0
"""The same for a camera of at most two frames a second."""

SLOW_PERIODS = 5.5
"""The same in periods of a still slower one: three, one for a hand and one for a picture to arrive."""

_INTERVAL_S = 0.12
"""Shortest time between two pictures."""

_SLOW_INTERVAL_S = 0.5
"""Interval of the pictures from which on the camera is slow."""

_MAX_MOVED_SHARE = 0.01
"""Share of the cells above which a difference is motion."""


class ScenePress:
    """Collects the pictures of a region after a press at `pressed_s` (monotonic). Pure, one owning thread.

    Motion starts the collection again, and so does another size of the pictures. `timing` is that of the
    camera. `restless` marks cells that always move, such as leaves.
    """

    def __init__(self, pressed_s: float, timing: FrameTiming, restless: CellMask | None = None) -> None:
        self._pressed_s = pressed_s
        self._timing = timing
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
        if self._first is None or not self._continues(image, sample.cells, self._first):
            self._moved = self._first is not None
            self._pictures, self._first = [], sample.cells
        self._pictures.append(image)
        if len(self._pictures) == (SLOW_FRAMES if self._is_slow() else PRESS_FRAMES):
            return SceneReference.from_frames(self._pictures)
        self.check_time(now)
        return None

    def check_time(self, now: float) -> None:
        """Raise RequestError if the time for the press is over at `now`."""
        timeout_s = self._timeout_s()
        if now - self._pressed_s <= timeout_s:
            return
        if self._moved:
            raise RequestError("something moved; press again with nothing in view")
        raise RequestError(f"no still picture came within {timeout_s:.3g} s of the press; press again")

    def _timeout_s(self) -> float:
        if self._first is None:
            return self._timing.frame_wait_s
        if self._is_slow():
            return max(SLOW_TIMEOUT_S, SLOW_PERIODS * self._timing.period_s)
        return TIMEOUT_S

    def _is_slow(self) -> bool:
        """Return whether the camera is slow, which is assumed until the second picture."""
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

    def _continues(self, image: Image, cells: Planes, first: Planes) -> bool:
        """Return whether a picture shows the same as the first one, at the same size."""
        if image.shape != self._pictures[0].shape:
            return False  # the region was moved, or the camera has changed its resolution
        motion = moved(cells, first)
        if self._restless is not None and self._restless.shape == motion.shape:
            motion &= ~self._restless
        return float(motion.mean()) <= _MAX_MOVED_SHARE
