"""Scenes while the store is locked or can't be written: a press waits, and every region keeps its scene."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain import commands, events
from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.scene_reference import SceneReference
from edge_daemon.pipeline.store_poll import STORE_POLL_S
from edge_daemon.teaching.lock_wait import CHANGE_TIMEOUT_S
from edge_daemon.teaching.stored_scenes import StoredScenes
from tests.harness.locked_store import locked
from tests.harness.scene_harness import GPIO, Table, TwoRegions
from tests.harness.simulated_table import SimulatedTable


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(ExampleStore(tmp_path / "examples.sqlite"))


def test_a_press_waits_for_the_lock_and_frames_are_classified(table: Table) -> None:
    with locked(table.store):
        table.show(None, table.press_scene(), frames=12)
        assert not table.found(events.CommandReply)
        assert not table.found(events.SceneLearned)
        assert len(table.found(events.Classified)) == 12
    table.show()
    assert table.reply.error is None
    assert [event.automatic for event in table.found(events.SceneLearned)] == [False]
    assert table.store.scenes.newest("frame") is not None


def test_the_log_reports_once_that_a_press_waits_for_the_lock(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    with locked(table.store):
        table.show(None, table.press_scene(), frames=int(60 / 0.2))
    table.show()
    assert table.reply.error is None
    [line] = caplog.messages
    assert line.startswith("LearnScene waits: store ")


def test_a_press_is_refused_when_the_lock_is_held_too_long(table: Table) -> None:
    table.learn_scene()
    first = table.store.scenes.newest("frame")
    frames = int(CHANGE_TIMEOUT_S / 0.2) + 12
    with locked(table.store):
        table.show(None, table.press_scene(), frames=frames)
    assert table.reply.error is not None
    assert "locked" in table.reply.error
    assert not table.found(events.SceneLearned)
    assert table.store.scenes.newest("frame") == first
    table.learn_scene()
    assert table.store.scenes.newest("frame") != first


def test_an_undo_of_a_press_waits_for_the_lock_and_removes_no_example(table: Table) -> None:
    table.teach("nut", "nut")
    table.learn_scene()
    with locked(table.store):
        table.show(None, commands.Undo(GPIO), commands.Undo(GPIO), frames=3)
        assert not table.found(events.CommandReply)
    table.show()
    scene, example = table.found(events.CommandReply)
    assert "scenes" in scene.data
    assert example.data["label"] == "nut"
    assert table.store.scenes.newest("frame") is None
    assert table.store.counts == {}


def test_an_undo_that_was_refused_for_the_lock_is_still_one_of_the_scene(table: Table) -> None:
    table.teach("nut", "nut")
    table.learn_scene()
    with locked(table.store):
        table.show(None, commands.Undo(GPIO), frames=int(CHANGE_TIMEOUT_S / 0.2) + 2)
    assert table.reply.error is not None
    table.show(None, commands.Undo(GPIO))
    assert "scenes" in table.reply.data
    assert table.store.counts == {"nut": 1}


def test_a_scene_is_forgotten_once_the_lock_is_free(table: Table) -> None:
    table.learn_scene()
    with locked(table.store):
        table.show(None, commands.ForgetScene(GPIO), frames=2)
        assert not table.found(events.CommandReply)
    table.show()
    assert table.reply.data["regions"] == {"frame": {"state": "learning"}}
    assert table.store.scenes.newest("frame") is None


@pytest.mark.parametrize("interruption", [commands.ForgetScene(GPIO), commands.MoveRegion])
def test_a_press_goes_on_after_its_region_was_moved_or_its_scene_forgotten(
    table: Table, interruption: object
) -> None:
    table.show()
    table.show(None, table.press_scene(), frames=2)
    move = commands.MoveRegion("frame", (0, 0, 0.9, 0.9), GPIO)
    command = interruption if isinstance(interruption, commands.ForgetScene) else move
    table.show(None, command, frames=12)
    reply = table.reply
    assert isinstance(reply.command, commands.LearnScene)
    assert reply.error is None
    table.learn_scene()


def test_a_spoiled_press_of_two_regions_changes_nothing_while_the_store_is_locked(tmp_path: Path) -> None:
    with ExampleStore(tmp_path / "examples.sqlite") as store:
        store.wait_for_lock(0)
        two = TwoRegions(store)
        two.press()
        two.show(12)
        before = [store.scenes.newest(name) for name in two.regions]
        learned = [scene.learned for scene in two.regions.values()]
        two.press()
        with locked(store):
            two.show(30, moving_right=True)
        [reply] = two.replies()
        assert reply.error == "region 'right': something moved; press again with nothing in view"
        assert not [event for event in two.happened if isinstance(event, events.SceneLearned)]
        assert [store.scenes.newest(name) for name in two.regions] == before
        assert [scene.learned for scene in two.regions.values()] == learned


def test_a_store_that_can_not_be_written_leaves_every_region_its_scene(tmp_path: Path) -> None:
    with ExampleStore(tmp_path / "examples.sqlite") as store:
        two = TwoRegions(store)
        two.press()
        two.show(12)
        before = [store.scenes.newest(name) for name in two.regions]
        store.query("PRAGMA query_only = 1")
        two.press()
        two.show(12)
        [reply] = two.replies()
        assert reply.error is not None
        store.query("PRAGMA query_only = 0")
        assert [store.scenes.newest(name) for name in two.regions] == before


def place(seed: int) -> SceneReference:
    """Return the scene of a place that is unlike the table."""
    blocks = np.random.default_rng(seed).integers(60, 200, (8, 10, 3), np.uint8)
    return SceneReference.from_frames([blocks.repeat(15, axis=0).repeat(16, axis=1)])


def put_backup(table: Table) -> None:
    """Put a backup in the place of the store, whose first scene is another place; let it be read."""
    backup = table.store.path.with_name("backup.sqlite")
    with ExampleStore(backup) as store:
        StoredScenes(store).add("frame", place(1), automatic=False, at=table.clock.utc())
    os.replace(backup, table.store.path)
    table.show(frames=int(STORE_POLL_S / 0.2) + 2)


def test_after_the_store_was_replaced_examples_are_stored_with_the_scene_of_now(table: Table) -> None:
    table.learn_scene()
    table.teach("nut", "nut")
    put_backup(table)
    table.teach("nut", "nut")
    [example] = table.store
    reference = StoredScenes(table.store).of_example(example.id)
    assert reference is not None
    assert reference.is_same_scene(SceneReference.from_frames([SimulatedTable().picture()]))
    assert not reference.is_same_scene(place(1))


def test_an_undo_of_a_press_removes_no_scene_of_the_file_that_replaced_the_store(table: Table) -> None:
    table.learn_scene()
    put_backup(table)
    restored = table.store.scenes.newest("frame")
    table.show(None, commands.Undo(GPIO))
    assert "scenes" in table.reply.data
    assert table.store.scenes.newest("frame") == restored


def test_a_scene_of_a_failed_transaction_is_not_taken_for_the_next_one_with_its_id(table: Table) -> None:
    archive = StoredScenes(table.store)
    at = table.clock.utc()
    failed = -1
    with suppress(StoreError), archive.transaction():
        failed = archive.add("frame", place(1), automatic=False, at=at)
        raise StoreError("the press failed")
    assert archive.add("frame", place(2), automatic=False, at=at) == failed
    assert archive.matching({failed}, place(2)) == {failed}
    assert archive.matching({failed}, place(1)) == set()
