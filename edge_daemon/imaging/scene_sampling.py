"""Sampling of a region's picture to the pixels and cells of a scene reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

Planes: TypeAlias = npt.NDArray[np.float32]
"""Cells of a picture: float32, shape (3, rows, columns), levels 0 to 255."""

MAX_SIDE = 160
"""Longest side of a reference's picture in pixels; a cell of the grid is 2 x 2 of them."""

_USUAL_SIDE = 112
"""Longest side that a step is chosen for; it is rounded to whole steps."""


def picture_step(shape: Sequence[int]) -> int:
    """Return the number of pixels of a region per pixel of its reference, at most its shorter side."""
    longest, shortest = max(shape[:2]), min(shape[:2])
    step = max(1, round(longest / _USUAL_SIDE))
    return max(1, min(step if longest // step <= MAX_SIDE else step + 1, shortest))


def sample(image: Image, step: int, pixels: int = 1) -> Planes:
    """Return a picture (RGB uint8 HWC) reduced to squares of `pixels` x `step` pixels a side.

    Each number is the mean of up to 2 samples of its square if `pixels` is 1, of up to 8 if it is 2.
    """
    side = step * pixels
    rows, columns = image.shape[0] // side, image.shape[1] // side
    part = image[: rows * side]
    # Whole rows are added, also those of pixels that are not needed: their memory is contiguous.
    total = part[step // 2 :: side].astype(np.uint16)
    if pixels == 2:
        total += part[step + step // 2 :: side]
    sums, count = total.ravel(), pixels
    first, second = step // 4, 3 * step // 4
    for distance in (second - first, step if pixels == 2 else 0):
        if distance:
            sums[: -3 * distance] += sums[3 * distance :]
            count *= 2
    shape, strides = (3, rows, columns), (2, 6 * image.shape[1], 6 * side)
    # A view of the sums that takes one pixel per square, channels first; a pixel has 3 numbers of 2 bytes.
    lines = np.ndarray(shape, np.uint16, sums, 6 * first, strides)
    planes: Planes = lines.astype(np.float32, "C")
    planes *= 1 / count
    return planes


def halve(planes: Planes) -> Planes:
    """Return the means of 2 x 2 pixels."""
    rows, columns = planes.shape[-2] // 2 * 2, planes.shape[-1] // 2 * 2
    part = planes[..., :rows, :columns]
    upper, lower = part[..., ::2, :], part[..., 1::2, :]
    total = upper + lower
    return (total[..., ::2] + total[..., 1::2]) * np.float32(0.25)
