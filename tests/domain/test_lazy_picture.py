"""Lazy pictures: each scale is loaded once, when it is needed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.domain.lazy_picture import LazyPicture
from edge_daemon.domain.types import Frame

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

SCALES = (0.25, 0.5, 1.0)


class Source:
    """Loads pictures of one colour, 40 x 20 at full size, and records what was loaded, and from what."""

    def __init__(self) -> None:
        self.loaded: list[tuple[float, int | None]] = []
        self.released = False

    def load(self, scale: float, larger: Image | None) -> Image | None:
        self.loaded.append((scale, None if larger is None else larger.shape[1]))
        return None if self.released else np.full((round(20 * scale), round(40 * scale), 3), 9, np.uint8)

    def picture(self, *expected: float) -> LazyPicture:
        picture = LazyPicture((40, 20), SCALES, self.load, expected)
        picture.preload()
        return picture


@pytest.mark.parametrize(
    ("least", "width"), [(0.0, 10), (0.25, 10), (0.26, 20), (0.5, 20), (0.51, 40), (1.0, 40), (7.0, 40)]
)
def test_the_smallest_scale_that_suffices_is_loaded_once(least: float, width: int) -> None:
    source = Source()
    picture = source.picture()
    first = picture.at_least(least)
    assert first.shape[1] == width
    assert not first.flags.writeable
    assert picture.at_least(least) is first
    assert len(source.loaded) == 1


def test_a_smaller_scale_is_made_of_a_larger_one_that_is_loaded() -> None:
    source = Source()
    source.picture(0.25, 1.0)
    assert source.loaded == [(1.0, None), (0.25, 40)]


def test_what_was_asked_is_expected_next_and_else_what_was_expected() -> None:
    picture = Source().picture(1.0)
    picture.smallest_loaded()
    assert picture.expected_next() == {1.0}
    picture.at_least(0.3)
    assert picture.expected_next() == {0.5}
    picture.at_least(1.0)
    assert picture.expected_next() == {0.5, 1.0}


def test_a_released_picture_is_the_largest_that_was_loaded() -> None:
    source = Source()
    picture = source.picture(0.5)
    source.released = True
    assert picture.at_least(1.0).shape[1] == 20
    assert picture.at_least(0.1).shape[1] == 20


def test_a_frame_has_its_full_size_before_it_is_loaded() -> None:
    source = Source()
    frame = Frame(source.picture(0.5), 1, 0.0, datetime.now(UTC))
    assert frame.size == (40, 20)
    assert frame.smallest_loaded().shape == (10, 20, 3)
    assert frame.at_least(0.4).shape == (10, 20, 3)
    assert source.loaded == [(0.5, None)]
    assert frame.image.shape == (20, 40, 3)


def test_a_frame_of_one_size_is_the_same_at_every_scale() -> None:
    image = np.zeros((20, 40, 3), np.uint8)
    frame = Frame(image, 1, 0.0, datetime.now(UTC))
    assert frame.size == (40, 20)
    assert frame.image is frame.smallest_loaded() is frame.at_least(0.1) is image
