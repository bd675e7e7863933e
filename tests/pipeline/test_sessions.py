"""Evaluation and advice over several sessions: real stores, clocks that jump, and boots."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from edge_daemon.domain import events
from edge_daemon.domain.types import Evaluation
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.pipeline.region import Region
from edge_daemon.system.testing import ManualClock
from edge_daemon.tracking.label_smoother import LabelSmoother
from tests.harness.pipeline_harness import Bench

REDS = ((230, 30, 30), (230, 110, 30), (230, 30, 110), (150, 30, 30), (230, 90, 90))
GREENS = ((30, 230, 30), (110, 230, 30), (30, 230, 110), (30, 150, 30), (90, 230, 90))
ONE_SESSION = "measured in one session; show each thing again in other light or on another day"
ELSEWHERE = "show it once more in other light or on another day"
MINUTE, DAY = 60.0, 24 * 3600.0


def boot(store: ExampleStore, boot_id: str, clock: ManualClock | None = None) -> Bench:
    """Start the daemon on the examples of the store."""
    region = Region("frame", None, "", LabelSmoother())
    return Bench(store, (region,), clock or ManualClock(20.0), boot_id=boot_id)


def teach_both(bench: Bench) -> Evaluation:
    for red, green in zip(REDS, GREENS, strict=True):
        bench.teach("red", red)
        bench.teach("green", green)
    return evaluation(bench)


def evaluation(bench: Bench) -> Evaluation:
    """Return the evaluation of the last frame."""
    [changed] = bench.found(events.ExamplesChanged)
    assert changed.evaluation is not None
    return changed.evaluation


def advised(bench: Bench) -> list[str]:
    return [event.label for event in bench.found(events.AnotherSessionAdvised)]


def test_an_accuracy_of_one_session_says_so(bench: Bench) -> None:
    found = teach_both(bench)
    assert (found.sessions, found.across_sessions, found.note) == (1, False, ONE_SESSION)
    assert found.accuracy == 1.0
    assert found.recommendation is not None
    assert found.recommendation.another_session
    assert found.recommendation.reason == f"it is recognised, measured in one session; {ELSEWHERE}"


def test_two_sessions_predict_each_other(bench: Bench) -> None:
    teach_both(bench)
    bench.clock.advance(21 * MINUTE)
    found = teach_both(bench)
    assert (found.sessions, found.across_sessions, found.accuracy) == (2, True, 1.0)
    assert found.note == "measured across sessions: each one is predicted by the others"
    assert {report.sessions for report in found.classes.values()} == {2}
    assert found.recommendation is None


def test_labels_that_only_their_own_session_knows_are_not_recognised(bench: Bench) -> None:
    """The first session calls red what the second one calls green."""
    teach_both(bench)
    bench.clock.advance(21 * MINUTE)
    for red, green in zip(REDS, GREENS, strict=True):
        bench.teach("red", green)
        bench.teach("green", red)
    found = evaluation(bench)
    assert found.across_sessions
    assert found.accuracy == 0.0
    assert found.classes["red"].confused_with == "green"


def test_a_label_of_one_session_is_named_while_others_have_two(bench: Bench) -> None:
    teach_both(bench)
    bench.clock.advance(21 * MINUTE)
    for red in REDS:
        bench.teach("red", red)
    found = evaluation(bench)
    assert found.across_sessions
    assert (found.classes["red"].sessions, found.classes["green"].sessions) == (2, 1)
    assert (found.classes["green"].status, found.classes["green"].recall) == ("needs_examples", 1.0)
    assert found.recommendation is not None
    assert found.recommendation.label == "green"
    assert found.recommendation.reason.startswith("it was taught in one session only")
    assert not found.recommendation.another_session, "the next press is another session"


def test_labels_of_separate_sessions_are_not_ok(bench: Bench) -> None:
    for red in REDS:
        bench.teach("red", red)
    bench.clock.advance(21 * MINUTE)
    for green in GREENS:
        bench.teach("green", green)
    found = evaluation(bench)
    assert (found.sessions, found.across_sessions) == (2, False)
    assert found.note == "no two sessions taught the same labels; show every label in one session"
    assert {report.status for report in found.classes.values()} == {"needs_examples"}
    assert found.recommendation is not None
    assert found.recommendation.label == "red"


def test_without_a_clock_each_boot_is_a_session(store: ExampleStore) -> None:
    start = datetime(2024, 3, 1, tzinfo=UTC)
    teach_both(boot(store, "first", ManualClock(20.0, start)))
    found = teach_both(boot(store, "second", ManualClock(20.0, start + timedelta(minutes=3))))
    assert (found.sessions, found.across_sessions) == (2, True)


@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(days=-400)], ids=["forward", "back"])
def test_a_clock_that_jumps_begins_no_session(store: ExampleStore, jump: timedelta) -> None:
    bench = boot(store, "first")
    teach_both(bench)
    bench.clock.set_utc(bench.clock.utc() + jump)
    assert teach_both(bench).sessions == 1
    restarted = boot(store, "second")
    restarted.show(REDS[0])
    assert evaluation(restarted).sessions == 1, "read again from the store"


def test_a_restart_of_the_daemon_begins_no_session(store: ExampleStore) -> None:
    bench = boot(store, "first")
    teach_both(bench)
    assert teach_both(boot(store, "first", bench.clock)).sessions == 1


def test_ten_presses_in_one_session_advise_another_once_a_day(bench: Bench) -> None:
    bench.teach("green", GREENS[0])
    for press in range(30):
        bench.teach("red", REDS[press % 5])
        assert advised(bench) == (["red"] if press == 9 else []), press
    for press in range(12):
        bench.teach("green", GREENS[press % 5])
        assert advised(bench) == (["green"] if press == 8 else []), press


def test_the_advice_is_repeated_after_a_day(store: ExampleStore) -> None:
    bench = boot(store, "first")
    for press in range(10):
        bench.teach("red", REDS[press % 5])
    [advice] = bench.found(events.AnotherSessionAdvised)
    assert advice.note == ONE_SESSION
    for _ in range(int(DAY // (15 * MINUTE)) - 1):  # the session goes on
        bench.clock.advance(15 * MINUTE)
        bench.teach("red", REDS[0])
        assert not advised(bench)
    bench.clock.advance(15 * MINUTE)
    bench.teach("red", REDS[1])
    assert advised(bench) == ["red"]


def test_a_label_with_a_second_session_is_not_advised(bench: Bench) -> None:
    bench.teach("red", REDS[0])
    bench.clock.advance(21 * MINUTE)
    for press in range(15):
        bench.teach("red", REDS[press % 5])
        assert not advised(bench)


def test_a_held_button_counts_as_one_press(bench: Bench) -> None:
    for press in range(20):
        command = bench.press("red")
        bench.show(
            REDS[press % 5],
            instructions=(type(command)("red", command.pressed_s, command.origin, group="hold"),),
        )
        assert not advised(bench)
