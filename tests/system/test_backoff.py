from __future__ import annotations

from random import Random

from edge_daemon.system.backoff import Backoff


class Highest(Random):
    """Always draws the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_pause_doubles_up_to_the_longest_and_a_reset_starts_over() -> None:
    backoff = Backoff(1.0, 10.0)
    assert [backoff.next_s() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    backoff.reset()
    assert backoff.next_s() == 1.0


def test_no_pause_is_longer_than_the_longest() -> None:
    assert Backoff(5.0, 2.0).next_s() == 2.0


def test_an_attempt_that_held_starts_over_and_a_short_one_does_not() -> None:
    backoff = Backoff(1.0, 60.0, Highest())
    assert [backoff.next_s(held) for held in (0.0, 0.0, 29.0, 30.0, 0.0)] == [1.0, 2.0, 4.0, 1.0, 2.0]


def test_devices_spread_out() -> None:
    pauses = {Backoff(1.0, 60.0, Random(seed)).next_s() for seed in range(20)}
    assert len(pauses) == 20
    assert all(0.5 <= pause <= 1.0 for pause in pauses)


def test_years_of_attempts_don_t_overflow() -> None:
    backoff = Backoff(1.0, 60.0, Highest())
    assert [backoff.next_s() for _ in range(5000)][-1] == 60.0


def test_a_reset_to_a_short_pause_doubles_from_there() -> None:
    backoff = Backoff(1.0, 60.0, Highest())
    for _ in range(8):
        backoff.next_s()
    backoff.reset(0.25)
    assert [backoff.next_s() for _ in range(4)] == [0.25, 0.5, 1.0, 2.0]
    assert backoff.next_s(30.0) == 1.0
