"""Copies of an object as other scenes would show it."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.imaging.object_copies import object_copy
from edge_daemon.imaging.object_mask import EMPTY, find_object
from edge_daemon.imaging.object_picture import object_picture, on_mean_colour
from edge_daemon.imaging.random_draws import RandomDraws
from tests.harness.fixed_camera import FixedCamera

SIDE = 96


@pytest.fixture
def camera() -> FixedCamera:
    return FixedCamera(seed=3)


def test_a_copy_is_the_object_in_other_light_on_its_mean_colour(camera: FixedCamera) -> None:
    image = camera.picture("disc")
    view = find_object(image, camera.reference())
    original = object_picture(image, view, SIDE).astype(int)
    copies = [
        on_mean_colour(object_copy(image, view, RandomDraws(seed), SIDE)).astype(int) for seed in range(20)
    ]
    for copy in copies:
        assert copy.shape == (SIDE, SIDE, 3)
        assert (copy[:8, :8] == copy[0, 0]).all()
        red, green = copy[40:56, 40:56, 0].mean(), copy[40:56, 40:56, 1].mean()
        assert red > 1.5 * green, "the object keeps its colour"
    levels = [copy[40:56, 40:56].mean() for copy in copies]
    assert min(levels) < 0.85 * original[40:56, 40:56].mean() < 1.1 * original[40:56, 40:56].mean()
    assert max(levels) > 1.1 * original[40:56, 40:56].mean()


def test_some_masks_of_copies_are_larger_and_some_are_smaller(camera: FixedCamera) -> None:
    image = camera.picture("disc")
    view = find_object(image, camera.reference())

    def covered(picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> int:
        return int((picture != picture[0, 0]).any(axis=2).sum())

    own = covered(object_picture(np.full_like(image, 255), view, SIDE, background=(0, 0, 0)))
    sizes = [covered(on_mean_colour(object_copy(image, view, RandomDraws(seed), SIDE))) for seed in range(20)]
    assert min(sizes) < own < max(sizes)


def test_the_same_seed_makes_the_same_copy(camera: FixedCamera) -> None:
    image = camera.picture("disc")
    view = find_object(image, camera.reference())
    first, second = (object_copy(image, view, RandomDraws(4), SIDE) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.shares, second.shares)


def test_an_empty_view_has_no_copies(camera: FixedCamera) -> None:
    with pytest.raises(ValueError, match="object"):
        object_copy(camera.picture(), EMPTY, RandomDraws(0), SIDE)
