"""Crops of frames that exist at several scales."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.domain.errors import ImageError
from edge_daemon.domain.lazy_picture import LazyPicture
from edge_daemon.domain.types import Frame
from edge_daemon.imaging.preprocess import InputTensor, Preprocessor
from edge_daemon.imaging.regions import Box, crop_frame

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


@pytest.fixture
def frame() -> Frame:
    """A frame of 64 x 48 pixels whose values are their full-size columns, also at half the size."""

    def load(scale: float, larger: Image | None) -> Image:
        row = np.arange(64, dtype=np.uint8)[:: round(1 / scale)]
        return np.broadcast_to(row[:, None], (round(48 * scale), len(row), 3)).copy()

    picture = LazyPicture((64, 48), (0.5, 1.0), load, {1.0})
    picture.preload()
    return Frame(picture, 1, 0.0, datetime.now(UTC))


@pytest.mark.parametrize("box", [Box(0.25, 0.5, 0.5, 0.5), Box(16, 24, 32, 24)])
def test_a_box_shows_the_same_part_at_every_scale(frame: Frame, box: Box) -> None:
    full, half = crop_frame(frame, box), crop_frame(frame, box, 0.5)
    assert (full.shape, half.shape) == ((24, 32, 3), (12, 16, 3))
    assert np.array_equal(full[::2, ::2], half)
    assert np.shares_memory(half, frame.at_least(0.5))


def test_without_a_box_the_whole_picture_is_returned(frame: Frame) -> None:
    assert crop_frame(frame, None).shape == (48, 64, 3)
    assert crop_frame(frame, None, 0.3).shape == (24, 32, 3)


def test_a_box_between_pixels_is_interpolated_at_full_size_only(frame: Frame) -> None:
    box = Box(16.5, 24, 32, 24)
    assert crop_frame(frame, box)[0, 5, 0] in (21, 22)
    assert crop_frame(frame, box, 0.5).shape == (12, 16, 3)


@pytest.mark.parametrize("box", [Box(0, 0, 64, 1), Box(0, 47, 64, 1), Box(63, 0, 1, 48), Box(31, 23, 1, 1)])
def test_a_box_of_one_pixel_has_one_in_a_reduced_picture(frame: Frame, box: Box) -> None:
    """Such as a line of pixels whose full picture the camera has released."""
    height, width = crop_frame(frame, box, 0.5).shape[:2]
    assert (height, width) == (max(1, box.height // 2), max(1, box.width // 2))


def test_a_box_outside_the_full_picture_is_refused_at_every_scale(frame: Frame) -> None:
    for scale in (0.5, 1.0):
        with pytest.raises(ImageError):
            crop_frame(frame, Box(40, 0, 32, 24), scale)


@pytest.mark.parametrize(
    ("size", "least"),
    [((640, 480), 128 / 480), ((1280, 720), 128 / 720), ((100, 480), 1.28), ((128, 128), 1.0)],
)
def test_the_smallest_scale_leaves_the_used_part_as_large_as_the_models_input(
    size: tuple[int, int], least: float
) -> None:
    assert Preprocessor(InputTensor(128, 128, 3, "uint8")).min_scale(*size) == pytest.approx(least)
