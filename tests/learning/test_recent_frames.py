"""Running mean of recent frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.learning.recent_frames import MEAN_FRAMES, RecentFrames


def unit(*numbers: float) -> npt.NDArray[np.float32]:
    vector = np.array(numbers, np.float32)
    unit: npt.NDArray[np.float32] = vector / np.linalg.norm(vector)
    return unit


def random_units(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, 32)).astype(np.float32)
    units: npt.NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units


def test_the_mean_of_few_frames_is_their_mean() -> None:
    recent, frames = RecentFrames(), random_units(10)
    for frame in frames:
        recent.add(frame)
    assert recent.count == 10
    assert recent.mean == pytest.approx(frames.mean(axis=0), abs=1e-6)


def test_a_picture_that_does_not_change_counts_once() -> None:
    recent = RecentFrames()
    for _ in range(100):
        recent.add(unit(1, 0.01 * np.random.default_rng(0).normal()))
    recent.add(unit(0, 1))
    assert recent.count == 2
    assert recent.mean == pytest.approx([0.5, 0.5], abs=0.01)


def test_frames_of_another_place_replace_the_old_ones() -> None:
    recent = RecentFrames()
    for frame in random_units(200) + 3 * unit(1, *[0] * 31):
        recent.add(unit(*frame))
    for frame in random_units(5 * MEAN_FRAMES, seed=1) + 3 * unit(0, 1, *[0] * 30):
        recent.add(unit(*frame))
    assert recent.mean[1] > 50 * abs(recent.mean[0])


def test_the_mean_starts_again_after_twenty_minutes_without_a_new_view() -> None:
    recent = RecentFrames()
    recent.add(unit(1, 0), now=0)
    recent.add(unit(0, 1), now=1000)
    assert recent.count == 2
    recent.add(unit(0, 1), now=1000 + 1201)
    assert recent.count == 1


def test_embeddings_of_another_size_start_again() -> None:
    recent = RecentFrames()
    recent.add(unit(1, 0))
    recent.add(unit(1, 0, 0))
    assert recent.count == 1
    assert len(recent.mean) == 3


def test_frames_that_are_not_classified_change_no_share() -> None:
    recent = RecentFrames()
    for number, frame in enumerate(random_units(40)):
        recent.add(frame)
        if number % 2:
            recent.record_known(known=number % 4 == 1)
    assert recent.scored == 20
    assert recent.known_share == pytest.approx(0.5)


def test_a_reset_drops_the_known_share() -> None:
    recent = RecentFrames()
    for frame in random_units(10):
        recent.add(frame)
        recent.record_known(known=False)
    recent.reset()
    assert (recent.scored, recent.known_share) == (0, 1.0)
