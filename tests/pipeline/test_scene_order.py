"""A scene press between changes that wait for the store: a lock that ends in the middle of a frame."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_daemon.domain import commands, events
from edge_daemon.domain.commands import Clear, Undo
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.teaching.lock_wait import CHANGE_TIMEOUT_S
from tests.harness.locked_store import locked
from tests.harness.scene_harness import GPIO, Table


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(ExampleStore(tmp_path / "examples.sqlite"))


def test_an_undo_of_a_scene_press_behind_a_refused_change_is_done(table: Table) -> None:
    table.teach("bolt", "bolt")
    table.learn_scene()
    former = table.store.scenes.newest("frame")
    with ExitStack() as lock:
        lock.enter_context(locked(table.store))
        table.show(None, Clear(GPIO, "bolt"), table.press_scene(), frames=9)
        table.show_until_classified(lock.close)
    with locked(table.store):
        table.show(None, Undo(GPIO))
        table.clock.advance(CHANGE_TIMEOUT_S)
        table.show()
    table.show(frames=2)
    assert table.store.counts == {"bolt": 1}
    assert table.store.scenes.newest("frame") == former


def test_an_undo_that_waits_takes_back_the_scene_before_a_later_press(table: Table) -> None:
    table.teach("bolt", "bolt")
    table.learn_scene()
    with ExitStack() as lock:
        lock.enter_context(locked(table.store))
        table.show(None, Undo(GPIO))
        table.show(None, table.press_scene(), frames=9)
        table.show_until_classified(lock.close)
    table.show(frames=2)
    assert table.store.counts == {"bolt": 1}
    assert [type(reply.command) for reply in table.found(events.CommandReply)] == [Undo, commands.LearnScene]
    table.show(None, Undo(GPIO))
    assert "scenes" in table.reply.data
    assert table.store.scenes.newest("frame") is None
