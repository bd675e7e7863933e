from __future__ import annotations

from random import Random

from edge_daemon.mqtt.backoff import Backoff


class Highest(Random):
    """Always draws the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_pause_doubles_up_to_the_longest() -> None:
    backoff = Backoff(10.0, Highest())
    assert [backoff.next_s(0.0) for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_connection_that_held_begins_anew_and_a_short_one_does_not() -> None:
    backoff = Backoff(60.0, Highest())
    assert [backoff.next_s(held) for held in (0.0, 0.0, 29.0, 30.0, 0.0)] == [1.0, 2.0, 4.0, 1.0, 2.0]


def test_devices_spread_out() -> None:
    pauses = {Backoff(60.0, Random(seed)).next_s(0.0) for seed in range(20)}
    assert len(pauses) == 20
    assert all(0.5 <= pause <= 1.0 for pause in pauses)


def test_years_of_attempts_don_t_overflow() -> None:
    backoff = Backoff(60.0, Highest())
    assert [backoff.next_s(0.0) for _ in range(5000)][-1] == 60.0


def test_where_the_next_attempt_differs_it_comes_soon() -> None:
    backoff = Backoff(60.0, Random(1))
    for _ in range(8):
        backoff.next_s(0.0)
    backoff.reset()
    assert backoff.next_s(0.0) <= 0.25
    for _ in range(8):
        last_s = backoff.next_s(0.0)
    assert last_s > 10
