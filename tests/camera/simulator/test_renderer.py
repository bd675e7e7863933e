"""The drawn table: its settings, its sensor, and things that hang over its edge."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.camera.simulator.lighting import Light
from edge_daemon.camera.simulator.renderer import NOISE_SIGMA, TRAYS, Renderer, setting


def test_a_setting_depends_on_seed_and_variation_alone() -> None:
    assert setting(1, 5) == setting(1, 5)
    assert setting(1, 5) != setting(1, 6)
    assert setting(1, 5) != setting(2, 5)


def test_settings_use_every_background_and_turn_things_all_ways() -> None:
    settings = [setting(1, variation) for variation in range(80)]
    assert {each.tray for each in settings[: len(TRAYS)]} == set(TRAYS)
    quarters = {int(each.pose.angle / (np.pi / 2)) for each in settings}
    assert quarters == {0, 1, 2, 3}


def test_the_sensor_is_noisy_and_never_twice_the_same() -> None:
    painter = Renderer((160, 120), 1)
    grey = np.full((120, 160, 3), 128, np.float32)
    frames = [painter.expose(grey, seq).astype(float) for seq in range(6)]
    noise = [frame.std() for frame in frames]
    assert noise == pytest.approx([NOISE_SIGMA] * 6, rel=0.15)
    assert all(np.abs(frames[0] - frame).mean() > 1 for frame in frames[1:])


def test_exposing_leaves_the_picture_as_it_was() -> None:
    painter = Renderer((64, 48), 1)
    grey = np.full((48, 64, 3), 128, np.float32)
    painter.expose(grey, 1)
    assert grey.min() == grey.max() == 128


@pytest.mark.parametrize(
    ("x", "y"), [(0, 60), (159, 60), (80, 0), (80, 119), (-5, -5), (400, 60), (80, -400)]
)
def test_a_thing_may_hang_over_every_edge(x: int, y: int) -> None:
    painter = Renderer((160, 120), 1)
    sprite = painter.sprite("gear", setting(1, 1))
    empty = painter.table("felt", Light())
    picture = empty.copy()
    painter.lay(picture, sprite, x, y)
    height, width = sprite.keep.shape[:2]
    left, top = x + sprite.left, y + sprite.top
    overlap = left < 160 and left + width > 0 and top < 120 and top + height > 0
    assert bool((picture != empty).any()) == overlap


@pytest.mark.parametrize("size", [(16, 16), (17, 300), (300, 17), (1280, 720)])
def test_every_background_and_thing_can_be_drawn_at_any_size(size: tuple[int, int]) -> None:
    painter = Renderer(size, 1)
    for tray in TRAYS:
        picture = painter.table(tray, Light())
        painter.lay(picture, painter.sprite("bolt", setting(1, 1)), size[0] // 2, size[1] // 2)
        assert painter.expose(picture, 0).shape == (size[1], size[0], 3)
