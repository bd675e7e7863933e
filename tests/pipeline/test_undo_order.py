"""An undo takes back what was pressed or changed last, whether it waits or is made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain import commands, events
from edge_daemon.domain.commands import AddExample, AddPicture, Clear, Instruction, Redo, Undo
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.teaching.lock_wait import CHANGE_TIMEOUT_S
from tests.harness.locked_store import locked
from tests.harness.pipeline_harness import BLUE, GPIO, GREEN, RED, Bench
from tests.harness.scene_harness import Table


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(ExampleStore(tmp_path / "examples.sqlite"))


def run(bench: Bench | Table, *instructions: Instruction) -> list[events.CommandReply]:
    """Run instructions without a frame, shortly after the last one; return the replies."""
    bench.clock.advance(0.01)
    bench.happened = list(bench.pipeline.process(None, instructions))
    return bench.found(events.CommandReply)


def label_press(table: Table) -> AddExample:
    return AddExample("nut", table.clock.monotonic(), GPIO)


def shown_scene(table: Table) -> Mapping[str, object]:
    """Return the state of the scene, as a reply has it."""
    (shown,) = run(table, commands.ShowScene(GPIO))
    regions = shown.data["regions"]
    assert isinstance(regions, dict)
    scene: Mapping[str, object] = regions["frame"]
    return scene


def import_elsewhere(store: ExampleStore) -> None:
    """Import an example in another process, as the command line and the page do."""
    with ExampleStore(store.path) as other:
        (example, *_) = other
        other.add(example.embedding, "imported", space=example.space, group="import")


def held_press(bench: Bench) -> AddExample:
    """Return a press of a burst."""
    return AddExample("green", bench.clock.monotonic(), GPIO, group="held")


def test_an_undo_takes_back_the_change_after_a_waiting_press_and_then_the_press(
    bench: Bench, store: ExampleStore
) -> None:
    for _ in range(3):
        bench.teach("red", RED)
    assert run(bench, bench.press("green")) == []
    run(bench, Clear(GPIO, "red"))
    (undone,) = run(bench, Undo(GPIO))
    assert undone.data["text"] == "3 examples of 'red' restored"
    refused, undone = run(bench, Undo(GPIO))
    assert refused.error == "undone before a frame followed the press"
    assert undone.data == {"text": "1 press of 'green' withdrawn"}
    bench.show(GREEN)
    assert store.counts == {"red": 3}


def test_an_undo_takes_back_the_picture_added_after_a_waiting_press(
    bench: Bench, store: ExampleStore
) -> None:
    bench.show(RED)
    picture = np.full((20, 30, 3), BLUE, np.uint8)
    run(bench, bench.press("green"), AddPicture("blue", picture, b"x", "blue.jpg", GPIO))
    run(bench, Undo(GPIO))
    assert store.counts == {}
    bench.show(GREEN)
    assert store.counts == {"green": 1}


def test_an_undo_withdraws_the_later_of_two_presses_though_the_earlier_was_stored_after_it(
    bench: Bench, store: ExampleStore
) -> None:
    bench.show(RED)
    slow = bench.frame(RED)
    red = AddExample("red", slow.captured_s - 0.05, GPIO)
    bench.clock.advance(0.05)
    run(bench, red, bench.press("green"))
    bench.happened = list(bench.pipeline.process(slow, []))
    assert store.counts == {"red": 1}
    assert run(bench, Undo(GPIO))[-1].data == {"text": "1 press of 'green' withdrawn"}
    assert store.counts == {"red": 1}


def test_an_undo_takes_back_a_whole_burst_of_which_a_press_waits(bench: Bench, store: ExampleStore) -> None:
    bench.teach("green", GREEN)

    for _ in range(3):
        bench.show(GREEN, instructions=(held_press(bench),))
    run(bench, held_press(bench))
    refused, undone = run(bench, Undo(GPIO))
    assert refused.error == "undone before a frame followed the press"
    assert undone.data["text"] == "3 examples of 'green' removed"
    bench.show(GREEN)
    assert store.counts == {"green": 1}
    run(bench, held_press(bench))
    assert run(bench, Undo(GPIO))[-1].data == {"text": "1 press of 'green' withdrawn"}
    run(bench, Undo(GPIO))
    assert store.counts == {}


def test_an_undo_takes_back_a_whole_burst_of_which_a_part_waits_for_the_store(
    bench: Bench, store: ExampleStore
) -> None:
    bench.teach("red", RED)
    bench.show(GREEN, instructions=(held_press(bench),))
    with locked(store):
        bench.show(GREEN, instructions=(held_press(bench),))
        run(bench, held_press(bench))
        run(bench, Undo(GPIO))
    run(bench)
    assert store.counts == {"red": 1}


def test_undos_take_back_a_label_press_and_then_the_scene_press_before_it(table: Table) -> None:
    table.show(None, frames=3)
    run(table, table.press_scene())
    run(table, label_press(table))
    refused, _ = run(table, Undo(GPIO))
    assert isinstance(refused.command, AddExample)
    refused, _ = run(table, Undo(GPIO))
    assert isinstance(refused.command, commands.LearnScene)
    table.show(None, frames=10)
    assert not table.found(events.CommandReply)
    assert table.store.counts == {}


def test_an_undo_takes_back_the_press_that_waits_for_the_store_behind_a_scene(table: Table) -> None:
    table.show(None, frames=3)
    with locked(table.store):
        table.show(None, table.press_scene(), frames=9)
        table.show("nut", label_press(table))
        assert run(table, Undo(GPIO)) == []
    table.show(None, frames=3)
    assert table.found(events.SceneLearned)
    assert table.found(events.ExampleUndone)
    assert table.store.counts == {}


def test_undos_take_back_the_example_and_then_the_scene_before_it(table: Table) -> None:
    table.teach("bolt", "bolt")
    table.learn_scene()
    table.teach("nut", "nut")
    run(table, Undo(GPIO))
    assert table.store.counts == {"bolt": 1}
    assert "scenes" in run(table, Undo(GPIO))[-1].data
    run(table, Redo(GPIO))
    assert table.store.counts == {"bolt": 1, "nut": 1}


def test_a_move_ends_the_undo_of_the_scene_press(table: Table) -> None:
    table.teach("nut", "nut")
    table.learn_scene()
    table.show(None, commands.MoveRegion("frame", (0.0, 0.0, 0.8, 0.8), GPIO))
    table.show(None, frames=200)
    (scene,) = table.found(events.SceneLearned)
    assert scene.automatic
    run(table, Undo(GPIO))
    assert table.store.counts == {}
    assert shown_scene(table)["state"] == "known"


def test_another_scene_ends_the_undo_of_the_scene_press(table: Table) -> None:
    table.learn_scene()
    table.learn_scene()
    table.table.tray = "mat"
    table.show(None, frames=200)
    assert table.found(events.SceneChanged)
    (scene,) = table.found(events.SceneLearned)
    assert scene.automatic
    assert "nothing to undo" in str(run(table, Undo(GPIO))[-1].error)
    assert shown_scene(table)["automatic"]


def test_an_undo_by_number_leaves_the_order_of_the_others(table: Table) -> None:
    table.teach("bolt", "bolt")
    table.learn_scene()
    table.teach("nut", "nut")
    run(table, Undo(GPIO, change=table.store.newest_change()))
    assert table.store.counts == {"bolt": 1}
    assert "scenes" in run(table, Undo(GPIO))[-1].data
    assert table.store.counts == {"bolt": 1}


def test_bursts_of_two_buttons_are_two_changes_after_a_scene(table: Table) -> None:
    table.teach("bolt", "bolt")
    table.learn_scene()
    for _ in range(3):
        for label in ("nut", "screw"):
            table.show("nut", AddExample(label, table.clock.monotonic(), GPIO, group=label), frames=2)
    assert table.store.counts == {"bolt": 1, "nut": 3, "screw": 3}
    run(table, Undo(GPIO))
    run(table, Undo(GPIO))
    assert table.store.counts == {"bolt": 1}
    assert "scenes" in run(table, Undo(GPIO))[-1].data


def test_a_change_without_effect_does_not_keep_a_press_from_being_withdrawn(
    bench: Bench, store: ExampleStore
) -> None:
    bench.teach("red", RED)
    run(bench, bench.press("green"))
    run(bench, commands.Merge(("red",), "red", GPIO), Clear(GPIO, "blue"))
    assert run(bench, Undo(GPIO))[-1].data == {"text": "1 press of 'green' withdrawn"}
    assert store.counts == {"red": 1}


def test_an_undo_that_waits_for_the_store_is_done_for_the_next_one(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    bench.teach("blue", BLUE)
    run(bench, bench.press("green"))
    with locked(store):
        run(bench, Clear(GPIO, "red"))
        assert run(bench, Undo(GPIO)) == []
        assert run(bench, Undo(GPIO))[-1].data == {"text": "1 press of 'green' withdrawn"}
    run(bench)
    assert store.counts == {"red": 1, "blue": 1}


def test_a_burst_around_a_scene_press_is_undone_alone(table: Table) -> None:
    def press() -> AddExample:
        return AddExample("nut", table.clock.monotonic(), GPIO, group="held")

    table.show("nut", press(), frames=2)
    table.learn_scene()
    run(table, press())
    replies = run(table, Undo(GPIO))
    assert table.store.counts == {}
    assert not any("scenes" in reply.data for reply in replies)


def test_an_undo_after_an_import_of_another_process_takes_back_the_press_after_it(
    table: Table,
) -> None:
    table.teach("bolt", "bolt")
    import_elsewhere(table.store)
    table.show(None, frames=5)
    table.learn_scene()
    assert "scenes" in run(table, Undo(GPIO))[-1].data
    run(table, Undo(GPIO))
    assert table.store.counts == {"bolt": 1}


def test_an_undo_withdraws_a_press_that_waits_since_an_import(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    import_elsewhere(store)
    run(bench, bench.press("green"))
    assert run(bench, Undo(GPIO))[-1].data == {"text": "1 press of 'green' withdrawn"}
    assert store.counts == {"red": 1, "imported": 1}


def test_an_undo_that_waits_behind_a_refused_change_takes_back_no_earlier_one(
    bench: Bench, store: ExampleStore
) -> None:
    bench.teach("red", RED)
    bench.teach("blue", BLUE)
    with locked(store):
        run(bench, Clear(GPIO, "red"))
        run(bench, Undo(GPIO), Undo(GPIO))
        bench.clock.advance(CHANGE_TIMEOUT_S - 0.015)
        cleared, refused = run(bench)
        assert isinstance(cleared.command, Clear)
        assert refused.error == "the change that it was to undo was refused"
    (undone,) = run(bench)
    assert undone.data["text"] == "1 example of 'blue' removed"
    assert store.counts == {"red": 1}


def test_an_undo_takes_back_a_burst_whose_last_press_was_refused(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    held = AddExample("green", bench.clock.monotonic(), GPIO, group="held")
    bench.show(GREEN, instructions=(held,))
    with locked(store):
        bench.show(GREEN, instructions=(held,))
        bench.clock.advance(1)
        run(bench, Undo(GPIO))
        bench.clock.advance(CHANGE_TIMEOUT_S - 1)
        (refused,) = run(bench)
        assert isinstance(refused.command, AddExample)
    run(bench)
    assert store.counts == {"red": 1}


def test_a_burst_that_goes_on_after_an_undo_that_waits_is_withdrawn_alone(
    bench: Bench, store: ExampleStore
) -> None:
    bench.teach("red", RED)
    bench.show(GREEN, instructions=(held_press(bench),))
    with locked(store):
        bench.show(GREEN, instructions=(held_press(bench),))
        run(bench, Undo(GPIO))
        run(bench, held_press(bench))
        assert run(bench, Undo(GPIO))[-1].data == {"text": "1 press of 'green' withdrawn"}
    run(bench)
    assert store.counts == {"red": 1}
