"""Construction of frames, and pacing."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.camera.frames import FramePacer, make_frame, sensor_size
from edge_daemon.system.testing import ManualClock


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))]
)
def test_rotation_is_clockwise(rotation: int, corner: tuple[int, int]) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = 255
    image = make_frame(pixels, 0, ManualClock(), rotation=rotation).image
    assert image.shape[:2] == ((4, 6) if rotation % 180 == 0 else (6, 4))
    assert image[corner].min() == 255


def test_the_device_may_reuse_its_memory_at_once() -> None:
    pixels = np.full((4, 6, 3), 9, np.uint8)
    frame = make_frame(pixels, 0, ManualClock())
    pixels[:] = 200
    assert frame.image.max() == 9


def test_the_devices_size_is_swapped_by_quarter_turns() -> None:
    assert [sensor_size((64, 48), turn) for turn in (0, 90, 180, 270)] == [
        (64, 48),
        (48, 64),
        (64, 48),
        (48, 64),
    ]


def test_without_a_stamp_the_frame_is_of_now() -> None:
    clock = ManualClock(77.0)
    frame = make_frame(np.zeros((4, 6, 3), np.uint8), 3, clock)
    assert (frame.seq, frame.captured_s, frame.captured_at) == (3, 77.0, clock.utc())


def test_calls_return_at_the_frame_rate_for_any_work_between() -> None:
    clock = ManualClock(0.0)
    pace = FramePacer(10, clock, clock.sleep)
    times = []
    for work_s in (0.03, 0.09, 0.0, 0.05):
        pace.wait()
        times.append(clock.monotonic())
        clock.advance(work_s)
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_one_late_frame_does_not_shift_the_schedule() -> None:
    clock = ManualClock(0.0)
    pace = FramePacer(10, clock, clock.sleep)
    pace.wait()
    clock.advance(0.15)
    pace.wait()
    pace.wait()
    assert clock.monotonic() == pytest.approx(0.2)


def test_after_a_stall_frames_come_at_the_frame_rate() -> None:
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


def test_owned_pixels_are_used_without_a_copy_if_they_are_upright() -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    frame = make_frame(pixels, 0, ManualClock(), owned=True)
    assert frame.image is pixels
    assert not pixels.flags.writeable
    turned = make_frame(np.zeros((4, 6, 3), np.uint8), 0, ManualClock(), rotation=90, owned=True).image
    assert turned.shape == (6, 4, 3)
    assert turned.flags.c_contiguous
