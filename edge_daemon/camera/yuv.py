"""Conversion of a camera's YUV 4:2:0 buffer to RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


def rgb_of_yuv420(buffer: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], size: tuple[int, int]) -> Image:
    """Return an RGB uint8 HWC picture of a buffer with the planes Y, U and V in the full range (as in JPEG).

    `buffer` is uint8 of 1.5 x height rows; rows of U and V are half as long. Rows may be padded. `size` is
    the width and height, both even.
    """
    # Late: only a camera without RGB at the small size needs Pillow.
    from PIL import Image as Pillow

    width, height = size
    halves = buffer.reshape(2 * len(buffer), -1)
    planes = (
        buffer[:height, :width],
        halves[2 * height : 2 * height + height // 2, : width // 2],
        halves[2 * height + height // 2 : 3 * height, : width // 2],
    )
    bands = [Pillow.fromarray(np.ascontiguousarray(plane)) for plane in planes]
    chroma = [band.resize(size, Pillow.Resampling.NEAREST) for band in bands[1:]]
    return np.asarray(Pillow.merge("YCbCr", [bands[0], *chroma]).convert("RGB"))
