"""Teaching plans for sessions with enough and with too few frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.errors import ConfigError
from edge_daemon.evaluation.session_set import Session, SessionFrame
from edge_daemon.evaluation.teaching_plan import make_plans, press_count, shortfalls


def session(name: str, **counts: int) -> Session:
    frame = SessionFrame(Path("frame.png"), np.ones(2, np.float32))
    return Session(name, {label: [frame] * count for label, count in counts.items()})


MONDAY = session("monday", cat=9, dog=9, owl=9)
TUESDAY = session("tuesday", cat=9, dog=9, owl=4)
FRIDAY = session("friday", cat=9)
WEEK = [MONDAY, TUESDAY, FRIDAY]


def test_one_each_session_teaches_in_turn_unless_most_classes_are_short_of_frames() -> None:
    assert make_plans(WEEK, "one", 5) == [
        {"monday": ["cat", "dog", "owl"]},
        {"tuesday": ["cat", "dog", "owl"]},
    ]
    assert make_plans(WEEK, "one", 9) == []


def test_presses_leave_one_frame_as_a_query() -> None:
    assert [press_count(TUESDAY, label, 5) for label in ("cat", "owl", "fox")] == [5, 3, 0]


def test_each_class_is_dealt_to_a_session_that_has_enough_frames_of_it() -> None:
    plans = make_plans([MONDAY, TUESDAY], "each", 5)
    assert plans == [
        {"monday": ["cat", "owl"], "tuesday": ["dog"]},
        {"monday": ["dog", "owl"], "tuesday": ["cat"]},
    ]


def test_a_number_of_sessions_teaches_in_order_of_time() -> None:
    labels = ["cat", "dog", "owl"]
    assert make_plans(WEEK, 1, 5) == [{"monday": labels}]
    assert make_plans(WEEK, 2, 5) == [{"monday": labels, "tuesday": labels}]
    assert make_plans(WEEK, 2, 9) == []
    with pytest.raises(ConfigError, match="--teach 3 leaves no session to ask in, of 3 sessions"):
        make_plans(WEEK, 3, 5)


def test_a_session_short_of_frames_is_named_with_its_counts() -> None:
    assert list(shortfalls(WEEK, "one", 5)) == [
        "5 shots: session 'tuesday' teaches with fewer; it has 4 of 'owl'",
        "5 shots: session 'friday' does not teach; it has 0 of 'dog', 0 of 'owl'",
    ]
    assert list(shortfalls(WEEK, "each", 5)) == []
    assert list(shortfalls([TUESDAY, FRIDAY], "each", 5)) == [
        "5 shots: 'owl' is left out; a session has 4 pictures of it at most"
    ]
