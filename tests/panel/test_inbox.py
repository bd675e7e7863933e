"""Two bounded queues behind one condition."""

from __future__ import annotations

import threading

from edge_daemon.domain.events import CameraRestored, Ready
from edge_daemon.panel.inbox import Inbox, RawEdge
from tests.harness.manual_clock import ManualClock


def test_edges_are_stamped_as_they_come_and_taken_in_order() -> None:
    clock = ManualClock(1.0)
    inbox = Inbox(clock)
    inbox.put_edge(17, True)
    clock.now = 1.5
    inbox.put_edge(17, False)
    clock.now = 2.0

    mail = inbox.take(0)

    assert mail.edges == [RawEdge(17, True, 1.0), RawEdge(17, False, 1.5)]
    assert mail.at_s == 2.0
    assert inbox.take(0).edges == []


def test_an_edge_that_was_held_up_bears_the_time_it_was_made() -> None:
    inbox = Inbox(ManualClock(2.0))
    inbox.put_edge(17, True, 0.5)
    assert inbox.take(0).edges == [RawEdge(17, True, 1.5)]


def test_a_flood_of_edges_is_noticed_and_pushes_no_event_out() -> None:
    inbox = Inbox(ManualClock(), max_queued=4)
    inbox.put_event(Ready())
    for _ in range(5):
        inbox.put_edge(17, True)

    mail = inbox.take(0)

    assert len(mail.edges) == 4
    assert mail.lost_edges
    assert mail.events == [Ready()]
    assert not inbox.take(0).lost_edges


def test_of_too_many_events_the_latest_are_kept() -> None:
    inbox = Inbox(ManualClock(), max_queued=2)
    for outage_s in (1.0, 2.0, 3.0):
        inbox.put_event(CameraRestored(outage_s))

    assert inbox.take(0).events == [CameraRestored(2.0), CameraRestored(3.0)]


def test_taking_waits_for_what_another_thread_leaves() -> None:
    inbox = Inbox(ManualClock())
    other = threading.Timer(0.02, inbox.put_event, [Ready()])
    other.start()

    assert inbox.take(10.0).events == [Ready()]
    other.join()
