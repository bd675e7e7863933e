"""The labels of regions, joined and smoothed as one text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_daemon.domain.types import UNKNOWN, Prediction
from edge_daemon.tracking.label_smoother import LabelSmoother
from edge_daemon.tracking.region_text import RegionTextJoiner, join_predictions


def seen(label: str, confidence: float = 0.9, similarity: float = 0.8) -> Prediction:
    confidences = {} if label == UNKNOWN else {label: confidence}
    return Prediction(label, confidences, similarity)


def test_a_text_is_as_sure_as_its_least_sure_part_and_marks_what_is_unknown() -> None:
    text = join_predictions([seen("4", 0.9, 0.7), seen("2", 0.6, 0.95)])
    assert (text.label, text.confidence, text.similarity) == ("42", 0.6, 0.7)
    assert join_predictions([seen("4"), seen(UNKNOWN)]).label == "4?"


def test_a_text_comes_once_every_region_was_read() -> None:
    reading = RegionTextJoiner(("tens", "ones"), LabelSmoother(window=1, min_hold_s=0))
    reading.add("tens", seen("4"))
    assert reading.finish_frame(1.0) is None
    reading.add("ones", seen("2"))
    change = reading.finish_frame(1.1)
    assert change is not None
    assert change.label == "42"
    assert reading.finish_frame(1.2) is None, "a frame without news changes nothing"


@given(
    st.integers(0, 900),
    st.lists(st.integers(1, 9), min_size=1, max_size=30),
    st.integers(1, 7),
    st.floats(0, 1),
)
def test_no_text_is_told_that_stood_in_no_frame(
    start: int, steps: list[int], window: int, hysteresis: float
) -> None:
    names = ("hundreds", "tens", "ones")
    reading = RegionTextJoiner(names, LabelSmoother(window, hysteresis, min_hold_s=0.1))
    shown, told, now = set(), set(), 0.0
    number = start
    for step in steps:
        number = (number + step) % 1000
        for _ in range(step):
            now += 0.05
            shown.add(f"{number:03}")
            for name, digit in zip(names, f"{number:03}", strict=True):
                reading.add(name, seen(digit))
            change = reading.finish_frame(now)
            told |= {change.label} if change is not None else set()
    assert told
    assert told <= shown
