"""Augmented copies of pictures."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.imaging.augment import Augmentation, augmented_copy
from edge_daemon.imaging.image_io import read_image
from edge_daemon.imaging.random_draws import RandomDraws
from tests.harness.shared_files import shared_path

NONE = Augmentation(gain=0, white_balance=0, gamma=0, degrees=0, shift=0, scales=(1.0, 1.0), noise=0, blur=0)


def test_no_change_is_the_same_picture() -> None:
    image = read_image(shared_path("images/cat.jpg"))
    copy = augmented_copy(image, RandomDraws(0), NONE)
    assert np.abs(copy.astype(int) - image).mean() < 1


@pytest.mark.parametrize("shape", [(1, 1), (9, 31), (224, 100)])
def test_copies_keep_size_and_type_of_any_picture(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    rng = RandomDraws(0)
    for _ in range(20):
        copy = augmented_copy(image, rng)
        assert copy.shape == image.shape
        assert copy.dtype == np.uint8


def test_copies_of_one_seed_are_equal_and_of_two_seeds_differ() -> None:
    image = read_image(shared_path("images/bird.jpg"))
    first, again, other = (augmented_copy(image, RandomDraws(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_light_and_position_change() -> None:
    ramp = np.repeat(np.arange(0, 240, 4, dtype=np.uint8), 60).reshape(60, 60, 1).repeat(3, axis=2)
    rng = RandomDraws(3)
    means = [augmented_copy(ramp, rng).mean() for _ in range(30)]
    assert np.std(means) > 15
    moved = Augmentation(0, 0, 0, 0, 0.2, (1.0, 1.0), 0, 0)
    rows = [augmented_copy(ramp, rng, moved)[30].mean() for _ in range(30)]
    assert np.std(rows) > 10
