"""The latest frame: viewers wait for it, and it is overdue by the camera's own pace."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from edge_daemon.domain.types import Frame
from edge_daemon.system.latest_frame import MAX_KEPT, STALLED_S, LatestFrame


def frame(seq: int, captured_s: float) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), seq, captured_s, datetime.now(UTC))


def test_it_is_stalled_before_the_first_frame() -> None:
    frames = LatestFrame()
    assert frames.is_stalled(0.0)
    frames.set(frame(1, 5.0))
    assert not frames.is_stalled(5.0)


@pytest.mark.parametrize(("interval_s", "limit_s"), [(0.05, STALLED_S), (10.0, 30.0)])
def test_a_frame_is_overdue_by_the_pace_of_its_camera(interval_s: float, limit_s: float) -> None:
    frames = LatestFrame()
    frames.set(frame(1, 0.0))
    frames.set(frame(2, interval_s))
    assert not frames.is_stalled(interval_s + limit_s - 0.1)
    assert frames.is_stalled(interval_s + limit_s + 0.1)


def test_a_later_frame_is_waited_for() -> None:
    frames = LatestFrame()
    frames.set(frame(3, 0.0))
    assert frames.wait(3, timeout_s=0.0) is None
    found = frames.wait(2, timeout_s=0.0)
    assert found is not None
    assert found.seq == 3


def test_a_kept_frame_is_returned_after_later_ones_to_all_who_asked() -> None:
    frames = LatestFrame()
    for _ in range(2):
        frames.keep(1)
    for seq in (1, 2, 3):
        frames.set(frame(seq, float(seq)))
    for seq in (1, 1, 3):  # the third time nobody keeps it
        found = frames.take(1, timeout_s=0.0)
        assert found is not None
        assert found.seq == seq


def test_a_frame_that_is_released_or_one_of_too_many_is_not_kept() -> None:
    frames = LatestFrame()
    for seq in range(MAX_KEPT + 2):
        frames.keep(seq)
    frames.release(MAX_KEPT)
    for seq in range(MAX_KEPT + 2):
        frames.set(frame(seq, float(seq)))
    last = MAX_KEPT + 1
    for seq, kept in ((0, last), (1, last), (2, 2), (MAX_KEPT, last), (last, last)):
        found = frames.take(seq, timeout_s=0.0)
        assert found is not None
        assert found.seq == kept
    assert frames.take(last + 1, timeout_s=0.0) is None
