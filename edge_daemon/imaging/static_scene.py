"""Whether a picture stands still, so that it need not be classified again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.domain.types import Image

MAX_SKIP_S = 1.0
"""A picture at rest is looked at so often all the same: what slips through the grid is seen then."""

_LINES = 32
"""The grid of pixels that is watched has at least so many lines each way, where the picture has."""

_NOISE = 20
"""Levels of 255 that a pixel may differ by: five times the noise of a good camera between two frames."""

_FEW = 0.002
"""So large a share of the grid's numbers, and no less than two, may be noisier than that."""


class StaticSceneDetector:
    """Tells when one region's picture has stood still for `after_s` seconds; pure, one owning thread.

    It is compared with the picture at the last motion, so that slow changes add up. A camera noisier than
    `_NOISE` never rests: that costs processor time and no label.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._seen: npt.NDArray[np.int16] | None = None
        self._moved_s = 0.0
        self._looked_s = 0.0

    def is_static(self, image: Image, now: float) -> bool:
        """Take a picture captured at `now` (monotonic); return whether it can go without a look."""
        points = _grid(image)
        if self._seen is None or _differ(points, self._seen):
            self._seen, self._moved_s, self._looked_s = points, now, now
            return False
        if now - self._moved_s >= self._after_s and now - self._looked_s < MAX_SKIP_S:
            return True
        self._looked_s = now
        return False

    def reset(self) -> None:
        """Have the next picture looked at, as if it had moved: something else has changed."""
        self._seen = None


def _grid(image: Image) -> npt.NDArray[np.int16]:
    """Return pixels at even distances."""
    height, width = image.shape[:2]
    return image[:: max(1, height // _LINES), :: max(1, width // _LINES)].astype(np.int16)


def _differ(points: npt.NDArray[np.int16], others: npt.NDArray[np.int16]) -> bool:
    if points.shape != others.shape:
        return True
    changed = np.count_nonzero(np.abs(points - others) > _NOISE)
    return bool(changed > max(2, _FEW * points.size))
