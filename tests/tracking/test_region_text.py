"""Labels of regions, joined and smoothed as one text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_daemon.domain.types import UNKNOWN, Prediction
from edge_daemon.tracking.label_smoother import LabelSmoother
from edge_daemon.tracking.region_text import RegionTextJoiner, join_predictions


def prediction_of(label: str, confidence: float = 0.9, similarity: float = 0.8) -> Prediction:
    confidences = {} if label == UNKNOWN else {label: confidence}
    return Prediction(label, confidences, similarity)


def test_a_text_has_the_smallest_confidence_of_its_parts_and_marks_unknown_ones() -> None:
    text = join_predictions([prediction_of("4", 0.9, 0.7), prediction_of("2", 0.6, 0.95)])
    assert (text.label, text.confidence, text.similarity) == ("42", 0.6, 0.7)
    assert join_predictions([prediction_of("4"), prediction_of(UNKNOWN)]).label == "4?"


def test_there_is_no_text_before_every_region_has_a_prediction() -> None:
    joiner = RegionTextJoiner(("tens", "ones"), LabelSmoother(window=1, min_hold_s=0))
    joiner.add("tens", prediction_of("4"))
    assert joiner.finish_frame(1.0) is None
    joiner.add("ones", prediction_of("2"))
    change = joiner.finish_frame(1.1)
    assert change is not None
    assert change.label == "42"
    assert joiner.finish_frame(1.2) is None, "a frame without news changes nothing"


@given(
    st.integers(0, 900),
    st.lists(st.integers(1, 9), min_size=1, max_size=30),
    st.integers(1, 7),
    st.floats(0, 1),
)
def test_every_emitted_text_was_in_a_frame(
    start: int, steps: list[int], window: int, hysteresis: float
) -> None:
    names = ("hundreds", "tens", "ones")
    joiner = RegionTextJoiner(names, LabelSmoother(window, hysteresis, min_hold_s=0.1))
    shown, emitted, now = set(), set(), 0.0
    number = start
    for step in steps:
        number = (number + step) % 1000
        for _ in range(step):
            now += 0.05
            shown.add(f"{number:03}")
            for name, digit in zip(names, f"{number:03}", strict=True):
                joiner.add(name, prediction_of(digit))
            change = joiner.finish_frame(now)
            emitted |= {change.label} if change is not None else set()
    assert emitted
    assert emitted <= shown
