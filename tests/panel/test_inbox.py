"""The panel's queues of edges and events."""

from __future__ import annotations

import threading

from edge_daemon.domain.events import CameraRestored, Ready
from edge_daemon.panel.panel import Inbox, RawEdge
from edge_daemon.system.testing import ManualClock


def test_edges_get_their_time_and_keep_their_order() -> None:
    clock = ManualClock(1.0)
    inbox = Inbox(clock)
    inbox.put_edge(17, True)
    clock.advance(0.5)
    inbox.put_edge(17, False)
    clock.advance(0.5)

    pending = inbox.pop_pending(0)

    assert pending.edges == [RawEdge(17, True, 1.0), RawEdge(17, False, 1.5)]
    assert pending.at_s == 2.0
    assert inbox.pop_pending(0).edges == []


def test_a_late_edge_keeps_its_own_time() -> None:
    inbox = Inbox(ManualClock(2.0))
    inbox.put_edge(17, True, 0.5)
    assert inbox.pop_pending(0).edges == [RawEdge(17, True, 1.5)]


def test_a_flood_of_edges_is_reported_and_displaces_no_event() -> None:
    inbox = Inbox(ManualClock(), max_queued=4)
    inbox.put_event(Ready())
    for _ in range(5):
        inbox.put_edge(17, True)

    pending = inbox.pop_pending(0)

    assert len(pending.edges) == 4
    assert pending.lost_edges
    assert pending.events == [Ready()]
    assert not inbox.pop_pending(0).lost_edges


def test_a_full_queue_of_events_keeps_the_latest() -> None:
    inbox = Inbox(ManualClock(), max_queued=2)
    for outage_s in (1.0, 2.0, 3.0):
        inbox.put_event(CameraRestored(outage_s))

    assert inbox.pop_pending(0).events == [CameraRestored(2.0), CameraRestored(3.0)]


def test_popping_waits_for_another_threads_item() -> None:
    inbox = Inbox(ManualClock())
    other = threading.Timer(0.02, inbox.put_event, [Ready()])
    other.start()

    assert inbox.pop_pending(10.0).events == [Ready()]
    other.join()
