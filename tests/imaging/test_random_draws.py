"""Random numbers of copies."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from edge_daemon.imaging.random_draws import RandomDraws


def test_normal_numbers_are_distributed_as_those_of_numpy_and_independent() -> None:
    ours = RandomDraws(3).standard_normal((200_000,))
    assert ours.dtype == np.float32
    levels = [0.5, 2, 10, 30, 50, 70, 90, 98, 99.5]
    theirs = np.random.default_rng(3).standard_normal(200_000)
    assert np.abs(np.percentile(ours, levels) - np.percentile(theirs, levels)).max() < 0.05
    assert (ours.mean(), ours.std()) == (pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.01))
    assert abs((ours[1:] * ours[:-1]).mean()) < 0.02


def test_uniform_numbers_and_whole_numbers_fill_their_range() -> None:
    draws = RandomDraws(5)
    numbers = np.concatenate([draws.uniform(2, 6, 3) for _ in range(3000)])
    assert (numbers.min(), numbers.mean(), numbers.max()) == pytest.approx((2, 4, 6), abs=0.06)
    assert {draws.integers(3) for _ in range(100)} == {0, 1, 2}
    assert {draws.integers(4, 6) for _ in range(100)} == {4, 5}
    assert all(0 <= draws.random() < 1 for _ in range(100))
    assert all(-1 <= draws.uniform(-1, 1) <= 1 for _ in range(100))


def test_a_seed_gives_the_same_numbers_again_and_another_seed_others() -> None:
    first, again, other = (RandomDraws(seed).standard_normal((2, 5)) for seed in (1, 1, 2))
    assert first.shape == (2, 5)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_copies_do_not_load_the_generators_of_numpy() -> None:
    code = """
import sys, numpy as np
from edge_daemon.imaging.augment import augmented_copy
from edge_daemon.imaging.random_draws import RandomDraws
augmented_copy(np.full((40, 60, 3), 90, np.uint8), RandomDraws(1))
print([name for name in sys.modules if name.startswith("numpy.random")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
