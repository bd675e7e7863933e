"""The replica of the peers' examples in a damaged store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_daemon.domain.commands import Clear
from edge_daemon.example_store.record import INTACT
from tests.harness.fleet_harness import BY_HAND, Device

Make = Callable[..., Device]


def flip_a_bit(store: Path, embedding: bytes) -> None:
    """Damage the only row that has this embedding."""
    content = bytearray(store.read_bytes())
    place = content.find(embedding)
    assert place > 0
    assert content.find(embedding, place + 1) < 0
    content[place + 5] ^= 0x40
    store.write_bytes(content)


def embeddings(device: Device) -> list[bytes]:
    statement = f"SELECT embedding FROM examples WHERE origin <> '' AND {INTACT} ORDER BY number"
    return [row[0] for row in device.store.query(statement)]


def test_a_damaged_example_of_a_peer_is_received_again(make: Make) -> None:
    peer, device = make("a"), make("b")
    for seed in range(4):
        peer.teach("cat", seed)
    device.receive_all(peer)
    before = embeddings(device)
    device.close()
    flip_a_bit(device.store.path, before[1])
    again = make("b")
    assert embeddings(again) == [before[0], *before[2:]]
    again.receive_all(peer)
    assert embeddings(again) == before
    assert again.peer_examples() == peer.own()
    assert again.trainer.examples().counts == {"cat": 4}


def test_a_muted_example_of_a_peer_stays_muted_beside_a_damaged_one(make: Make) -> None:
    peer, device = make("a"), make("b")
    peer.teach("cat", 1)
    peer.teach("dog", 2)
    device.receive_all(peer)
    device.execute(Clear(BY_HAND, "cat"))
    dog = embeddings(device)[1]
    device.close()
    flip_a_bit(device.store.path, dog)
    again = make("b")
    again.receive_all(peer)
    assert [label for _, label, _ in again.peer_examples()] == ["dog"]
    assert again.trainer.examples().counts == {"dog": 1}
