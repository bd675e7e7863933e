from __future__ import annotations

from edge_daemon.system.rate_limit import RateLimit


def test_a_steady_stream_is_thinned_to_the_rate() -> None:
    limit = RateLimit(10.0)
    allowed = sum(limit.allows(100.0 + frame / 30.0) for frame in range(300))
    assert allowed == 100


def test_a_burst_is_allowed_once_and_again_after_a_rest() -> None:
    limit = RateLimit(1.0, burst=3)
    assert [limit.allows(0.0) for _ in range(5)] == [True, True, True, False, False]
    assert [limit.allows(2.0) for _ in range(3)] == [True, True, False]
    assert [limit.allows(99.0) for _ in range(4)] == [True, True, True, False]


def test_zero_is_no_limit() -> None:
    limit = RateLimit(0.0)
    assert all(limit.allows(1.0) for _ in range(1000))
