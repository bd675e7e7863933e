from __future__ import annotations

from edge_daemon.fleet.live_set import LiveSet
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.fleet.records import FleetMessage
from tests.harness.fleet_harness import SIGNER, example


def live_set_message(number: int) -> FleetMessage:
    return FleetMessage("north", live_set=LiveSet(number, frozenset()))


def test_parcels_are_taken_in_order_and_none_replaces_another() -> None:
    receive_queue = ReceiveQueue()
    for number in (9, 5):
        receive_queue.put("north/roll", live_set_message(number), number)
    assert [receive_queue.pop(), receive_queue.pop(), receive_queue.pop()] == [
        live_set_message(9),
        live_set_message(5),
        None,
    ]


def test_overflow_is_reported_once_as_soon_as_there_is_room() -> None:
    receive_queue = ReceiveQueue(max_queued=1)
    receive_queue.put("a", live_set_message(1), 1)
    receive_queue.put("b", live_set_message(2), 2)
    assert not receive_queue.pop_overflow(), "the queue is still full"
    assert receive_queue.is_unchanged("a", 1)
    assert not receive_queue.is_unchanged("b", 2)
    receive_queue.pop()
    assert receive_queue.pop_overflow()
    assert not receive_queue.pop_overflow()


def test_lost_messages_are_processed_again_when_received_again() -> None:
    receive_queue = ReceiveQueue()
    receive_queue.put("a", live_set_message(1), 1)
    receive_queue.pop()
    receive_queue.mark_overflow()
    assert not receive_queue.is_unchanged("a", 1)
    assert receive_queue.pop_overflow()


def test_rejections_are_counted_by_reason() -> None:
    receive_queue = ReceiveQueue()
    for reason in ("signature", "signature", "space"):
        receive_queue.count_rejection(reason)
    assert receive_queue.rejected == {"signature": 2, "space": 1}


def test_queued_embeddings_are_bounded_in_bytes() -> None:
    receive_queue = ReceiveQueue(max_bytes=100)
    received = SIGNER.verify("north", SIGNER.sign_example("north", 7, example(1, size=20)))
    assert not isinstance(received, LiveSet)
    heavy = FleetMessage("north", examples=(received,))
    receive_queue.put("a", heavy, 1)
    receive_queue.put("b", heavy, 2)
    assert (receive_queue.pop(), receive_queue.pop()) == (heavy, None)
    assert receive_queue.pop_overflow()
    receive_queue.put("b", FleetMessage("north", examples=(received, received)), 2)
    assert receive_queue.pop() is not None, "a single message is always queued"


def test_no_device_is_present_after_a_new_connection() -> None:
    receive_queue = ReceiveQueue()
    receive_queue.mark_present("north")
    assert receive_queue.is_present("north")
    receive_queue.connected()
    assert (receive_queue.is_present("north"), receive_queue.connections) == (False, 1)
