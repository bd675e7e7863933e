from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.domain.errors import ImageError
from edge_daemon.imaging.regions import WHOLE, Box, crop

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


@pytest.fixture
def picture() -> Image:
    rows, columns = np.mgrid[0:48, 0:64].astype(np.uint8)
    return np.stack([columns * 2, rows * 2, np.zeros_like(rows)], axis=2)


def test_whole_pixels_give_a_view(picture: Image) -> None:
    part = crop(picture, Box(10, 20, 30, 8))
    assert part.base is picture
    assert np.array_equal(part, picture[20:28, 10:40])


def test_fractions_are_of_the_frame(picture: Image) -> None:
    assert np.array_equal(crop(picture, Box(0.5, 0.25, 0.5, 0.5)), picture[12:36, 32:64])


def test_odd_fractions_are_rounded_to_whole_pixels(picture: Image) -> None:
    part = crop(picture, Box(0.33, 0.33, 0.34, 0.34))
    assert part.base is picture
    assert part.shape == (16, 22, 3)


def test_the_whole_frame_is_the_default_region(picture: Image) -> None:
    assert np.array_equal(crop(picture, WHOLE), picture)


def test_neighbouring_fractions_leave_no_gap(picture: Image) -> None:
    widths = [crop(picture, Box(i / 7, 0, 1 / 7, 1)).shape[1] for i in range(7)]
    assert sum(widths) == 64


def test_part_pixels_are_interpolated(picture: Image) -> None:
    part = crop(picture, Box(10.5, 20, 20, 10))
    assert part.shape == (10, 20, 3)
    assert part[5, 5, 0] == pytest.approx(2 * 15.5, abs=1)


@pytest.mark.parametrize(
    "box",
    [Box(60, 0, 10, 10), Box(0, 40, 10, 10), Box(-1, 0, 10, 10), Box(0, 0, 0, 10), Box(0.5, 0.5, 0.6, 0.5)],
)
def test_a_box_outside_the_frame_is_named_with_the_frame(picture: Image, box: Box) -> None:
    with pytest.raises(ImageError, match=r"region \[.*\] does not fit a frame of 64x48"):
        crop(picture, box)


def test_an_infinite_or_missing_number_is_refused(picture: Image) -> None:
    for number in (float("nan"), float("inf")):
        with pytest.raises(ImageError):
            crop(picture, Box(number, 0, 10, 10))


def test_a_grey_array_is_no_picture() -> None:
    with pytest.raises(ImageError, match="height x width x 3"):
        crop(np.zeros((10, 10), np.uint8), WHOLE)
