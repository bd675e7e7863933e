"""The rhythm of frames, on a clock turned by hand."""

from __future__ import annotations

import pytest

from edge_daemon.camera.frames import FramePacer
from edge_daemon.system.testing import ManualClock


def test_calls_return_at_the_frame_rate_whatever_the_work_between_takes() -> None:
    clock = ManualClock(0.0)
    pace = FramePacer(10, clock, clock.sleep)
    times = []
    for work_s in (0.03, 0.09, 0.0, 0.05):
        pace.wait()
        times.append(clock.monotonic())
        clock.advance(work_s)
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_one_late_frame_does_not_shift_the_rhythm() -> None:
    clock = ManualClock(0.0)
    pace = FramePacer(10, clock, clock.sleep)
    pace.wait()
    clock.advance(0.15)
    pace.wait()
    pace.wait()
    assert clock.monotonic() == pytest.approx(0.2)


def test_after_a_stall_frames_do_not_come_in_a_rush() -> None:
    clock = ManualClock(0.0)
    pace = FramePacer(10, clock, clock.sleep)
    pace.wait()
    clock.advance(60)
    pace.wait()
    pace.wait()
    assert clock.monotonic() == pytest.approx(60.1)


def test_without_a_rate_nothing_waits() -> None:
    clock = ManualClock(0.0)
    pace = FramePacer(None, clock, clock.sleep)
    for _ in range(5):
        pace.wait()
    assert clock.monotonic() == 0.0
