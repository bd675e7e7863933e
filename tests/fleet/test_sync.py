from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from edge_daemon.domain.commands import Clear, Command, Merge, Redo, Relabel, Remove, Rename, Restore, Undo
from edge_daemon.domain.errors import NoExamplesError
from edge_daemon.domain.types import PeerFigures
from edge_daemon.fleet.chunks import pack_records
from edge_daemon.fleet.live_set import LiveSet
from edge_daemon.system.clock import SystemClock
from tests.harness.fleet_harness import BY_HAND, SIGNER, Device, example, vector

Make = Callable[..., Device]


def test_a_new_device_receives_its_peer_s_examples(make: Make) -> None:
    first, second = make("a"), make("b")
    for seed in range(6):
        first.teach("cat", seed, around=0)
        first.teach("dog", 100 + seed, around=1)
    second.receive_all(first)
    assert second.peer_examples() == first.own()
    assert second.trainer.classifier("frame").predict(vector(7, around=0)).label == "cat"
    assert second.trainer.classifier("frame").predict(vector(8, around=1)).label == "dog"
    assert second.figures.peers["a"].accepted == 12
    assert second.store.counts == {}
    assert second.published["roll"]


def test_undo_removes_an_own_example_here_and_at_the_peers(make: Make) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1, around=0)
    second.receive_all(first)
    with pytest.raises(NoExamplesError):
        second.execute(Undo(BY_HAND))
    second.teach("dog", 2, around=1)
    first.receive_all(second)
    assert first.trainer.examples().counts == {"cat": 1, "dog": 1}
    second.execute(Undo(BY_HAND))
    first.receive_all(second)
    assert first.trainer.examples().counts == {"cat": 1}
    assert second.trainer.examples().counts == {"cat": 1}


def test_relabelled_and_restored_examples_reach_the_peers(make: Make) -> None:
    first, second = make("a"), make("b")
    example = first.teach("cat", 1)
    second.receive_all(first)
    first.execute(Relabel((example.id,), "dog", BY_HAND))
    second.receive_all(first)
    assert second.trainer.examples().counts == {"dog": 1}
    first.execute(Remove((example.id,), BY_HAND))
    second.receive_all(first)
    assert second.trainer.examples().counts == {}
    first.execute(Restore((example.id,), BY_HAND))
    second.receive_all(first)
    assert second.peer_examples() == first.own() != []


def test_a_label_cleared_here_stays_at_the_peers_and_can_be_restored(make: Make) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1)
    second.receive_all(first)
    second.execute(Clear(BY_HAND, "cat"))
    second.receive_all(first)
    assert second.trainer.examples().counts == {}
    assert first.trainer.examples().counts == {"cat": 1}
    second.execute(Undo(BY_HAND))
    assert second.trainer.examples().counts == {"cat": 1}


def test_a_renamed_label_reaches_the_peers_and_its_undo_too(make: Make) -> None:
    first, second = make("a"), make("b")
    for seed in range(2):
        first.teach("cat", seed)
    second.receive_all(first)
    steps: list[tuple[Command, dict[str, int]]] = [
        (Rename("cat", "kitten", BY_HAND), {"kitten": 2}),
        (Undo(BY_HAND), {"cat": 2}),
        (Redo(BY_HAND), {"kitten": 2}),
        (Merge(("kitten",), "pet", BY_HAND), {"pet": 2}),
    ]
    for command, counts in steps:
        first.execute(command)
        second.receive_all(first)
        assert second.trainer.examples().counts == counts
    assert second.peer_examples() == first.own() != []


def test_a_label_of_the_peers_is_renamed_here_alone_and_stays_so(make: Make) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1)
    second.teach("cat", 2)
    second.receive_all(first)
    second.execute(Rename("cat", "kitten", BY_HAND))
    for device, other in ((second, first), (first, second)):
        device.receive_all(other)
    assert second.trainer.examples().counts == {"kitten": 2}
    assert first.trainer.examples().counts == {"cat": 1, "kitten": 1}
    second.execute(Undo(BY_HAND))
    first.receive_all(second)
    assert first.trainer.examples().counts == second.trainer.examples().counts == {"cat": 2}


def test_devices_that_rename_one_label_at_once_agree_and_each_undoes_its_own(make: Make) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1)
    second.teach("cat", 2)
    for device, other in ((second, first), (first, second)):
        device.receive_all(other)
    first.execute(Rename("cat", "kitten", BY_HAND))
    second.execute(Rename("cat", "tabby", BY_HAND))
    assert first.trainer.examples().counts == {"kitten": 2}
    assert second.trainer.examples().counts == {"tabby": 2}
    expected: list[tuple[Device, Command | None, dict[str, int]]] = [
        (first, None, {"kitten": 1, "tabby": 1}),
        (first, Undo(BY_HAND), {"cat": 1, "tabby": 1}),
        (second, Undo(BY_HAND), {"cat": 2}),
        (first, Redo(BY_HAND), {"cat": 1, "kitten": 1}),
        (second, Redo(BY_HAND), {"kitten": 1, "tabby": 1}),
        (second, Merge(("kitten", "tabby"), "kitten", BY_HAND), {"kitten": 2}),
    ]
    for device, command, counts in expected:
        if command is not None:
            device.execute(command)
        for each, other in ((second, first), (first, second)):
            each.receive_all(other)
        assert first.trainer.examples().counts == second.trainer.examples().counts == counts
    assert first.peer_examples() == second.own()
    assert second.peer_examples() == first.own()


def test_examples_that_lower_the_local_accuracy_are_quarantined_until_own_examples_change(make: Make) -> None:
    owner, mislabelled = make("a"), make("b")
    for seed in range(5):
        owner.teach("cat", seed, around=0)
        owner.teach("dog", 100 + seed, around=1)
        mislabelled.teach("cat", 200 + seed, around=1)
        mislabelled.teach("dog", 300 + seed, around=0)
        mislabelled.teach("bird", 400 + seed, around=2)
    owner.receive_all(mislabelled)
    assert owner.figures.peers["b"].quarantined >= 6
    counts = owner.trainer.examples().counts
    assert counts["bird"] == 5
    assert owner.trainer.classifier("frame").predict(vector(7, around=0)).label == "cat"
    cats = tuple(one for one, label, _ in owner.peers.own_numbers() if label == "cat")
    owner.execute(Remove(cats, BY_HAND))
    assert owner.trainer.examples().counts["dog"] == 10, (
        "no own cat is left that could be confused with a dog"
    )
    assert owner.figures.peers["b"].quarantined >= 3


def test_quarantine_persists_over_a_restart(make: Make) -> None:
    owner, mislabelled = make("a"), make("b")
    for seed in range(5):
        owner.teach("cat", seed, around=0)
        owner.teach("dog", 100 + seed, around=1)
        mislabelled.teach("dog", 300 + seed, around=0)
    owner.receive_all(mislabelled)
    waiting = owner.figures.peers["b"].quarantined
    counts = owner.trainer.examples().counts
    owner.close()
    again = make("a")
    assert waiting >= 3
    assert (again.figures.peers["b"].quarantined, again.trainer.examples().counts) == (waiting, counts)


def test_the_newest_examples_of_each_label_are_published_up_to_the_limit(make: Make) -> None:
    device = make("a", max_examples=4)
    for seed in range(6):
        device.teach("cat", seed)
        device.teach("dog", 100 + seed)
    shared = [row for row in device.own() if row[2]]
    assert [label for _, label, _ in shared] == ["cat", "cat", "dog", "dog"]
    assert device.figures.shared == 4
    peer = make("b")
    peer.receive_all(device)
    assert peer.peer_examples() == sorted(shared)


def test_a_replayed_deleted_example_is_rejected(make: Make) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1)
    old = dict(first.published)
    second.receive_all(first)
    first.execute(Undo(BY_HAND))
    second.receive_all(first)
    for topic, payload in old.items():
        second.receive(topic, "a", payload)
    second.advance()
    assert second.peer_examples() == []
    assert second.receive_queue.rejected == {"removed": 1, "replayed": 1}
    second.clock.advance(60)
    second.advance()
    assert second.figures.rejected == {"removed": 1, "replayed": 1}


def test_an_embedding_of_another_size_is_rejected(make: Make) -> None:
    device = make("a")
    device.receive("0", "b", pack_records([SIGNER.sign_example("b", 5, example(5, size=9))]))
    device.advance()
    assert device.peer_examples() == []
    assert device.receive_queue.rejected == {"size": 1}


def test_a_device_that_lost_its_store_renumbers_its_examples(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    owner, peer = make("a"), make("b")
    owner.teach("cat", 1)
    owner.teach("dog", 2)
    peer.receive_all(owner)
    restored = make("a", store_name="another")
    restored.clock.advance(-500)  # and its clock is wrong
    restored.teach("bird", 3)
    restored.receive("roll", "a", owner.published["roll"])
    restored.advance()
    assert "are renumbered" in caplog.text
    peer.receive_all(restored)
    assert [row[:2] for row in peer.peer_examples()] == [("a", "bird")]


def test_a_device_with_another_id_is_not_its_own_peer(make: Make) -> None:
    device, peer = make("old", store_name="ours"), make("b")
    device.teach("cat", 1)
    device.teach("dog", 2)
    peer.receive_all(device)
    device.close()
    renamed = make("new", store_name="ours")
    [(name, last)] = renamed.peers.former_devices().items()
    assert name == "old"
    peer.receive("roll", "old", pack_records([SIGNER.sign_live_set("old", LiveSet(last, frozenset()))]))
    peer.receive_all(renamed)
    assert peer.peer_examples() == renamed.own() != []
    assert min(number for _, _, number in renamed.own()) > last
    peer.receive_all(device)
    assert peer.peer_examples() == renamed.own()


def test_examples_of_another_group_are_deleted(make: Make) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1)
    second.receive_all(first)
    assert [each.label for each in second.store.examples(peers=False)] == []
    second.close()
    same = make("b")
    assert same.trainer.examples().counts == {"cat": 1}
    same.close()
    other = make("b", signer=replace(SIGNER, group="others"))
    assert other.trainer.examples().counts == {}
    assert other.peer_examples() == []


def test_peers_examples_never_evict_others_when_a_label_is_full(make: Make) -> None:
    first, second = make("a"), make("b", max_per_label=3)
    for seed in range(5):
        first.teach("cat", seed)
    second.teach("cat", 50)
    second.receive_all(first)
    assert second.trainer.examples().counts == {"cat": 3}
    assert second.own()[0][:2] == ("b", "cat")


def test_a_store_that_can_t_be_written_is_retried(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1)
    second.store.query("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(second.store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    second.receive_all(first)
    second.clock.advance(20)
    second.advance()
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert ["locked by another process" in each.getMessage() for each in warned] == [True]
    other.execute("ROLLBACK")
    other.close()
    second.clock.advance(20)
    second.advance()
    assert second.receive_queue.pop_overflow()
    second.receive_all(first)
    assert second.trainer.examples().counts == {"cat": 1}


def test_each_step_stays_short_while_500_examples_are_received(make: Make) -> None:
    owner, receiver = make("a", max_examples=500), make("b", max_examples=500)
    with owner.store.transaction():
        for seed in range(500):
            owner.store.add(vector(seed, seed % 5), f"label {seed % 5}", space=SIGNER.space)
    owner.trainer.revision += 1
    owner.advance()
    for seed in range(20):
        receiver.teach(f"label {seed % 5}", 1000 + seed, around=seed % 5)
    for topic, payload in owner.published.items():
        receiver.receive(topic, "a", payload)
    receiver.sync._clock = SystemClock()
    longest = 0.0
    while receiver.figures.peers.get("a") != PeerFigures(500, 0):
        begun = time.thread_time()
        list(receiver.sync.advance())
        longest = max(longest, time.thread_time() - begun)
    assert longest < 0.5, "one step must stay short even on a slow machine"
