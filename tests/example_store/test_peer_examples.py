"""Peers' examples in the store file, beside the examples of this device."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.errors import NoExamplesError
from edge_daemon.example_store.archive import write_archive
from edge_daemon.example_store.image_folders import export_folders
from edge_daemon.example_store.ml5_json import write_dataset
from edge_daemon.example_store.peer_examples import MAX_FORMER, PeerExamples, count_peers, was_ever_joined
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.reembedding import reembed
from edge_daemon.example_store.store import ExampleStore
from tests.harness.example_pictures import CountingEmbedder
from tests.harness.unit_vectors import unit

SPACE = "colours"


def a_peer_s(number: int, label: str = "cat", device: str = "north") -> ExampleRecord:
    return ExampleRecord(unit(100 + number), label, SPACE, origin=device, number=number)


@pytest.fixture
def peers(store: ExampleStore) -> PeerExamples:
    return PeerExamples(store, SPACE)


def counting(store: ExampleStore) -> list[int]:
    return [example.id for example in store.examples(peers=True)]


def test_a_peer_s_example_is_used_once_it_is_accepted_and_after_a_restart(
    store: ExampleStore, peers: PeerExamples
) -> None:
    first, second = peers.add([a_peer_s(1), a_peer_s(2, "dog")])
    assert counting(store) == []
    assert [each.id for each in peers.quarantined()] == [first.id, second.id]
    peers.accept([first.id])
    with ExampleStore(store.path) as again:
        [example] = again.examples(peers=True)
        assert (example.id, example.origin, example.label) == (first.id, "north", "cat")
        assert count_peers(again) == [("north", 1, 1)]
    assert count_peers(store, "another space") == []


def test_only_own_examples_are_counted_undone_exported_and_reembedded(
    store: ExampleStore, peers: PeerExamples, tmp_path: Path
) -> None:
    ours = store.add(unit(1), "dog", space=SPACE, thumbnail=b"")
    peers.accept(each.id for each in peers.add([a_peer_s(number) for number in range(1, 4)]))
    assert store.counts == {"dog": 1}
    assert store.spaces() == {SPACE: 1}
    assert [example.id for example in store] == [ours.id]
    assert write_archive(store, tmp_path / "a.zip") == 1
    assert write_dataset(store, tmp_path / "a.json", "ml5", SPACE) == 1
    assert export_folders(store, tmp_path / "folder") == (0, 1)
    assert store.find_duplicate(SPACE, embedding=unit(101)) is None
    report = reembed(store, CountingEmbedder("another"))
    assert len(report.problems) == 1, "ours has no picture, and the peers' are not asked for one"
    assert store.undo().steps[0].id == ours.id
    with pytest.raises(NoExamplesError):
        store.undo()
    assert len(counting(store)) == 3


def test_a_cleared_peer_s_example_stays_as_a_tombstone(store: ExampleStore, peers: PeerExamples) -> None:
    peers.accept(each.id for each in peers.add([a_peer_s(1), a_peer_s(2, "dog")]))
    [muted] = store.clear("cat")
    assert peers.ids_by_number("north").keys() == {1, 2}
    assert store.removed() == []
    assert store.purge(datetime.now(UTC) + timedelta(days=1)) == 0
    assert [step.id for step in store.undo().steps] == [muted]
    assert len(counting(store)) == 2


def test_a_deleted_peer_s_example_is_gone_and_own_examples_stay(
    store: ExampleStore, peers: PeerExamples
) -> None:
    ours = store.add(unit(1), "dog", space=SPACE)
    [theirs] = peers.add([a_peer_s(1)])
    peers.delete("north", 5, b"", [theirs.id, ours.id])
    assert peers.ids_by_number("north") == {}
    assert store.counts == {"dog": 1}
    assert peers.live_set("north") == (5, b"")


def test_own_examples_lose_their_number_when_they_change_and_only_then(
    store: ExampleStore, peers: PeerExamples
) -> None:
    one = store.add(unit(1), "dog", space=SPACE).id

    def number() -> int | None:
        peers.set_numbers({one: 7} if not any(old for _, _, old in peers.own_numbers()) else {})
        return next((old for each, _, old in peers.own_numbers() if each == one), None)

    assert number() == 7
    store.relabel([one], "cat")
    assert peers.own_numbers() == [(one, "cat", None)]
    assert number() == 7
    store.remove([one])
    store.restore([one])
    assert peers.own_numbers() == [(one, "cat", None)]
    assert number() == 7
    store.replace_embeddings([(one, unit(2))], SPACE)
    assert peers.own_numbers() == [(one, "cat", None)]


def test_a_peer_s_number_is_kept_through_local_changes(store: ExampleStore, peers: PeerExamples) -> None:
    [theirs] = peers.add([a_peer_s(1)])
    store.relabel([theirs.id], "dog")
    store.remove([theirs.id])
    store.restore([theirs.id])
    assert peers.ids_by_number("north") == {1: theirs.id}
    assert [each.label for each in peers.quarantined()] == ["dog"]


def test_peers_examples_are_added_all_or_none(store: ExampleStore, peers: PeerExamples) -> None:
    bad = ExampleRecord(np.zeros(unit(1).size, np.float32), "cat", SPACE, origin="north", number=2)
    with pytest.raises(ValueError, match="all zeros"):
        peers.add([a_peer_s(1), bad])
    assert peers.ids_by_number("north") == {}


def test_joining_another_group_deletes_the_examples_of_the_first(
    store: ExampleStore, peers: PeerExamples
) -> None:
    assert not was_ever_joined(store)
    ours = store.add(unit(1), "dog", space=SPACE).id
    peers.join("first", "key")
    peers.add([a_peer_s(1)])
    peers.save_live_set(9, b"", "north")
    peers.save_live_set(3, b"")
    peers.join("first", "key")
    assert peers.ids_by_number("north") == {1: 2}
    peers.join("second", "key")
    assert peers.ids_by_number("north") == {}
    assert (peers.live_set("north"), peers.live_set()) == (None, None)
    assert [one for one, _, _ in peers.own_numbers()] == [ours]
    assert was_ever_joined(store)


def test_another_key_is_a_fresh_start_in_the_same_group(store: ExampleStore, peers: PeerExamples) -> None:
    ours = store.add(unit(1), "dog", space=SPACE).id
    peers.join("first", "key")
    peers.add([a_peer_s(1)])
    peers.set_numbers({ours: 2**53 - 1})
    peers.save_live_set(2**53, b"")
    peers.join("first", "other")
    assert peers.ids_by_number("north") == {}
    assert (peers.last_number(), peers.own_numbers()) == (0, [(ours, "dog", None)])


def test_a_store_that_knows_only_the_group_keeps_its_peers(store: ExampleStore, peers: PeerExamples) -> None:
    store.query("INSERT INTO fleet_groups (name) VALUES ('first')")
    peers.add([a_peer_s(1)])
    peers.join("first", "key")
    assert peers.ids_by_number("north") != {}
    peers.join("first", "other")
    assert peers.ids_by_number("north") == {}


def test_another_device_id_makes_the_earlier_one_a_former_id(
    store: ExampleStore, peers: PeerExamples
) -> None:
    ours = store.add(unit(1), "dog", space=SPACE).id
    peers.join("first", "key")
    peers.set_device("old")
    assert peers.former_devices() == {}
    peers.set_numbers({ours: 40})
    peers.save_live_set(41, b"")
    peers.add([a_peer_s(1), a_peer_s(2, device="old"), a_peer_s(3, device="new")])
    peers.save_live_set(9, b"", "old")
    peers.set_device("new")
    assert peers.former_devices() == {"old": 42}
    assert [device for device, _, _ in peers.peer_counts()] == ["north"]
    assert peers.live_set("old") is None
    assert (peers.last_number(), peers.own_numbers()) == (42, [(ours, "dog", None)])
    peers.join("first", "key")
    peers.set_device("new")
    assert peers.former_devices() == {"old": 42}, "as at a restart"
    peers.set_device("old")
    assert peers.former_devices() == {"new": 43}
    assert peers.last_number() == 43
    peers.join("second", "key")
    peers.set_device("old")
    assert peers.former_devices() == {}


def test_a_store_that_can_t_be_written_does_not_prevent_a_start_in_the_same_group(
    store: ExampleStore, peers: PeerExamples
) -> None:
    peers.join("first", "key")
    store.query("PRAGMA query_only = ON")
    peers.join("first", "key")
    peers.set_device("old")
    store.query("PRAGMA query_only = OFF")
    peers.set_device("old")
    store.query("PRAGMA query_only = ON")
    peers.set_device("new")
    assert peers.former_devices() == {}, "the next start tries again"
    store.query("PRAGMA query_only = OFF")
    peers.set_device("new")
    assert peers.former_devices().keys() == {"old"}


def test_only_the_latest_former_ids_are_kept(store: ExampleStore, peers: PeerExamples) -> None:
    peers.join("first", "key")
    for number in range(MAX_FORMER + 5):
        peers.save_live_set(number, b"")
        peers.set_device(f"host{number}")
    assert len(peers.former_devices()) == MAX_FORMER
    assert f"host{MAX_FORMER + 3}" in peers.former_devices()
    assert "host0" not in peers.former_devices()
