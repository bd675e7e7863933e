from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.imaging.static_scene import MAX_SKIP_S, StaticSceneDetector

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


def scene(seed: int, noise: float = 3.0) -> Image:
    picture = np.random.default_rng(seed).normal(0, noise, (480, 640, 3)) + 100
    return picture.clip(0, 255).astype(np.uint8)


def static_detector(detector: StaticSceneDetector, until_s: float = 2.0) -> StaticSceneDetector:
    for number in range(int(until_s * 10) + 1):
        detector.is_static(scene(number), number / 10)
    return detector


def test_a_picture_is_static_after_the_idle_time() -> None:
    detector = StaticSceneDetector(2.0)
    static = [detector.is_static(scene(number), number / 10) for number in range(29)]
    assert not any(static[:20])
    assert all(static[21:])


@pytest.mark.parametrize("size", [40, 100])
def test_motion_is_detected_in_its_first_frame(size: int) -> None:
    detector = static_detector(StaticSceneDetector(2.0), 2.5)
    moved = scene(99)
    moved[200 : 200 + size, 300 : 300 + size] += 60
    assert not detector.is_static(moved, 2.6)


def test_light_that_changes_slowly_adds_up() -> None:
    detector = static_detector(StaticSceneDetector(2.0))
    static = [detector.is_static(scene(9) + np.uint8(step), 2.1 + step / 100) for step in range(40)]
    assert static[5]
    assert not all(static)


def test_a_static_picture_is_classified_once_a_second() -> None:
    detector = static_detector(StaticSceneDetector(1.0), 1.0)
    classified = [not detector.is_static(scene(step), 1.1 + step / 10) for step in range(50)]
    assert sum(classified) == pytest.approx(5 / MAX_SKIP_S, abs=1)


def test_reset_makes_the_next_picture_count_as_motion() -> None:
    detector = static_detector(StaticSceneDetector(1.0), 1.5)
    assert detector.is_static(scene(1), 1.6)
    detector.reset()
    assert not detector.is_static(scene(2), 1.7)


def test_a_small_region_and_one_of_another_size_are_compared() -> None:
    detector = StaticSceneDetector(0.5)
    small = np.full((10, 12, 3), 50, np.uint8)
    assert [detector.is_static(small, now) for now in (0.0, 0.6, 0.7)] == [False, True, True]
    changed = small.copy()
    changed[4:6, 4:6] = 200
    assert not detector.is_static(changed, 0.8)
    assert not detector.is_static(np.full((20, 12, 3), 50, np.uint8), 0.9)
