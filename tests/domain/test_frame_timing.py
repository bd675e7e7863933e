"""The wait for a frame follows from the camera's own period."""

from __future__ import annotations

import pytest

from edge_daemon.domain.frame_timing import FRAME_WAIT_S, MAX_FRAME_WAIT_S, FrameTiming


def measured(period_s: float, delay_s: float = 0.0, frames: int = 5) -> FrameTiming:
    timing = FrameTiming()
    for number in range(frames):
        timing.add(number * period_s, number * period_s + delay_s)
    return timing


@pytest.mark.parametrize(
    ("period_s", "delay_s", "wait_s"), [(0.1, 0, 5), (2, 0.1, 5), (4, 0.1, 10), (1, 4, 10), (60, 0, 13)]
)
def test_the_wait_covers_a_slow_camera_and_is_bounded(period_s: float, delay_s: float, wait_s: float) -> None:
    assert measured(period_s, delay_s).frame_wait_s == pytest.approx(wait_s)


@pytest.mark.parametrize("frames", [0, 1])
def test_before_the_second_frame_the_camera_may_be_a_slow_one(frames: int) -> None:
    assert measured(0.1, frames=frames).frame_wait_s == MAX_FRAME_WAIT_S


def test_a_gap_is_forgotten_after_some_frames() -> None:
    timing = measured(1.0)
    timing.add(60, 60)
    assert timing.frame_wait_s == MAX_FRAME_WAIT_S
    for captured_s in range(61, 65):
        timing.add(captured_s, captured_s)
    assert timing.period_s == 1


@pytest.mark.parametrize(("period_s", "lost_after_s"), [(0.1, FRAME_WAIT_S), (4.0, 10.0)])
def test_an_outage_does_not_delay_the_report_of_the_next_one(period_s: float, lost_after_s: float) -> None:
    """A camera that hangs again after its first frame must not keep its label for longer."""
    timing = measured(period_s)
    timing.add(60, 60)
    assert timing.lost_after_s == pytest.approx(lost_after_s)


@pytest.mark.parametrize("period_s", [4.0, 4.4])
def test_a_camera_that_takes_pictures_without_a_pause_has_its_frame_within_the_wait(period_s: float) -> None:
    """The press comes just after a request; the picture of the next one arrives two periods later."""
    assert measured(period_s, period_s).frame_wait_s > 2 * period_s + 1
