"""Label smoother: one change per change of the object, none for flutter."""

from __future__ import annotations

import pytest

from edge_daemon.domain.types import UNKNOWN, LabelChange, Prediction
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


def test_full_hysteresis_never_changes_the_label() -> None:
    assert changes(LabelSmoother(5, 1.0, 0.0), "aaaaabbbbbbbbbb") == [(0, "a")]


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
