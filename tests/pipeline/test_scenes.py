"""The scene in the pipeline: presses, replies, undo, restart, and both vectors of an example."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.domain import commands, events
from edge_daemon.domain.commands import ClockSet
from edge_daemon.domain.frame_timing import FRAME_WAIT_S
from edge_daemon.domain.types import UNKNOWN
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.regions import Box
from edge_daemon.imaging.scene_model import SceneModel
from edge_daemon.pipeline.region_scene import RegionScene
from edge_daemon.teaching.stored_scenes import StoredScenes
from tests.harness.scene_harness import GPIO, Table, TwoRegions
from tests.harness.simulated_table import SimulatedTable

if TYPE_CHECKING:
    pass


@pytest.fixture(params=[1.0, 0.5], ids=["full", "reduced"])
def table(tmp_path: Path, request: pytest.FixtureRequest) -> Table:
    return Table(ExampleStore(tmp_path / "examples.sqlite"), scale=request.param)


def test_a_press_learns_the_scene_and_its_reply_says_so(table: Table) -> None:
    table.show(None, table.press_scene(), frames=10)
    [learned] = table.found(events.SceneLearned)
    assert not learned.automatic
    assert table.reply.data["regions"] == {"frame": {"state": "known", "age_s": 0, "automatic": False}}
    stored = table.store.scenes.newest("frame")
    assert stored is not None
    assert stored.source == "press"
    table.clock.advance(60)
    table.show(None, commands.ShowScene(GPIO))
    assert table.reply.data["regions"]["frame"]["age_s"] >= 60


def test_a_hand_that_moves_in_view_spoils_the_press_and_the_former_scene_stays(table: Table) -> None:
    table.learn_scene()
    table.happened = []
    press = table.press_scene()
    for number in range(25):
        image = table.table.picture("nut", (0.2 + 0.03 * (number % 20), 0.5))
        table.feed(image, *([press] if number == 0 else []))
    assert table.reply.error is not None
    assert "moved; press again with nothing in view" in table.reply.error
    assert not table.found(events.SceneLearned)
    table.show(None, commands.ShowScene(GPIO))
    assert table.reply.data["regions"]["frame"]["state"] == "known"  # type: ignore[index]


def test_a_press_in_the_dark_is_refused_and_one_without_frames_expires(table: Table) -> None:
    table.table.exposure = 0.02
    table.show(None, table.press_scene(), frames=2)
    assert table.reply.error is not None
    assert "dark" in table.reply.error
    table.show()
    table.happened = list(table.pipeline.process(None, [table.press_scene()]))
    table.clock.advance(FRAME_WAIT_S + 0.1)
    table.happened = list(table.pipeline.process(None, []))
    assert table.reply.error is not None


def test_an_undo_after_a_press_restores_the_former_scene_and_removes_no_example(table: Table) -> None:
    table.learn_scene()
    first = table.store.scenes.newest("frame")
    table.teach("nut", "nut")
    table.learn_scene()
    assert table.store.scenes.newest("frame") != first
    table.show(None, commands.Undo(GPIO))
    assert "scenes" in table.reply.data
    assert table.store.scenes.newest("frame") == first
    assert table.store.counts == {"nut": 1}
    table.show(None, commands.Undo(GPIO))
    assert table.store.counts == {}


def test_an_undo_after_an_example_removes_the_example(table: Table) -> None:
    table.learn_scene()
    table.teach("nut", "nut")
    table.show(None, commands.Undo(GPIO))
    assert table.store.counts == {}
    assert table.store.scenes.newest("frame") is not None


def test_an_example_is_stored_with_its_scene_and_both_vectors(table: Table) -> None:
    table.learn_scene()
    table.teach("nut", "nut")
    [example] = table.store.examples()
    scene = table.store.scenes.newest("frame")
    assert scene is not None
    assert example.scene_id == scene.id
    assert example.object_embedding is not None
    assert not np.allclose(example.object_embedding, example.embedding)


def test_without_a_scene_an_example_has_one_vector_and_a_frame_one_inference(table: Table) -> None:
    table.teach("nut", "nut")
    [example] = table.store.examples()
    assert example.scene_id is None
    assert example.object_embedding is None
    calls = table.embedder.calls
    table.show("nut", frames=5)
    assert table.embedder.calls == calls + 5
    assert table.label == "nut"


def test_objects_are_known_on_another_ground_and_an_empty_scene_is_unknown(table: Table) -> None:
    table.learn_scene()
    for _ in range(3):
        table.teach("nut", "nut")
        table.teach("lemon", "lemon")
    calls = table.embedder.calls
    table.show("lemon", frames=4)
    assert table.embedder.calls == calls + 4, "one inference per frame"
    assert table.label == "lemon"
    calls = table.embedder.calls
    table.show(None, frames=4)
    assert table.embedder.calls == calls, "an empty scene needs no inference"
    assert table.label == UNKNOWN
    table.table.tray = "felt"
    table.learn_scene()
    table.show("nut", frames=2)
    assert table.label == "nut"


def test_a_result_has_the_vector_that_was_compared(table: Table) -> None:
    table.show("nut")
    [before] = table.found(events.Classified)
    assert before.embedding is not None
    assert before.object_embedding is None
    table.learn_scene()
    for label in ("nut", "lemon"):
        table.teach(label, label)
    table.show("nut")
    [after] = table.found(events.Classified)
    taught = next(example for example in table.store.examples() if example.label == "nut")
    assert after.embedding is None
    assert after.object_embedding is not None
    assert taught.object_embedding is not None
    assert float(after.object_embedding @ taught.object_embedding) > 0.9
    table.show(None)
    [empty] = table.found(events.Classified)
    assert empty.embedding is None
    assert empty.object_embedding is None


def test_the_scene_and_the_vectors_are_back_after_a_restart(table: Table) -> None:
    table.learn_scene()
    table.teach("nut", "nut")
    table.teach("lemon", "lemon")
    table.start()
    table.show("lemon", frames=2)
    assert table.found(events.SceneStatus)[0].state == "known"
    assert table.label == "lemon"
    table.table.tray = "mat"
    table.show(None, frames=80)
    assert table.found(events.SceneChanged)


def test_a_taught_view_that_was_taken_for_the_scene_is_given_up(
    table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "edge_daemon.pipeline.region_scene")
    table.show("nut", frames=80)
    assert table.found(events.SceneLearned)[0].automatic
    assert caplog.messages == ["the scene is known"]
    table.teach("nut", "nut")
    assert caplog.messages[1:] == ["the taught view was taken for the scene, which is learned again"]
    [example] = table.store.examples()
    assert example.scene_id is None
    table.show("nut", frames=80)
    assert table.label == "nut"
    assert not table.found(events.SceneLearned), "the taught view holds an object"


def test_a_class_taught_on_the_empty_scene_is_recognised(table: Table) -> None:
    table.learn_scene()
    table.teach("nut", "nut")
    table.teach("nothing", None)
    table.show(None, frames=2)
    assert table.label == "nothing"
    table.show("nut", frames=2)
    assert table.label == "nut"


def test_a_forgotten_scene_is_learned_again_and_is_not_back_after_a_restart(table: Table) -> None:
    table.learn_scene()
    table.show(None, commands.ForgetScene(GPIO))
    assert table.reply.data["regions"] == {"frame": {"state": "learning"}}
    table.start()
    table.show()
    assert table.found(events.SceneStatus)[0].state == "learning"


def test_an_unknown_region_and_a_second_press_are_refused(table: Table) -> None:
    table.show(None, commands.LearnScene(table.clock.monotonic(), GPIO, "left"))
    assert table.reply.error == "no region 'left'; regions are frame"
    table.show(None, table.press_scene(), table.press_scene())
    assert "wait" in str(table.reply.error)


def test_a_clock_that_is_set_corrects_the_time_and_not_the_age(table: Table) -> None:
    table.learn_scene()
    before = table.found(events.SceneStatus)[-1].learned_at
    assert before is not None
    day = timedelta(days=1)
    table.clock.set_utc(table.clock.utc() + day)
    now = table.clock.utc()
    table.show(None, ClockSet(now - 2 * day, now, day.total_seconds()), commands.ShowScene(GPIO))
    assert table.found(events.SceneStatus)[-1].learned_at == before + day
    assert table.reply.data["regions"]["frame"]["age_s"] < 60  # type: ignore[index]


def test_a_press_learns_every_region_and_a_spoiled_one_none(tmp_path: Path) -> None:
    with ExampleStore(tmp_path / "examples.sqlite") as store:
        two = TwoRegions(store)
        two.press()
        two.show(12)
        [reply] = two.replies()
        assert reply.error is None
        assert [scene.status.state for scene in two.regions.values()] == ["known", "known"]
        before = [store.scenes.newest(name) for name in two.regions]
        two.press()
        two.show(30, moving_right=True)
        [reply] = two.replies()
        assert reply.error == "region 'right': something moved; press again with nothing in view"
        assert [store.scenes.newest(name) for name in two.regions] == before


def test_automatic_scenes_are_stored_once_an_hour(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "edge_daemon.pipeline.region_scene")
    with ExampleStore(tmp_path / "examples.sqlite") as store:
        two = TwoRegions(store)
        two.show(80)
        first = store.scenes.newest("left")
        assert first is not None
        assert first.source == "automatic"
        assert "left: the scene is known" in caplog.messages
        two.regions["left"].reset()
        two.tables["left"].tray = "felt"
        two.show(80)
        assert two.regions["left"].status.state == "known"
        assert store.scenes.newest("left") == first


def test_a_stored_scene_of_another_box_is_not_used(tmp_path: Path) -> None:
    left, right = Box(0, 0, 0.5, 1), Box(0.5, 0, 0.5, 1)
    with ExampleStore(tmp_path / "examples.sqlite") as store:
        two = TwoRegions(store)
        two.regions["left"].move(left)
        two.show(80)
        archive = StoredScenes(store)
        assert RegionScene("left", SceneModel(), archive, left).status.state == "known"
        assert RegionScene("left", SceneModel(), archive, right).status.state == "learning"


def test_a_moved_region_stores_the_scene_of_its_new_box_for_the_next_start(tmp_path: Path) -> None:
    box = Box(0.1, 0.1, 0.5, 0.5)
    with ExampleStore(tmp_path / "examples.sqlite") as store:
        two = TwoRegions(store)
        two.show(80)
        two.scenes.move("left", box)
        two.tables["left"].tray = "felt"
        two.show(80)
        stored = RegionScene("left", SceneModel(), StoredScenes(store), box).reference
        used = two.regions["left"].reference
        assert stored is not None
        assert used is not None
        assert stored.is_same_scene(used)


def test_undo_of_a_press_after_a_move_does_not_bring_the_scene_of_the_former_box(tmp_path: Path) -> None:
    with ExampleStore(tmp_path / "examples.sqlite") as store:
        two = TwoRegions(store)
        for _ in range(2):
            two.press()
            two.show(12)
        two.scenes.move("left", Box(0.1, 0.1, 0.5, 0.5))
        press = two.scenes.undoable
        assert press is not None
        assert not [
            each for each in two.scenes.undo(commands.Undo(GPIO), press) if getattr(each, "error", None)
        ]
        assert two.regions["left"].status.state == "learning"
        assert two.regions["right"].status.state == "known"


def test_the_full_picture_is_loaded_for_objects_and_presses_only(tmp_path: Path) -> None:
    table = Table(ExampleStore(tmp_path / "examples.sqlite"), scale=0.5)
    table.learn_scene()
    table.show(None, frames=5)
    assert table.full_loaded == 0
    table.teach("nut", "nut")
    assert table.full_loaded == 1
    table.show("nut", frames=3)
    assert table.full_loaded == 4, "an object has fewer pixels than the model's input"
    table.show(None, frames=5)
    assert table.full_loaded == 4


def test_a_scene_learned_at_one_scale_is_known_at_another(tmp_path: Path) -> None:
    table = Table(ExampleStore(tmp_path / "examples.sqlite"))
    table.learn_scene()
    table.teach("nut", "nut")
    table.teach("lemon", "lemon")
    for table.scale in (0.5, 1.0):
        table.start()
        table.show("lemon", frames=4)
        assert table.label == "lemon"
        assert table.found(events.Classified)[-1].object_embedding is not None
        table.show(None, frames=20)
        assert not table.found(events.SceneChanged)
        assert table.label == UNKNOWN


def test_a_class_that_is_full_counts_as_taught_in_the_scene_of_its_newest_press(tmp_path: Path) -> None:
    """With `store.max_per_label` a press removes another example: the counts stay as they are."""
    table = Table(ExampleStore(tmp_path / "examples.sqlite"), SimulatedTable("mat"), max_per_label=2)
    table.learn_scene()
    for label in ("nut", "lemon") * 2:
        table.teach(label, label)
    assert table.view.taught_here() == {"nut", "lemon"}
    table.table.tray = "steel"
    table.learn_scene()
    assert table.view.taught_here() == set()
    table.teach("nut", "nut")
    assert table.view.taught_here() == {"nut"}
    table.teach("lemon", "lemon")
    assert table.store.counts == {"nut": 2, "lemon": 2}
    assert table.view.taught_here() == {"nut", "lemon"}
