from __future__ import annotations

from edge_daemon.fleet.live_set import LiveSet
from edge_daemon.fleet.messages import FleetMessage
from edge_daemon.fleet.receive_queue import ReceiveQueue
from tests.harness.fleet_harness import SEAL, example


def parcel(number: int) -> FleetMessage:
    return FleetMessage("north", roll=LiveSet(number, frozenset()))


def test_parcels_are_taken_in_order_and_none_replaces_another() -> None:
    inbox = ReceiveQueue()
    for number in (9, 5):
        inbox.put("north/roll", parcel(number), number)
    assert [inbox.take(), inbox.take(), inbox.take()] == [parcel(9), parcel(5), None]


def test_what_finds_no_room_is_asked_for_once_there_is_room() -> None:
    inbox = ReceiveQueue(max_waiting=1)
    inbox.put("a", parcel(1), 1)
    inbox.put("b", parcel(2), 2)
    assert not inbox.take_missed(), "there is still no room"
    assert inbox.has("a", 1)
    assert not inbox.has("b", 2)
    inbox.take()
    assert inbox.take_missed()
    assert not inbox.take_missed()


def test_what_came_to_nothing_is_looked_at_again_when_it_comes_again() -> None:
    inbox = ReceiveQueue()
    inbox.put("a", parcel(1), 1)
    inbox.take()
    inbox.miss()
    assert not inbox.has("a", 1)
    assert inbox.take_missed()


def test_refusals_are_counted_by_reason() -> None:
    inbox = ReceiveQueue()
    for reason in ("signature", "signature", "space"):
        inbox.refuse(reason)
    assert inbox.refused == {"signature": 2, "space": 1}


def test_embeddings_that_wait_are_bounded_in_bytes() -> None:
    inbox = ReceiveQueue(max_bytes=100)
    told = SEAL.open("north", SEAL.sign_example("north", 7, example(1, size=20)))
    assert not isinstance(told, LiveSet)
    heavy = FleetMessage("north", examples=(told,))
    inbox.put("a", heavy, 1)
    inbox.put("b", heavy, 2)
    assert (inbox.take(), inbox.take()) == (heavy, None)
    assert inbox.take_missed()
    inbox.put("b", FleetMessage("north", examples=(told, told)), 2)
    assert inbox.take() is not None, "one message always finds room"


def test_a_connection_forgets_which_devices_were_present() -> None:
    inbox = ReceiveQueue()
    inbox.note_present("north")
    assert inbox.is_present("north")
    inbox.connected()
    assert (inbox.is_present("north"), inbox.connections) == (False, 1)
