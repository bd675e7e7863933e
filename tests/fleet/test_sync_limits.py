"""Limits of what a device accepts from its peers: numbers, labels, and places for devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from edge_daemon.domain.commands import Clear
from edge_daemon.fleet import replica
from edge_daemon.fleet.chunks import pack_records
from edge_daemon.fleet.live_set import AHEAD_S, LiveSet
from edge_daemon.fleet.records import MAX_NUMBER
from edge_daemon.fleet.replica import MAX_PEER_LABELS
from edge_daemon.fleet.sync import SETTLED_S
from tests.harness.fleet_harness import BY_HAND, SIGNER, Device, example

Make = Callable[..., Device]


def test_examples_and_devices_above_the_limits_are_rejected_and_logged(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = make("a"), make("b"), make("c")
    for seed in range(4):
        first.teach("cat", seed)
    second.teach("dog", 9)
    third.teach("bird", 10)
    listener = make("d", max_examples=3, max_peers=2)
    for device in (first, second, third):
        listener.receive_all(device)
    assert [row[:2] for row in listener.peer_examples()] == [("a", "cat")] * 3 + [("b", "dog")]
    assert listener.receive_queue.rejected["full"] >= 2
    assert caplog.text.count("more examples than fleet.max_examples: 3") == 1
    assert caplog.text.count("there are fleet.max_peers: 2") == 1


def live_set_of(device: str, number: int, *live: int) -> bytes:
    return pack_records([SIGNER.sign_live_set(device, LiveSet(number, frozenset(live)))])


def chunk_of(device: str, *records: tuple[int, str]) -> bytes:
    return pack_records(
        [SIGNER.sign_example(device, number, example(number % 997, label)) for number, label in records]
    )


def test_a_forged_live_set_with_a_huge_number_is_rejected(make: Make) -> None:
    victim, peer = make("victim"), make("peer")
    victim.teach("cat", 1)
    peer.receive_all(victim)
    for device in (peer, victim):
        device.receive("roll", "victim", live_set_of("victim", MAX_NUMBER))
        device.advance()
        assert device.receive_queue.rejected["number"] == 1
    victim.teach("cat", 2)
    peer.receive_all(victim)
    assert peer.peer_examples() == victim.own()
    assert len(peer.peer_examples()) == 2


def test_a_device_numbers_its_examples_above_the_highest_accepted_live_set(make: Make) -> None:
    victim, peer = make("victim"), make("peer")
    victim.teach("cat", 1)
    peer.receive_all(victim)
    highest = int(victim.clock.utc().timestamp()) + AHEAD_S
    for step in range(3):
        for device in (peer, victim):
            device.receive("roll", "victim", live_set_of("victim", highest + step * 90_000))
            device.advance()
        peer.receive_all(victim)
        assert peer.peer_examples() == victim.own() != []
        assert victim.own()[0][2] > highest + step * 90_000


def test_numbers_of_a_clock_decades_ahead_are_abandoned(make: Make) -> None:
    device, peer = make("a"), make("b")
    device.clock.set_utc(datetime(2099, 1, 1, tzinfo=UTC))
    device.teach("cat", 1)
    peer.receive_all(device)
    assert peer.peer_examples() == []
    assert peer.receive_queue.rejected["number"] == 2
    device.clock.set_utc(datetime(2026, 2, 1, tzinfo=UTC))
    device.teach("cat", 2)
    peer.receive_all(device)
    assert peer.peer_examples() == device.own()
    assert len(peer.peer_examples()) == 2


def test_of_two_records_with_one_number_the_second_is_rejected(make: Make) -> None:
    device = make("a")
    device.receive("0", "b", chunk_of("b", (500, "cat"), (500, "dog"), (501, "bird")))
    device.advance()
    assert device.peer_examples() == [("b", "bird", 501), ("b", "cat", 500)]
    assert device.receive_queue.rejected == {"number": 1}
    assert not device.receive_queue.pop_overflow()


def test_peers_that_left_make_room_for_a_rejected_one(make: Make) -> None:
    device = make("a", max_peers=2)
    for name in ("old1", "old2"):
        device.receive("0", name, chunk_of(name, (5, name)))
        device.receive_queue.mark_present(name)
    device.advance()
    device.receive("0", "new", chunk_of("new", (7, "cup")))
    device.advance()
    assert {row[0] for row in device.peer_examples()} == {"old1", "old2"}
    device.clock.advance(100.0)
    device.advance()
    assert not device.receive_queue.pop_overflow(), "both are still at the broker"
    device.receive_queue.mark_absent("old2")
    device.clock.advance(100.0)
    device.advance()
    assert device.receive_queue.pop_overflow()
    device.receive("0", "new", chunk_of("new", (7, "cup")))
    device.advance()
    assert {row[0] for row in device.peer_examples()} == {"old1", "new"}
    assert device.trainer.examples().counts.keys() == {"old1", "cup"}


def test_a_peer_is_removed_only_a_minute_after_the_connect(make: Make) -> None:
    device = make("a", max_peers=1)
    device.receive("0", "old", chunk_of("old", (5, "pen")))
    device.receive_queue.connected()
    device.receive("0", "new", chunk_of("new", (7, "cup")))
    device.advance()
    device.clock.advance(SETTLED_S - 1)
    device.advance()
    assert {row[0] for row in device.peer_examples()} == {"old"}
    device.clock.advance(2.0)
    device.advance()
    assert device.peer_examples() == []


def test_devices_without_examples_take_no_place(make: Make) -> None:
    device = make("a", max_peers=2)
    for number in range(20):
        device.receive("roll", f"ghost{number}", live_set_of(f"ghost{number}", 9))
    device.receive("0", "real", chunk_of("real", (7, "cup")))
    device.advance()
    assert device.peer_examples() == [("real", "cup", 7)]


def test_the_labels_of_a_peer_are_limited(make: Make) -> None:
    device = make("a", max_examples=1000)
    for part in range(6):
        records = [(100 * part + each + 1, f"L{part}-{each}") for each in range(50)]
        device.receive(str(part), "b", chunk_of("b", *records))
    device.receive("9", "b", chunk_of("b", (999, "L0-0")))
    for _ in range(50):
        device.advance()
    assert len({label for _, label, _ in device.peer_examples()}) == MAX_PEER_LABELS
    assert ("b", "L0-0", 999) in device.peer_examples(), "a known label does not count again"
    assert device.receive_queue.rejected["full"] == 100


def receive_retained(device: Device, peers: Sequence[Device]) -> int:
    """Receive what a broker retains, again after each overflow; return the number of requests."""
    for requests in range(10):
        for peer in peers:
            for topic, payload in peer.published.items():
                if not device.receive_queue.is_unchanged(f"{peer.name}/{topic}", hash(payload)):
                    device.receive(topic, peer.name, payload)
        for _ in range(20):
            device.advance()
        if not device.receive_queue.pop_overflow():
            return requests
    raise AssertionError("the device requests the messages without an end")


def labels_of(device: Device) -> list[tuple[str, str]]:
    return [(peer, label) for peer, label, _ in device.peer_examples()]


def test_examples_refused_for_a_peer_s_labels_are_requested_when_it_frees_one(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "MAX_PEER_LABELS", 3)
    device, peer = make("a"), make("b")
    for seed in range(5):
        peer.teach(f"L{seed}", seed)
    receive_retained(device, [peer])
    assert labels_of(device) == [("b", "L0"), ("b", "L1"), ("b", "L2")]
    peer.execute(Clear(BY_HAND, "L1"))
    assert receive_retained(device, [peer]) == 1
    assert labels_of(device) == [("b", "L0"), ("b", "L2"), ("b", "L3")]
    peer.execute(Clear(BY_HAND, "L0"))
    receive_retained(device, [peer])
    assert device.peer_examples() == peer.own()


def test_examples_refused_for_the_labels_of_all_are_requested_when_another_peer_frees_one(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "MAX_LABELS", 2)
    device, first, second = make("a"), make("b"), make("c")
    first.teach("cat", 1)
    first.teach("dog", 2)
    second.teach("cup", 3)
    receive_retained(device, [first, second])
    assert labels_of(device) == [("b", "cat"), ("b", "dog")]
    first.execute(Clear(BY_HAND, "dog"))
    receive_retained(device, [first, second])
    assert labels_of(device) == [("b", "cat"), ("c", "cup")]


def test_examples_refused_for_their_label_are_requested_when_a_label_is_cleared_here(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "MAX_PEER_LABELS", 1)
    device, peer = make("a"), make("b")
    peer.teach("cat", 1)
    peer.teach("dog", 2)
    receive_retained(device, [peer])
    device.teach("pen", 3)
    assert receive_retained(device, [peer]) == 0, "no label is free"
    device.execute(Clear(BY_HAND, "cat"))
    receive_retained(device, [peer])
    assert labels_of(device) == [("b", "dog")]


def test_a_label_without_room_for_its_example_takes_no_place(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "MAX_PEER_LABELS", 2)
    device, peer = make("a", max_examples=1), make("b")
    for seed in range(4):
        peer.teach(f"L{seed}", seed)
    receive_retained(device, [peer])
    assert labels_of(device) == [("b", "L0")]
    device.teach("pen", 9)
    assert receive_retained(device, [peer]) == 0, "there is room for labels, not for examples"
