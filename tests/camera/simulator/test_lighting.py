"""Light and shadow on a height map."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.camera.simulator.lighting import Light, Pose, Sprite, render_sprite
from edge_daemon.camera.simulator.objects import build_height_map

POSE = Pose(angle=0.0, scale=0.3, tilt=0.0, tilt_angle=0.0, x=0.5, y=0.5)


def _render(light: Light, pose: Pose = POSE, kind: str = "die") -> Sprite:
    return render_sprite(build_height_map(kind, 128), pose, light, 200)


def _around_middle(sprite: Sprite) -> npt.NDArray[np.floating[Any]]:
    """Return the 60 pixels around the object's middle."""
    return sprite.add[-sprite.top - 30 : -sprite.top + 30, -sprite.left - 30 : -sprite.left + 30]


def _size(sprite: Sprite) -> tuple[int, int]:
    """Return width and height of the opaque part."""
    opaque = sprite.keep[..., 0] < 0.02
    return int(opaque.any(axis=0).sum()), int(opaque.any(axis=1).sum())


@pytest.mark.parametrize("azimuth", [0.0, np.pi / 2, np.pi, -np.pi / 2])
def test_the_shadow_falls_away_from_the_lamp(azimuth: float) -> None:
    sprite = _render(Light(azimuth=azimuth))
    shade = 1 - sprite.keep[..., 0]
    rows, columns = np.indices(shade.shape)
    x, y = columns + sprite.left + 0.5, rows + sprite.top + 0.5
    middle = np.array(((shade * x).sum(), (shade * y).sum())) / shade.sum()
    towards = np.array((np.cos(azimuth), np.sin(azimuth)))
    assert middle @ towards < -0.5
    assert abs(middle @ towards[::-1]) < 0.1


def test_the_side_towards_the_lamp_is_brighter() -> None:
    sprite = _render(Light(azimuth=np.pi))
    lit = sprite.add.sum(axis=2)
    assert lit[:, : -sprite.left].sum() > 1.05 * lit[:, -sprite.left :].sum()


def test_a_rotated_object_keeps_its_lamp() -> None:
    """Highlights keep their position while the object rotates."""
    quarter = Pose(angle=np.pi / 2, scale=0.3, tilt=0.0, tilt_angle=0.0, x=0.5, y=0.5)
    light = Light(azimuth=np.pi)
    still, rotated = (_around_middle(_render(light, pose)) for pose in (POSE, quarter))
    assert np.abs(still - rotated).mean() < 0.25 * np.abs(still - np.rot90(rotated)).mean()


def test_scale_and_tilt_change_the_size() -> None:
    small = Pose(angle=0.0, scale=0.15, tilt=0.0, tilt_angle=0.0, x=0.5, y=0.5)
    tilted = Pose(angle=0.0, scale=0.3, tilt=0.5, tilt_angle=0.0, x=0.5, y=0.5)
    width, height = _size(_render(Light()))
    assert _size(_render(Light(), small)) == pytest.approx((width / 2, height / 2), abs=2)
    assert _size(_render(Light(), tilted)) == pytest.approx((width, height / 2), abs=2)


def test_warm_light_is_red_and_cold_light_blue() -> None:
    warm, cold = Light(warmth=1).over(8, 8)[4, 4], Light(warmth=-1).over(8, 8)[4, 4]
    assert warm[0] > 1.2 * warm[2]
    assert cold[2] > 1.2 * cold[0]


def test_the_far_side_of_the_table_is_darker() -> None:
    table = Light(azimuth=0.0, falloff=0.5).over(40, 30)[..., 1]
    assert table[15, -1] > 1.3 * table[15, 0]
