"""Detection of a stall: neither a quick broker nor a busy one counts as hung."""

from __future__ import annotations

from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.stall_detector import STALL_S, StallDetector


def event(number: int) -> Message:
    return Message("event", b"%d" % number, 1, retain=False)


def test_a_message_that_waits_is_found_within_twice_the_time() -> None:
    detector, waiting = StallDetector(), [event(1)]
    assert not detector.is_stalled([], 0.0)
    assert not detector.due(STALL_S - 0.1)
    assert detector.due(STALL_S)
    assert not detector.is_stalled(waiting, STALL_S), "it may have come just now"
    waiting.append(event(2))
    assert detector.is_stalled(waiting, 2 * STALL_S)


def test_a_long_queue_that_moves_on_is_no_stall() -> None:
    detector, waiting = StallDetector(), [event(number) for number in range(20)]
    for step in range(10):
        assert not detector.is_stalled(waiting, step * STALL_S)
        waiting = [event(number) for number in range(20)]  # the same text, other messages
