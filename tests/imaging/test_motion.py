"""Background subtraction: objects, slow changes of light, and new scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.imaging.motion import WARMUP_FRAMES, Foreground, MotionDetector

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

PERIOD_S = 1 / 15


class Belt:
    """Feeds a detector with grey, noisy pictures that contain blocks."""

    def __init__(self, detector: MotionDetector, size: tuple[int, int] = (160, 120)) -> None:
        self.detector = detector
        self.now = 0.0
        self.light = 100.0
        self._size = size
        self._random = np.random.default_rng(1)

    def picture(self, *blocks: tuple[float, float], colour: tuple[int, int, int] = (200, 60, 60)) -> Image:
        """Return a picture with blocks; each covers a range of the width and half the height."""
        width, height = self._size
        picture = np.full((height, width, 3), self.light)
        for start, end in blocks:
            picture[height // 4 : -height // 4, max(0, round(start * width)) : round(end * width)] = colour
        noisy = picture + self._random.normal(0, 4, picture.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)

    def show(
        self, *blocks: tuple[float, float], frames: int = 1, step_s: float = PERIOD_S
    ) -> Foreground | None:
        foreground = None
        for _ in range(frames):
            self.now += step_s
            foreground = self.detector.update(self.picture(*blocks), self.now)
        return foreground

    def update(self, *blocks: tuple[float, float]) -> Foreground:
        foreground = self.show(*blocks)
        assert foreground is not None
        return foreground


@pytest.fixture
def belt() -> Belt:
    belt = Belt(MotionDetector(zone=0.2))
    assert belt.show(frames=WARMUP_FRAMES) is None
    return belt


def test_an_empty_scene_with_noise_has_no_foreground(belt: Belt) -> None:
    assert max(belt.update().share for _ in range(100)) < 0.01


def test_an_object_is_foreground_with_its_position_and_size(belt: Belt) -> None:
    foreground = belt.update((0.4, 0.6))
    assert foreground.zone_share == pytest.approx(0.5, abs=0.05)
    assert foreground.object_share == pytest.approx(0.1, abs=0.02)
    assert foreground.object_position == pytest.approx(0.5, abs=0.02)


def test_an_object_beside_the_zone_is_not_in_it(belt: Belt) -> None:
    foreground = belt.update((0.05, 0.3))
    assert foreground.zone_share < 0.01
    assert foreground.share == pytest.approx(0.125, abs=0.02)


def test_of_two_objects_the_one_in_the_zone_is_measured(belt: Belt) -> None:
    assert belt.update((0.0, 0.2), (0.45, 0.65)).object_position == pytest.approx(0.55, abs=0.02)


def test_an_object_as_bright_as_the_belt_is_detected_by_its_colour(belt: Belt) -> None:
    red = np.array([180, 66, 66])
    assert red @ [0.299, 0.587, 0.114] == pytest.approx(100, abs=1)
    foreground = belt.detector.update(belt.picture((0.4, 0.6), colour=(180, 66, 66)), belt.now + PERIOD_S)
    assert foreground is not None
    assert foreground.zone_share > 0.4


def test_light_that_fades_slowly_is_background(belt: Belt) -> None:
    shares = []
    for _ in range(60 * 15):
        belt.light -= 1 / 15
        shares.append(belt.update().share)
    assert belt.light == pytest.approx(40)
    assert max(shares) < 0.02


def test_a_stopped_object_stays_foreground_for_minutes_and_leaves_no_ghost(belt: Belt) -> None:
    belt.show((0.4, 0.6), frames=120, step_s=1.0)
    assert belt.update((0.4, 0.6)).zone_share > 0.45
    assert belt.update().zone_share < 0.02


def test_a_scene_that_changed_as_a_whole_is_learnt_again(belt: Belt) -> None:
    belt.light = 200
    assert belt.update().share > 0.9
    belt.show(frames=40, step_s=1.0)
    assert belt.update().share < 0.01


def test_an_object_during_the_warmup_leaves_no_ghost() -> None:
    belt = Belt(MotionDetector(zone=0.2))
    for step in range(WARMUP_FRAMES):
        belt.show((step / 10 - 0.4, step / 10 - 0.1))
    assert belt.update().share < 0.02


def test_a_region_of_another_size_is_learnt_again(belt: Belt) -> None:
    for size in (50, 60):
        for _ in range(WARMUP_FRAMES):
            assert belt.detector.update(np.zeros((size, size, 3), np.uint8), 100.0) is None
    assert belt.detector.update(np.zeros((60, 60, 3), np.uint8), 100.0) is not None


def test_a_region_may_change_its_size_during_the_warmup(belt: Belt) -> None:
    belt.detector.update(np.zeros((50, 50, 3), np.uint8), 100.0)
    for _ in range(WARMUP_FRAMES):
        assert belt.detector.update(np.zeros((60, 60, 3), np.uint8), 100.0) is None
    assert belt.detector.update(np.zeros((60, 60, 3), np.uint8), 100.0) is not None


def test_vertical_motion_is_measured_along_its_direction() -> None:
    belt = Belt(MotionDetector(vertical=True, zone=0.2))
    belt.show(frames=WARMUP_FRAMES)
    foreground = belt.update((0.1, 0.3))
    assert foreground.object_position == pytest.approx(0.5, abs=0.02)
    assert foreground.zone_share == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("vertical", [False, True])
def test_an_object_is_detected_in_a_line_of_pixels(vertical: bool) -> None:
    detector = MotionDetector(vertical=vertical)
    line = np.full((640, 1, 3) if vertical else (1, 640, 3), 100, np.uint8)
    for frame in range(WARMUP_FRAMES):
        assert detector.update(line, frame * PERIOD_S) is None
    empty = detector.update(line, 2.0)
    assert empty is not None
    assert (empty.zone_share, empty.share) == (0, 0)
    line.reshape(-1, 3)[240:400] = 200
    seen = detector.update(line, 2.1)
    assert seen is not None
    assert seen.zone_share == 1
    assert seen.object_position == pytest.approx(0.5, abs=0.02)
