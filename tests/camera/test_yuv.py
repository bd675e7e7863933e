"""YUV 4:2:0 as an image processor writes it, converted to RGB."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow

from edge_daemon.camera.yuv import rgb_of_yuv420


@pytest.mark.parametrize("stride", [40, 64])
@pytest.mark.parametrize("height", [20, 22])
def test_colours_and_places_are_those_of_the_planes_and_padding_is_left_out(stride: int, height: int) -> None:
    picture = np.zeros((height, 40, 3), np.uint8)
    picture[: height // 2 // 2 * 2, :, 0] = 250
    picture[:, 20:, 2] = 200
    bands = [np.asarray(band) for band in Pillow.fromarray(picture).convert("YCbCr").split()]
    rows = [bands[0], bands[1][::2, ::2], bands[2][::2, ::2]]
    padded = [np.pad(rows[0], ((0, 0), (0, stride - 40)), constant_values=255)]
    padded += [np.pad(row, ((0, 0), (0, (stride - 40) // 2)), constant_values=255) for row in rows[1:]]
    buffer = np.concatenate([plane.ravel() for plane in padded]).reshape(-1, stride)
    assert len(buffer) == height * 3 // 2
    rgb = rgb_of_yuv420(buffer, (40, height))
    assert rgb.shape == picture.shape
    assert np.abs(rgb.astype(int) - picture).max() <= 3
