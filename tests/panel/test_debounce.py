"""Debouncing of traces like those of real switches, and properties of any trace."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_daemon.panel.debounce import Debouncer, Edge

SETTLE_S = 0.025

# (milliseconds, contact closed), shaped like oscilloscope traces of switches.
TACTILE = [(0.0, True), (0.2, False), (0.3, True), (0.9, False), (1.0, True), (1.4, False), (1.5, True)]
WORN_ARCADE = [
    (0.0, True),
    (3.1, False),
    (4.0, True),
    (9.7, False),
    (12.2, True),
    (19.8, False),
    (20.1, True),
]
RELEASE = [(0.0, False), (0.1, True), (0.2, False), (2.5, True), (2.6, False)]
SPIKE = [(0.0, True), (0.05, False)]


def feed(debouncer: Debouncer, trace: list[tuple[float, bool]], start_s: float) -> list[Edge]:
    """Play a trace from `start_s` and wait until the line has been quiet for a second."""
    edges = [debouncer.update(level, start_s + ms / 1000) for ms, level in trace]
    edges.append(debouncer.advance(start_s + trace[-1][0] / 1000 + 1))
    return [edge for edge in edges if edge is not None]


@pytest.mark.parametrize("trace", [TACTILE, WORN_ARCADE], ids=["tactile", "worn arcade"])
def test_a_bouncing_press_is_one_edge_at_the_time_of_the_first_contact(
    trace: list[tuple[float, bool]],
) -> None:
    debouncer = Debouncer(pressed=False, settle_s=SETTLE_S)

    edges = feed(debouncer, trace, 10.0)

    assert [(edge.pressed, edge.first_s) for edge in edges] == [(True, 10.0)]
    assert edges[0].settled_s == pytest.approx(10.0 + trace[-1][0] / 1000 + SETTLE_S)


def test_a_bouncing_release_is_one_edge() -> None:
    debouncer = Debouncer(pressed=True, settle_s=SETTLE_S)

    assert [edge.pressed for edge in feed(debouncer, RELEASE, 5.0)] == [False]


def test_a_spike_is_no_press_and_does_not_affect_the_next_one() -> None:
    debouncer = Debouncer(pressed=False, settle_s=SETTLE_S)

    assert feed(debouncer, SPIKE, 1.0) == []
    assert [edge.first_s for edge in feed(debouncer, TACTILE, 3.0)] == [3.0]


def test_a_humming_line_is_no_press() -> None:
    debouncer = Debouncer(pressed=False, settle_s=SETTLE_S)
    hum = [debouncer.update(half % 2 == 0, 1.0 + half * 0.01) for half in range(1000)]

    assert not any(hum)


def test_a_settled_press_is_not_lost_when_the_next_edge_comes_first() -> None:
    debouncer = Debouncer(pressed=False, settle_s=SETTLE_S)
    debouncer.update(True, 1.0)

    edge = debouncer.update(False, 2.0)

    assert edge == Edge(True, 1.0, 1.0 + SETTLE_S)
    assert debouncer.advance(3.0) == Edge(False, 2.0, 2.0 + SETTLE_S)


def test_the_deadline_is_the_end_of_the_quiet_time() -> None:
    debouncer = Debouncer(pressed=False, settle_s=SETTLE_S)
    assert debouncer.next_deadline is None
    debouncer.update(True, 1.0)
    debouncer.update(True, 1.01)  # the same level again is not a movement
    deadline = debouncer.next_deadline

    assert deadline == 1.0 + SETTLE_S
    assert debouncer.advance(deadline - 1e-6) is None
    assert debouncer.advance(deadline) is not None
    assert debouncer.next_deadline is None


def test_without_a_settling_time_every_edge_counts_at_once() -> None:
    debouncer = Debouncer(pressed=False, settle_s=0)

    assert [debouncer.update(level, 1.0) for level in (True, False)] == [
        Edge(True, 1.0, 1.0),
        Edge(False, 1.0, 1.0),
    ]


@given(
    gaps_ms=st.lists(st.floats(0, 80), max_size=60),
    levels=st.lists(st.booleans(), min_size=60, max_size=60),
    start=st.booleans(),
)
def test_any_trace_gives_alternating_edges_far_apart_that_end_at_the_settled_level(
    gaps_ms: list[float], levels: list[bool], start: bool
) -> None:
    debouncer = Debouncer(pressed=start, settle_s=SETTLE_S)
    trace, now = [], 0.0
    for gap_ms, level in zip(gaps_ms, levels, strict=False):
        now += gap_ms
        trace.append((now, level))

    edges = feed(debouncer, trace, 0.0) if trace else []

    assert debouncer.pressed == (trace[-1][1] if trace else start)
    assert all(edge.pressed != before.pressed for before, edge in pairwise(edges))
    presses = [edge for edge in edges if edge.pressed]
    for before, press in pairwise(presses):
        assert press.first_s - before.first_s >= SETTLE_S
        assert press.settled_s - before.settled_s >= 2 * SETTLE_S - 1e-9
