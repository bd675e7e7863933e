"""Label smoother: one change per change of the object, none for flutter."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.domain.types import UNKNOWN, Interpolation, LabelChange, Prediction
from edge_daemon.tracking.label_smoother import LabelSmoother


def prediction_of(label: str, confidence: float = 1.0) -> Prediction:
    return Prediction(label, {label: confidence}, confidence)


def changes(smoother: LabelSmoother, labels: str, step_s: float = 0.1) -> list[tuple[int, str]]:
    found = []
    for index, label in enumerate(labels):
        change = smoother.update(prediction_of(label), index * step_s)
        if change:
            found.append((index, change.label))
    return found


def test_the_first_label_is_stable_at_once() -> None:
    smoother = LabelSmoother()
    assert smoother.label is None
    assert smoother.update(prediction_of("a", 0.7), 0.0) == LabelChange("a", None, 0.7)
    assert smoother.label == "a"


def test_a_new_object_changes_the_label_once() -> None:
    assert changes(LabelSmoother(), "aaaaabbbbbbbb") == [(0, "a"), (8, "b")]


def test_two_alternating_labels_change_nothing() -> None:
    assert changes(LabelSmoother(), "aaaaa" + "bababababababab" + "aabbaabbaabb") == [(0, "a")]


def test_a_single_outlier_changes_nothing() -> None:
    assert changes(LabelSmoother(), "aaaaabaaaaacaaaa") == [(0, "a")]


def test_a_label_is_held_for_its_minimum_time() -> None:
    smoother = LabelSmoother(window=1, hysteresis=0.0, min_hold_s=1.0)
    assert changes(smoother, "abbbbbbbbbbbb") == [(0, "a"), (10, "b")]


def test_a_window_of_one_follows_every_frame() -> None:
    assert changes(LabelSmoother(1, 0.0, 0.0), "abca") == [(0, "a"), (1, "b"), (2, "c"), (3, "a")]


def test_with_full_hysteresis_a_new_label_needs_all_frames_of_the_window() -> None:
    assert changes(LabelSmoother(3, 1.0), "aaa" + "bba" + "bbb") == [(0, "a"), (8, "b")]


def test_unknown_is_a_label_like_others() -> None:
    smoother = LabelSmoother(1, 0.0, 0.0)
    smoother.update(prediction_of("a"), 0.0)
    change = smoother.update(Prediction(UNKNOWN, {"a": 1.0}, 0.1), 1.0)
    assert change == LabelChange(UNKNOWN, "a", 0.0)


def test_confidence_is_the_average_of_the_frames_that_voted_for_it() -> None:
    smoother = LabelSmoother(3, 0.0, 0.0)
    for label, confidence in (("a", 1.0), ("a", 1.0), ("b", 0.4)):
        smoother.update(prediction_of(label, confidence), 0.0)
    change = smoother.update(prediction_of("b", 0.8), 1.0)
    assert change is not None
    assert change.confidence == pytest.approx(0.6)


def test_reset_clears_the_window() -> None:
    smoother = LabelSmoother()
    changes(smoother, "aaaaa")
    smoother.reset()
    assert smoother.label is None
    assert changes(smoother, "b") == [(0, "b")]


def number_of(value: float, label: str | None = None) -> Prediction:
    found = Interpolation(value, 0.8)
    return Prediction(label or found.label, {"0": 0.5, "100": 0.5}, 0.9, interpolation=found)


def number_changes(smoother: LabelSmoother, values: np.ndarray) -> list[float]:
    changes = (smoother.update(number_of(value), index * 0.1) for index, value in enumerate(values.tolist()))
    return [float(change.label) for change in changes if change]


def test_a_number_at_rest_hardly_changes_its_label_and_one_that_moves_is_followed() -> None:
    noise = np.random.default_rng(0).normal(0, 0.5, 300)
    assert len(number_changes(LabelSmoother(), 34 + noise)) <= 5
    smoother = LabelSmoother()
    number_changes(smoother, np.concatenate((20 + noise[:20], 70 + noise[20:40])))
    assert smoother.label is not None
    assert float(smoother.label) == pytest.approx(70, abs=1)
    ramp = number_changes(LabelSmoother(), np.linspace(0, 100, 100) + noise[:100])
    assert len(ramp) > 8
    assert ramp[-1] > 85


def test_numbers_vote_together_against_unknown() -> None:
    smoother = LabelSmoother()
    smoother.update(number_of(34), 0.0)
    for index, value in enumerate((34.1, 33.9, 34.2)):
        smoother.update(number_of(value, UNKNOWN if index == 1 else None), 1 + index)
    assert smoother.label == "34"
    last = [smoother.update(number_of(34, UNKNOWN), 10 + index) for index in range(5)]
    assert [change.label for change in last if change] == [UNKNOWN]
    back = [smoother.update(number_of(34.04), 20 + index) for index in range(5)]
    assert [(change.label, change.confidence) for change in back if change] == [("34", 0.8)]


def test_without_a_window_each_number_is_a_label() -> None:
    assert number_changes(LabelSmoother(window=1, min_hold_s=0), np.array([1.0, 1.0, 2.0])) == [1, 2]
