"""Reliability bins and expected calibration error with values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.evaluation.calibration import expected_calibration_error, reliability


def test_bins_have_equal_width_and_the_last_one_includes_certainty() -> None:
    bins = reliability([0.05, 0.95, 1.0, 0.1], [False, True, True, True])
    assert [(each.count, each.accuracy) for each in bins] == [(1, 0.0), (1, 1.0), (2, 1.0)]
    assert [each.confidence for each in bins] == pytest.approx([0.05, 0.1, 0.975])


def test_the_error_is_weighted_by_the_bins_counts() -> None:
    bins = reliability([0.75, 0.75, 0.75, 0.25], [True, True, True, True])
    assert expected_calibration_error(bins) == pytest.approx((3 * 0.25 + 1 * 0.75) / 4)


def test_confidences_that_are_the_probability_of_a_hit_have_a_small_error() -> None:
    random = np.random.default_rng(0)
    confidences = random.uniform(size=20_000)
    correct = random.uniform(size=20_000) < confidences
    assert expected_calibration_error(reliability(confidences.tolist(), correct.tolist())) < 0.02
    inverted = reliability((1 - confidences).tolist(), correct.tolist())
    assert expected_calibration_error(inverted) > 0.4
