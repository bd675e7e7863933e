"""Teaching sessions by the times of the examples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from edge_daemon.learning.sessions import SessionCounter

START = datetime(2025, 3, 1, 9, tzinfo=UTC)


def numbers(minutes: list[float], origins: str = "") -> list[int]:
    counter = SessionCounter()
    devices = origins or "a" * len(minutes)
    return [
        counter.number(START + timedelta(minutes=each), device)
        for each, device in zip(minutes, devices, strict=True)
    ]


def test_presses_more_than_twenty_minutes_apart_are_of_two_sessions() -> None:
    assert numbers([0, 5, 25, 45, 65.1, 70, 2000]) == [0, 0, 0, 0, 1, 1, 2]


def test_a_clock_that_starts_again_begins_a_session() -> None:
    assert numbers([60, 62, 0, 3]) == [0, 0, 1, 1]


def test_each_device_of_a_fleet_has_sessions_of_its_own() -> None:
    assert numbers([0, 1, 30, 10, 31, 12], "ababab") == [0, 1, 2, 1, 2, 1]
