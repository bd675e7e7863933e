"""The next label to teach, by reports written by hand."""

from __future__ import annotations

import pytest

from edge_daemon.domain.types import ClassReport
from edge_daemon.learning.quality.recommendation import recommend_next_label

ELSEWHERE = "show it once more in other light or on another day"


def ok(count: int = 10, recall: float = 0.9) -> ClassReport:
    return ClassReport("ok", count, recall)


@pytest.mark.parametrize(
    ("reports", "label", "word"),
    [
        ({"a": ok()}, "a", "only class"),
        ({"a": ok(), "b": ClassReport("needs_examples", 1, None)}, "b", "only 1 example"),
        ({"a": ok(), "b": ClassReport("confused", 6, 0.5, "a"), "c": ok(8)}, "b", "confused with a"),
        ({"a": ok(12), "b": ok(4)}, "b", "4 examples, a has 12"),
        (
            {
                "a": ok(),
                "b": ClassReport("needs_examples", 8, 0.5),
                "c": ClassReport("needs_examples", 8, 0.6),
            },
            "b",
            "50 %",
        ),
        (
            {
                "a": ok(),
                "b": ClassReport("needs_examples", 9, 0.6),
                "c": ClassReport("needs_examples", 4, 0.75),
            },
            "c",
            "75 %",
        ),
        ({"a": ok(), "b": ClassReport("needs_examples", 4, 1.0)}, "b", "too few for"),
        ({"a": ok(), "b": ClassReport("needs_examples", 5, None)}, "b", "one view"),
    ],
)
def test_the_recommendation_has_a_class_and_a_reason(
    reports: dict[str, ClassReport], label: str, word: str
) -> None:
    recommendation = recommend_next_label(reports)
    assert recommendation is not None
    assert recommendation.label == label
    assert word in recommendation.reason


def test_there_is_no_recommendation_when_every_class_is_ok() -> None:
    assert recommend_next_label({"a": ok(), "b": ok()}) is None
    assert recommend_next_label({}) is None


def in_session(presses: int, recall: float | None, sessions: int = 1) -> ClassReport:
    """Return the report of a class with this number of presses in the newest session."""
    good = recall is not None and recall >= 0.8
    return ClassReport("ok" if good else "needs_examples", 10 * sessions, recall, None, sessions, presses)


def test_a_second_session_is_preferred_to_a_tenth_press() -> None:
    for presses, elsewhere in ((4, False), (5, True), (9, True)):
        reports = {"a": in_session(12, 1.0, sessions=2), "b": in_session(presses, 0.5)}
        found = recommend_next_label(reports, several_sessions=True)
        assert found is not None
        assert found.label == "b"
        assert found.another_session == elsewhere, presses
        assert found.reason.endswith(ELSEWHERE) == elsewhere, presses


def test_a_label_that_needs_presses_here_comes_before_another_session() -> None:
    reports = {"a": in_session(12, 1.0), "b": in_session(4, 0.5)}
    found = recommend_next_label(reports)
    assert found is not None
    assert (found.label, found.another_session) == ("b", False)


def test_good_labels_of_one_session_need_another() -> None:
    found = recommend_next_label({"a": in_session(6, 0.9), "b": in_session(6, 1.0)})
    assert found is not None
    assert (found.label, found.reason) == ("a", f"it is recognised, measured in one session; {ELSEWHERE}")
    assert found.another_session


def test_the_label_with_the_fewest_sessions_comes_first() -> None:
    reports = {"a": in_session(9, 0.1, sessions=3), "b": in_session(9, 0.5, sessions=2)}
    found = recommend_next_label(reports, several_sessions=True)
    assert found is not None
    assert found.label == "b"


def test_good_labels_of_two_sessions_need_nothing() -> None:
    reports = {"a": in_session(9, 0.9, sessions=2), "b": in_session(5, 0.8, sessions=2)}
    assert recommend_next_label(reports, several_sessions=True) is None


def test_a_label_that_the_newest_session_did_not_teach_comes_before_one_that_it_did() -> None:
    reports = {"a": in_session(2, 0.3, sessions=2), "b": ClassReport("needs_examples", 10, 1.0, None, 1, 0)}
    found = recommend_next_label(reports, several_sessions=True)
    assert found is not None
    assert (found.label, found.another_session) == ("b", False)
    assert found.reason == "it was taught in one session only; show it once more"


def test_presses_of_one_view_are_no_reason_for_another_session() -> None:
    found = recommend_next_label({"a": in_session(9, 1.0, sessions=2), "b": in_session(12, None)})
    assert found is not None
    assert (found.label, found.another_session) == ("b", False)
    assert "turn the object" in found.reason
