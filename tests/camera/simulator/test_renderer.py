"""Renderer: appearances, sensor noise, and clipped sprites."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.camera.simulator.lighting import Light
from edge_daemon.camera.simulator.renderer import NOISE_SIGMA, TRAYS, Renderer, random_appearance


def test_an_appearance_depends_on_seed_and_variation_alone() -> None:
    assert random_appearance(1, 5) == random_appearance(1, 5)
    assert random_appearance(1, 5) != random_appearance(1, 6)
    assert random_appearance(1, 5) != random_appearance(2, 5)


def test_appearances_cover_all_backgrounds_and_rotations() -> None:
    appearances = [random_appearance(1, variation) for variation in range(80)]
    assert {each.tray for each in appearances[: len(TRAYS)]} == set(TRAYS)
    quarters = {int(each.pose.angle / (np.pi / 2)) for each in appearances}
    assert quarters == {0, 1, 2, 3}


def test_sensor_noise_differs_between_frames() -> None:
    renderer = Renderer((160, 120), 1)
    grey = np.full((120, 160, 3), 128, np.float32)
    frames = [renderer.expose(grey, seq).astype(float) for seq in range(6)]
    noise = [frame.std() for frame in frames]
    assert noise == pytest.approx([NOISE_SIGMA] * 6, rel=0.15)
    assert all(np.abs(frames[0] - frame).mean() > 1 for frame in frames[1:])


def test_exposing_leaves_the_picture_unchanged() -> None:
    renderer = Renderer((64, 48), 1)
    grey = np.full((48, 64, 3), 128, np.float32)
    renderer.expose(grey, 1)
    assert grey.min() == grey.max() == 128


@pytest.mark.parametrize(
    ("x", "y"), [(0, 60), (159, 60), (80, 0), (80, 119), (-5, -5), (400, 60), (80, -400)]
)
def test_a_sprite_is_clipped_at_every_edge(x: int, y: int) -> None:
    renderer = Renderer((160, 120), 1)
    sprite = renderer.sprite("gear", random_appearance(1, 1))
    empty = renderer.table("felt", Light())
    picture = empty.copy()
    renderer.paste(picture, sprite, x, y)
    height, width = sprite.keep.shape[:2]
    left, top = x + sprite.left, y + sprite.top
    overlap = left < 160 and left + width > 0 and top < 120 and top + height > 0
    assert bool((picture != empty).any()) == overlap


@pytest.mark.parametrize("size", [(16, 16), (17, 300), (300, 17), (1280, 720)])
def test_every_background_and_object_can_be_drawn_at_any_size(size: tuple[int, int]) -> None:
    renderer = Renderer(size, 1)
    for tray in TRAYS:
        picture = renderer.table(tray, Light())
        renderer.paste(picture, renderer.sprite("bolt", random_appearance(1, 1)), size[0] // 2, size[1] // 2)
        assert renderer.expose(picture, 0).shape == (size[1], size[0], 3)
