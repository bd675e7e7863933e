"""A store locked by another process: frames are classified, and every press gets a reply."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from edge_daemon.domain import events
from edge_daemon.domain.commands import AddExample, Clear, LabelSample, ListExamples, Rename, Undo
from edge_daemon.domain.types import Example
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.pipeline.region import Region
from edge_daemon.system.sqlite import LockedStoreError
from edge_daemon.system.testing import ColourEmbedder
from edge_daemon.teaching.lock_wait import CHANGE_TIMEOUT_S
from edge_daemon.teaching.pending_changes import MAX_PENDING
from edge_daemon.tracking.label_smoother import LabelSmoother
from tests.harness.pipeline_harness import BLUE, GPIO, GREEN, RED, Bench


@pytest.fixture
def bench(store: ExampleStore) -> Bench:
    return Bench(store, (Region("frame", None, "", LabelSmoother(window=1, min_hold_s=0)),), max_per_label=3)


@contextmanager
def locked(store: ExampleStore, how: str = "IMMEDIATE") -> Iterator[None]:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute(f"BEGIN {how}")
    yield
    other.execute("ROLLBACK")
    other.close()


def test_a_press_waits_for_the_lock_and_labels_its_own_frame(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    with locked(store):
        bench.show(GREEN, instructions=(bench.press("green"),))
        pressed = bench.seq
        assert bench.found(events.Classified)
        assert not bench.found(events.CommandReply)
        bench.show(BLUE)
        assert not bench.found(events.CommandReply)
    bench.show(BLUE)
    (added,) = bench.found(events.ExampleAdded)
    assert (added.label, added.seq) == ("green", pressed)
    assert [reply.error for reply in bench.found(events.CommandReply)] == [None]
    bench.show(GREEN)
    assert bench.label == "green"
    newest = list(store)[-1]
    assert newest.thumbnail.startswith(b"\xff\xd8")
    assert np.array_equal(newest.embedding, ColourEmbedder().embed(np.full((2, 2, 3), GREEN, np.uint8)))


def test_a_lock_while_the_number_of_the_change_is_read_makes_the_change_once(
    bench: Bench, store: ExampleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ExampleStore.newest_change
    locks = [True]

    def newest_change(each: ExampleStore) -> int | None:
        if locks and locks.pop():
            raise LockedStoreError("locked by another process")
        return real(each)

    monkeypatch.setattr(ExampleStore, "newest_change", newest_change)
    bench.show(RED, instructions=(bench.press("red"),))
    bench.show(RED)
    assert store.counts == {"red": 1}
    locks.append(True)
    bench.show(RED, instructions=(Rename("red", "rose", GPIO),))
    bench.show(RED)
    assert [reply.error for reply in bench.found(events.CommandReply)] == [None]
    assert store.counts == {"rose": 1}


def test_a_press_is_rejected_once_after_the_timeout(
    bench: Bench, store: ExampleStore, caplog: pytest.LogCaptureFixture
) -> None:
    with locked(store):
        bench.show(RED, instructions=(bench.press("red"),))
        bench.clock.advance(CHANGE_TIMEOUT_S)
        bench.show(RED)
        (reply,) = bench.found(events.CommandReply)
        assert "locked by another process" in str(reply.error)
        bench.show(RED)
        assert not bench.found(events.CommandReply)
    bench.show(RED)
    assert store.counts == {}
    assert [message.split(":")[0] for message in caplog.messages] == ["AddExample refused"]


def test_a_press_during_a_large_import_waits_and_the_log_says_so_once(
    bench: Bench, store: ExampleStore, caplog: pytest.LogCaptureFixture
) -> None:
    with locked(store):
        bench.show(RED, instructions=(bench.press("red"),))
        for _ in range(60):
            bench.clock.advance(1)
            bench.show(GREEN)
            assert not bench.found(events.CommandReply)
    bench.show(GREEN)
    assert [reply.error for reply in bench.found(events.CommandReply)] == [None]
    assert store.counts == {"red": 1}
    [line] = caplog.messages
    assert line.startswith("AddExample waits: store ")
    with locked(store):
        bench.show(RED, instructions=(bench.press("red"),))
        bench.clock.advance(6)
        bench.show(RED)
    assert len(caplog.messages) == 2


def test_commands_behind_a_pending_press_keep_their_order(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    with locked(store):
        bench.show(GREEN, instructions=(bench.press("green"),))
        bench.show(GREEN, instructions=(Undo(GPIO),))
    bench.show(GREEN, instructions=(Clear(GPIO, "red"), bench.press("blue")))
    replies = [reply for reply in bench.found(events.CommandReply) if reply.error is None]
    assert [type(reply.command) for reply in replies] == [AddExample, Undo, Clear, AddExample]
    assert store.counts == {"blue": 1}


def test_commands_that_need_no_lock_get_their_reply_at_once(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    with locked(store):
        bench.show(GREEN, instructions=(bench.press("green"),))
        bench.show(GREEN, instructions=(ListExamples(GPIO),))
        assert bench.found(events.CommandReply)[0].data == {"counts": {"red": 1}}


def test_pending_changes_are_bounded(bench: Bench, store: ExampleStore) -> None:
    with locked(store):
        presses = tuple(Undo(GPIO) for _ in range(MAX_PENDING + 2))
        bench.show(RED, instructions=presses)
        errors = [str(reply.error) for reply in bench.found(events.CommandReply)]
    assert len(errors) == 2
    assert all("too many changes are waiting" in error for error in errors)


def test_the_removal_of_a_redundant_example_is_part_of_the_press(bench: Bench, store: ExampleStore) -> None:
    for colour in (RED, (200, 40, 40), (180, 60, 60)):
        bench.teach("red", colour)
    with locked(store):
        bench.show((160, 30, 90), instructions=(bench.press("red"),))
    bench.show(BLUE)
    assert len(bench.found(events.ExampleAdded)) == 1
    assert store.counts == {"red": 3}
    assert bench.found(events.ExamplesChanged)[0].counts == {"red": 3}


def test_an_uncertain_sample_is_labelled_once_though_its_example_waits_for_the_lock(
    bench: Bench, store: ExampleStore
) -> None:
    bench.teach("red", RED)
    bench.show(GREEN)
    (uncertain,) = bench.found(events.UncertainSampleKept)
    with locked(store):
        command = LabelSample("green", bench.clock.monotonic(), GPIO, sample=uncertain.sample)
        bench.show(RED, instructions=(command,))
        again = LabelSample("green", bench.clock.monotonic(), GPIO, sample=uncertain.sample)
        bench.show(RED, instructions=(again,))
        assert "no longer kept" in str(bench.found(events.CommandReply)[0].error)
        # The next object is certain: its press must not label the sample of the one before.
        bench.show(RED, instructions=(AddExample("red", bench.clock.monotonic(), GPIO, uncertain_s=3),))
    bench.show(RED)
    assert [added.seq for added in bench.found(events.ExampleAdded)] == [uncertain.seq, bench.seq - 1]
    assert store.counts == {"red": 2, "green": 1}


def test_a_store_that_cannot_be_read_keeps_the_classifiers(
    bench: Bench, store: ExampleStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> Iterator[Example]:
        raise LockedStoreError("the store is being folded up")

    bench.teach("red", RED)
    with ExampleStore(store.path) as other:
        other.add(ColourEmbedder().embed(np.full((2, 2, 3), GREEN, np.uint8)), "green", space="mean-colour")
    with monkeypatch.context() as patch:
        patch.setattr(store, "examples", refuse)
        for _ in range(3):
            bench.clock.advance(3)
            bench.show(RED)
            assert bench.label == "red"
    assert caplog.text.count("the store can't be read") == 1
    bench.clock.advance(3)
    bench.show(RED)
    bench.show(GREEN)
    assert bench.label == "green"


def test_a_second_daemon_on_the_store_is_logged_once(
    store: ExampleStore, caplog: pytest.LogCaptureFixture
) -> None:
    script = (
        "import sys\nfrom edge_daemon.example_store.store import ExampleStore\n"
        "store = ExampleStore(sys.argv[1])\nstore.acquire_lock()\nprint('held', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(store.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        bench = Bench(store, (Region("frame", None, "", LabelSmoother()),))
        for _ in range(3):
            bench.clock.advance(3)
            bench.show(RED)
        assert caplog.text.count(f"process {other.pid} uses the store") == 1
        other.communicate()
    bench.clock.advance(3)
    bench.show(RED)
    assert store._connection.lock.held
