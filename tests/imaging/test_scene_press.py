"""Learning a scene at a press: still pictures of cameras of any rate, within a time."""

from __future__ import annotations

import pytest

from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.frame_timing import FRAME_WAIT_S, FrameTiming
from edge_daemon.imaging.scene_press import SLOW_TIMEOUT_S, ScenePress
from edge_daemon.imaging.scene_reference import SceneReference
from tests.harness.simulated_table import SimulatedTable


def pressed(period_s: float, delay_s: float = 0.0) -> ScenePress:
    """Return a press at 0 before a camera of this period and delay."""
    timing = FrameTiming()
    for captured_s in (-2 * period_s, -period_s):
        timing.add(captured_s, captured_s + delay_s)
    return ScenePress(0.0, timing)


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
    reference, now = learn(pressed(1 / fps), 1 / fps)
    assert now <= longest_s
    assert reference.is_same_scene(SceneReference.from_frames([SimulatedTable().picture()]))


def test_a_hand_before_a_slow_camera_starts_the_press_again() -> None:
    _, now = learn(pressed(1.0), 1.0, moving_until_s=3.5)
    assert now == 6


@pytest.mark.parametrize("fps", [15, 1])
def test_something_that_goes_on_moving_spoils_the_press(fps: float) -> None:
    with pytest.raises(RequestError, match="something moved; press again with nothing in view"):
        learn(pressed(1 / fps), 1 / fps, moving_until_s=30)


def test_a_press_without_a_picture_ends_in_time() -> None:
    press = pressed(0.1)
    press.check_time(FRAME_WAIT_S)
    with pytest.raises(RequestError, match=r"no still picture came within 5 s of the press"):
        press.check_time(FRAME_WAIT_S + 0.1)


@pytest.mark.parametrize("period_s", [4.0, 4.4])
def test_a_camera_that_takes_over_four_seconds_for_a_picture_learns_the_scene(period_s: float) -> None:
    """It is asked again when it has answered: each picture comes a period after its time, first a hand's."""
    press, table = pressed(period_s, period_s), SimulatedTable()
    for number, kind in enumerate(("nut", None, None, None), start=1):
        captured_s = number * period_s - 0.1
        press.check_time(captured_s + period_s - 0.1)  # the picture is still on its way
        learned = press.add(table.picture(kind), captured_s)
    assert learned is not None


def test_a_press_before_a_slow_camera_that_hangs_ends() -> None:
    press = pressed(4.4, 4.4)
    press.check_time(10.9)
    with pytest.raises(RequestError, match=r"no still picture came within 11 s of the press"):
        press.check_time(11.1)
    press = pressed(60, 4.4)
    assert press.add(SimulatedTable().picture(), 1.0) is None
    with pytest.raises(RequestError, match=r"no still picture came within 28\.6 s"):
        press.check_time(28.7)


def test_a_press_whose_camera_is_lost_after_a_picture_ends() -> None:
    press = pressed(0.1)
    assert press.add(SimulatedTable().picture(), 1.0) is None
    press.check_time(SLOW_TIMEOUT_S)
    with pytest.raises(RequestError, match=r"no still picture came within 13 s"):
        press.check_time(SLOW_TIMEOUT_S + 0.1)


def test_a_picture_of_another_size_starts_the_press_again() -> None:
    """One line less, as after a small move of the region, gives as many cells."""
    press, table = pressed(0.2), SimulatedTable()
    for number in range(1, 11):
        image = table.picture()[: -1 if number < 4 else -2]
        learned = press.add(image, number * 0.2)
        assert (learned is not None) == (number == 10)
    assert learned is not None
    assert (learned.width, learned.height) == (160, 118)
