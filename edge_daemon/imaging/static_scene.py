"""Detection of a static picture, which need not be classified again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.domain.types import Image

MAX_SKIP_S = 1.0
"""Longest time without a classification of a static picture: changes between grid points appear then."""

_LINES = 32
"""Least number of grid lines each way, up to the picture's size."""

_NOISE = 20
"""Tolerated difference of a pixel, of 255: five times a good camera's noise between two frames."""

_MAX_NOISY_SHARE = 0.002
"""Share of the grid's values that may differ by more; at least two values may."""


class StaticSceneDetector:
    """Detector of a region that has been static for `after_s` seconds; pure, one owning thread.

    A picture is compared with the picture at the last motion, so that slow changes add up. With a camera
    noisier than `_NOISE` no region is static: that costs processor time, not labels.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._reference: npt.NDArray[np.int16] | None = None
        self._moved_s = 0.0
        self._classified_s = 0.0

    def is_static(self, image: Image, now: float) -> bool:
        """Return whether a picture captured at `now` (monotonic) need not be classified."""
        points = _grid(image)
        if self._reference is None or _differ(points, self._reference):
            self._reference, self._moved_s, self._classified_s = points, now, now
            return False
        if now - self._moved_s >= self._after_s and now - self._classified_s < MAX_SKIP_S:
            return True
        self._classified_s = now
        return False

    def reset(self) -> None:
        """Make the next picture count as motion, after a change outside the picture."""
        self._reference = None


def _grid(image: Image) -> npt.NDArray[np.int16]:
    """Return the pixels of a regular grid."""
    height, width = image.shape[:2]
    return image[:: max(1, height // _LINES), :: max(1, width // _LINES)].astype(np.int16)


def _differ(points: npt.NDArray[np.int16], others: npt.NDArray[np.int16]) -> bool:
    if points.shape != others.shape:
        return True
    changed = np.count_nonzero(np.abs(points - others) > _NOISE)
    return bool(changed > max(2, _MAX_NOISY_SHARE * points.size))
