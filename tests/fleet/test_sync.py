from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edge_daemon.domain.commands import Clear, Relabel, Remove, Restore, Undo
from edge_daemon.domain.errors import NoExamplesError
from edge_daemon.domain.types import PeerFigures
from edge_daemon.fleet.chunks import packed
from edge_daemon.fleet.live_set import AHEAD_S, LiveSet
from edge_daemon.fleet.records import MAX_NUMBER
from edge_daemon.fleet.replica import MAX_PEER_LABELS
from edge_daemon.fleet.sync import SETTLED_S
from edge_daemon.system.clock import SystemClock
from tests.harness.fleet_harness import BY_HAND, SEAL, Device, example, vector

Make = Callable[..., Device]


def test_a_new_device_knows_what_its_peer_was_taught(make: Make) -> None:
    teacher, pupil = make("a"), make("b")
    for seed in range(6):
        teacher.teach("cat", seed, around=0)
        teacher.teach("dog", 100 + seed, around=1)
    pupil.hear(teacher)
    assert pupil.knows() == teacher.own()
    assert pupil.teacher.predict("frame", vector(7, around=0)).label == "cat"
    assert pupil.teacher.predict("frame", vector(8, around=1)).label == "dog"
    assert pupil.figures.peers["a"].counting == 12
    assert pupil.store.counts == {}
    assert pupil.said["roll"]


def test_undo_takes_back_our_own_and_reaches_the_peers(make: Make) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1, around=0)
    second.hear(first)
    with pytest.raises(NoExamplesError):
        second.execute(Undo(BY_HAND))
    second.teach("dog", 2, around=1)
    first.hear(second)
    assert first.teacher.examples().counts == {"cat": 1, "dog": 1}
    second.execute(Undo(BY_HAND))
    first.hear(second)
    assert first.teacher.examples().counts == {"cat": 1}
    assert second.teacher.examples().counts == {"cat": 1}


def test_relabelled_and_restored_examples_reach_the_peers(make: Make) -> None:
    first, second = make("a"), make("b")
    example = first.teach("cat", 1)
    second.hear(first)
    first.execute(Relabel((example.id,), "dog", BY_HAND))
    second.hear(first)
    assert second.teacher.examples().counts == {"dog": 1}
    first.execute(Remove((example.id,), BY_HAND))
    second.hear(first)
    assert second.teacher.examples().counts == {}
    first.execute(Restore((example.id,), BY_HAND))
    second.hear(first)
    assert second.knows() == first.own() != []


def test_a_label_cleared_here_stays_at_the_peers_and_comes_back_by_restoring(make: Make) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1)
    second.hear(first)
    second.execute(Clear(BY_HAND, "cat"))
    second.hear(first)
    assert second.teacher.examples().counts == {}
    assert first.teacher.examples().counts == {"cat": 1}
    second.execute(Restore(tuple(second.store.recover()), BY_HAND))
    assert second.teacher.examples().counts == {"cat": 1}


def test_what_would_lower_the_local_exam_waits_until_our_own_examples_change(make: Make) -> None:
    owner, joker = make("a"), make("b")
    for seed in range(5):
        owner.teach("cat", seed, around=0)
        owner.teach("dog", 100 + seed, around=1)
        joker.teach("cat", 200 + seed, around=1)
        joker.teach("dog", 300 + seed, around=0)
        joker.teach("bird", 400 + seed, around=2)
    owner.hear(joker)
    assert owner.figures.peers["b"].probation >= 6
    counts = owner.teacher.examples().counts
    assert counts["bird"] == 5
    assert owner.teacher.predict("frame", vector(7, around=0)).label == "cat"
    cats = tuple(one for one, label, _ in owner.peers.own() if label == "cat")
    owner.execute(Remove(cats, BY_HAND))
    assert owner.teacher.examples().counts["dog"] == 10, "no cat of ours is left to be taken for a dog"
    assert owner.figures.peers["b"].probation >= 3


def test_probation_is_kept_over_a_restart(make: Make) -> None:
    owner, joker = make("a"), make("b")
    for seed in range(5):
        owner.teach("cat", seed, around=0)
        owner.teach("dog", 100 + seed, around=1)
        joker.teach("dog", 300 + seed, around=0)
    owner.hear(joker)
    waiting = owner.figures.peers["b"].probation
    counts = owner.teacher.examples().counts
    owner.close()
    again = make("a")
    assert waiting >= 3
    assert (again.figures.peers["b"].probation, again.teacher.examples().counts) == (waiting, counts)


def test_a_press_is_told_with_its_label_s_newest_and_no_more_than_the_bound(make: Make) -> None:
    device = make("a", max_examples=4)
    for seed in range(6):
        device.teach("cat", seed)
        device.teach("dog", 100 + seed)
    shared = [row for row in device.own() if row[2]]
    assert [label for _, label, _ in shared] == ["cat", "cat", "dog", "dog"]
    assert device.figures.shared == 4
    peer = make("b")
    peer.hear(device)
    assert peer.knows() == sorted(shared)


def test_more_examples_or_devices_than_we_listen_to_are_refused_and_said(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = make("a"), make("b"), make("c")
    for seed in range(4):
        first.teach("cat", seed)
    second.teach("dog", 9)
    third.teach("bird", 10)
    listener = make("d", max_examples=3, max_peers=2)
    for device in (first, second, third):
        listener.hear(device)
    assert [row[:2] for row in listener.knows()] == [("a", "cat")] * 3 + [("b", "dog")]
    assert listener.inbox.refused["full"] >= 2
    assert caplog.text.count("no more than fleet.max_examples: 3 are taken") == 1
    assert caplog.text.count("there are fleet.max_peers: 2") == 1


def test_a_removed_example_teaches_nothing_when_it_is_replayed(make: Make) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1)
    old = dict(first.said)
    second.hear(first)
    first.execute(Undo(BY_HAND))
    second.hear(first)
    for topic, payload in old.items():
        second.take(topic, "a", payload)
    second.advance()
    assert second.knows() == []
    assert second.inbox.refused == {"removed": 1, "replayed": 1}
    second.clock.advance(60)
    second.advance()
    assert second.figures.refused == {"removed": 1, "replayed": 1}


def test_a_wrong_length_is_refused(make: Make) -> None:
    device = make("a")
    device.take("0", "b", packed([SEAL.sign_example("b", 5, example(5, size=9))]))
    device.advance()
    assert device.knows() == []
    assert device.inbox.refused == {"size": 1}


def test_a_device_that_lost_its_store_is_heard_again(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    owner, peer = make("a"), make("b")
    owner.teach("cat", 1)
    owner.teach("dog", 2)
    peer.hear(owner)
    reborn = make("a", store_name="another")
    reborn.clock.advance(-500)  # and its clock is wrong
    reborn.teach("bird", 3)
    reborn.take("roll", "a", owner.said["roll"])
    reborn.advance()
    assert "told anew" in caplog.text
    peer.hear(reborn)
    assert [row[:2] for row in peer.knows()] == [("a", "bird")]


def test_another_group_s_examples_are_forgotten_and_no_group_s_lie_dormant(make: Make) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1)
    second.hear(first)
    assert [each.label for each in second.store.examples(peers=False)] == []
    second.close()
    same = make("b")
    assert same.teacher.examples().counts == {"cat": 1}
    same.close()
    other = make("b", seal=replace(SEAL, group="others"))
    assert other.teacher.examples().counts == {}
    assert other.knows() == []


def test_peers_examples_never_push_out_others_where_a_label_is_full(make: Make) -> None:
    first, second = make("a"), make("b", max_per_label=3)
    for seed in range(5):
        first.teach("cat", seed)
    second.teach("cat", 50)
    second.hear(first)
    assert second.teacher.examples().counts == {"cat": 3}
    assert second.own()[0][:2] == ("b", "cat")


def test_a_store_that_can_t_be_written_is_waited_for(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    first, second = make("a"), make("b")
    first.teach("cat", 1)
    second.store.query("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(second.store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    second.hear(first)
    second.clock.advance(20)
    second.advance()
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert ["locked by another process" in each.getMessage() for each in warned] == [True]
    other.execute("ROLLBACK")
    other.close()
    second.clock.advance(20)
    second.advance()
    assert second.inbox.take_missed()
    second.hear(first)
    assert second.teacher.examples().counts == {"cat": 1}


def test_no_step_takes_long_when_a_whole_fleet_comes_in(make: Make) -> None:
    owner, newcomer = make("a", max_examples=500), make("b", max_examples=500)
    with owner.store.transaction():
        for seed in range(500):
            owner.store.add(vector(seed, seed % 5), f"label {seed % 5}", space=SEAL.space)
    owner.teacher.revision += 1
    owner.advance()
    for seed in range(20):
        newcomer.teach(f"label {seed % 5}", 1000 + seed, around=seed % 5)
    for topic, payload in owner.said.items():
        newcomer.take(topic, "a", payload)
    newcomer.member._clock = SystemClock()
    longest = 0.0
    while newcomer.figures.peers.get("a") != PeerFigures(500, 0):
        begun = time.thread_time()
        list(newcomer.member.advance())
        longest = max(longest, time.thread_time() - begun)
    assert longest < 0.5, "one step must stay short even on a slow machine"


def roll_of(device: str, number: int, *living: int) -> bytes:
    return packed([SEAL.sign_roll(device, LiveSet(number, frozenset(living)))])


def chunk_of(device: str, *records: tuple[int, str]) -> bytes:
    return packed(
        [SEAL.sign_example(device, number, example(number % 997, label)) for number, label in records]
    )


def test_an_absurd_roll_in_a_device_s_name_wedges_nobody(make: Make) -> None:
    victim, peer = make("victim"), make("peer")
    victim.teach("cat", 1)
    peer.hear(victim)
    for device in (peer, victim):
        device.take("roll", "victim", roll_of("victim", MAX_NUMBER))
        device.advance()
        assert device.inbox.refused["number"] == 1
    victim.teach("cat", 2)
    peer.hear(victim)
    assert peer.knows() == victim.own()
    assert len(peer.knows()) == 2


def test_a_device_numbers_its_examples_above_the_highest_roll_that_passes(make: Make) -> None:
    victim, peer = make("victim"), make("peer")
    victim.teach("cat", 1)
    peer.hear(victim)
    highest = int(victim.clock.utc().timestamp()) + AHEAD_S
    for step in range(3):
        for device in (peer, victim):
            device.take("roll", "victim", roll_of("victim", highest + step * 90_000))
            device.advance()
        peer.hear(victim)
        assert peer.knows() == victim.own() != []
        assert victim.own()[0][2] > highest + step * 90_000


def test_numbers_of_a_clock_that_was_decades_ahead_are_given_up(make: Make) -> None:
    device, peer = make("a"), make("b")
    device.clock.set_utc(datetime(2099, 1, 1, tzinfo=UTC))
    device.teach("cat", 1)
    peer.hear(device)
    assert peer.knows() == []
    assert peer.inbox.refused["number"] == 2
    device.clock.set_utc(datetime(2026, 2, 1, tzinfo=UTC))
    device.teach("cat", 2)
    peer.hear(device)
    assert peer.knows() == device.own()
    assert len(peer.knows()) == 2


def test_a_number_twice_in_a_message_costs_only_the_second_record(make: Make) -> None:
    device = make("a")
    device.take("0", "b", chunk_of("b", (500, "cat"), (500, "dog"), (501, "bird")))
    device.advance()
    assert device.knows() == [("b", "bird", 501), ("b", "cat", 500)]
    assert device.inbox.refused == {"number": 1}
    assert not device.inbox.take_missed()


def test_peers_that_left_make_room_for_one_that_was_turned_away(make: Make) -> None:
    device = make("a", max_peers=2)
    for name in ("old1", "old2"):
        device.take("0", name, chunk_of(name, (5, name)))
        device.inbox.note_present(name)
    device.advance()
    device.take("0", "new", chunk_of("new", (7, "cup")))
    device.advance()
    assert {row[0] for row in device.knows()} == {"old1", "old2"}
    device.clock.advance(100.0)
    device.advance()
    assert not device.inbox.take_missed(), "both are still at the broker"
    device.inbox.note_absent("old2")
    device.clock.advance(100.0)
    device.advance()
    assert device.inbox.take_missed()
    device.take("0", "new", chunk_of("new", (7, "cup")))
    device.advance()
    assert {row[0] for row in device.knows()} == {"old1", "new"}
    assert device.teacher.examples().counts.keys() == {"old1", "cup"}


def test_a_connection_has_a_minute_to_bring_the_peers_before_one_is_dropped(make: Make) -> None:
    device = make("a", max_peers=1)
    device.take("0", "old", chunk_of("old", (5, "pen")))
    device.inbox.connected()
    device.take("0", "new", chunk_of("new", (7, "cup")))
    device.advance()
    device.clock.advance(SETTLED_S - 1)
    device.advance()
    assert {row[0] for row in device.knows()} == {"old"}
    device.clock.advance(2.0)
    device.advance()
    assert device.knows() == []


def test_devices_that_hold_nothing_take_no_place(make: Make) -> None:
    device = make("a", max_peers=2)
    for number in range(20):
        device.take("roll", f"ghost{number}", roll_of(f"ghost{number}", 9))
    device.take("0", "real", chunk_of("real", (7, "cup")))
    device.advance()
    assert device.knows() == [("real", "cup", 7)]


def test_a_peer_brings_no_more_labels_than_the_bound(make: Make) -> None:
    device = make("a", max_examples=1000)
    for part in range(6):
        records = [(100 * part + each + 1, f"L{part}-{each}") for each in range(50)]
        device.take(str(part), "b", chunk_of("b", *records))
    device.take("9", "b", chunk_of("b", (999, "L0-0")))
    for _ in range(50):
        device.advance()
    assert len({label for _, label, _ in device.knows()}) == MAX_PEER_LABELS
    assert ("b", "L0-0", 999) in device.knows(), "a label that is known takes no new place"
    assert device.inbox.refused["full"] == 100
