"""Batching of writes during an outage: short intervals first, half a minute later."""

from __future__ import annotations

from edge_daemon.mqtt.persistent_queue import MAX_INTERVAL_S, WriteBatching


def writes_in(seconds: int) -> int:
    """Count the writes of an outage with an event every second."""
    batches, count = WriteBatching(), 0
    for now_s in range(seconds):
        if batches.due(now_s):
            batches.written(now_s)
            count += 1
    return count


def test_the_first_events_of_an_outage_are_written_at_once() -> None:
    assert WriteBatching().due(0.0)
    assert writes_in(2) == 2


def test_a_day_of_events_every_second_is_written_in_batches() -> None:
    assert writes_in(86_400) < 86_400 / MAX_INTERVAL_S + 10


def test_no_event_waits_longer_than_the_maximum_interval() -> None:
    batches = WriteBatching()
    for now_s in range(0, 3600, 40):
        assert batches.due(now_s)
        batches.written(now_s)
        assert not batches.due(now_s + 0.5)
        assert batches.due(now_s + MAX_INTERVAL_S)
