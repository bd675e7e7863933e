"""Learning a scene at a press: still pictures of cameras of any rate, within a time."""

from __future__ import annotations

import pytest

from edge_daemon.domain.errors import RequestError
from edge_daemon.imaging.scene_press import FIRST_TIMEOUT_S, SLOW_TIMEOUT_S, ScenePress
from edge_daemon.imaging.scene_reference import SceneReference
from tests.harness.simulated_table import SimulatedTable


def learn(press: ScenePress, interval_s: float, moving_until_s: float = 0.0) -> tuple[SceneReference, float]:
    """Feed pictures until the scene is learned; return it and the time. A nut moves at first."""
    table = SimulatedTable()
    now = 0.0
    while now < 30:
        now += interval_s
        moving = now < moving_until_s
        found = press.add(table.picture("nut" if moving else None, (0.1 + now * 7 % 0.8, 0.5)), now)
        if found is not None:
            return found, now
    raise AssertionError("the press has no end")


@pytest.mark.parametrize(
    ("fps", "longest_s"), [(200, 1), (30, 1.2), (15, 1.2), (3, 2.5), (2, 4), (1, 3), (0.5, 6), (0.25, 12)]
)
def test_a_camera_of_any_rate_learns_the_scene(fps: float, longest_s: float) -> None:
    reference, now = learn(ScenePress(0.0), 1 / fps)
    assert now <= longest_s
    assert reference.is_same_scene(SceneReference.from_frames([SimulatedTable().picture()]))


def test_a_hand_before_a_slow_camera_starts_the_press_again() -> None:
    _, now = learn(ScenePress(0.0), 1.0, moving_until_s=3.5)
    assert now == 6


@pytest.mark.parametrize("fps", [15, 1])
def test_something_that_goes_on_moving_spoils_the_press(fps: float) -> None:
    with pytest.raises(RequestError, match="something moved; press again with nothing in view"):
        learn(ScenePress(0.0), 1 / fps, moving_until_s=30)


def test_a_press_without_a_picture_ends_in_time() -> None:
    press = ScenePress(0.0)
    press.check_time(FIRST_TIMEOUT_S)
    with pytest.raises(RequestError, match=r"no still picture came within 8\.5 s of the press"):
        press.check_time(FIRST_TIMEOUT_S + 0.1)


def test_the_slowest_camera_may_have_its_first_picture_four_seconds_after_the_press() -> None:
    press, picture = ScenePress(0.0), SimulatedTable().picture()
    press.check_time(8.3)  # the picture of 3.9 s is still on its way
    assert press.add(picture, 3.9) is None
    assert press.add(picture, 7.9) is None
    assert press.add(picture, 11.9) is not None


def test_a_press_whose_camera_is_lost_after_a_picture_ends() -> None:
    press = ScenePress(0.0)
    assert press.add(SimulatedTable().picture(), 1.0) is None
    press.check_time(SLOW_TIMEOUT_S)
    with pytest.raises(RequestError, match=r"no still picture came within 13 s"):
        press.check_time(SLOW_TIMEOUT_S + 0.1)
