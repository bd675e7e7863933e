"""The pipeline with a real classifier, store and smoother; camera, model and clock are fakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import pytest

from edge_daemon.domain import events
from edge_daemon.domain.commands import (
    AddExample,
    CameraFailed,
    Clear,
    Instruction,
    MoveRegion,
    Origin,
    SetThreshold,
    TakeSnapshot,
    Undo,
)
from edge_daemon.domain.lazy_picture import LazyPicture
from edge_daemon.domain.types import Frame
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from edge_daemon.imaging.regions import Box
from edge_daemon.pipeline.pipeline import FIRST_LABEL_S, Pipeline
from edge_daemon.pipeline.region import Region
from edge_daemon.tracking.label_smoother import LabelSmoother
from edge_daemon.tracking.region_text import RegionTextJoiner
from tests.harness.pipeline_harness import BLUE, GPIO, GREEN, RED, Bench

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


def test_an_example_takes_effect_on_its_own_frame(bench: Bench) -> None:
    bench.show(RED)
    assert bench.label == "unknown"
    bench.teach("red", RED)
    assert bench.label == "red"
    bench.teach("green", GREEN)
    for colour, name in [(RED, "red"), (GREEN, "green"), (BLUE, "unknown")]:
        bench.show(colour)
        assert bench.label == name


def test_press_labels_the_first_frame_captured_after_it(bench: Bench) -> None:
    bench.show(RED)
    press = bench.press("green")
    stale = Frame(np.full((20, 30, 3), RED, np.uint8), 50, press.pressed_s, bench.clock.utc())
    assert not [
        e for e in list(bench.pipeline.process(stale, (press,))) if isinstance(e, events.ExampleAdded)
    ]
    bench.show(GREEN)
    (added,) = bench.found(events.ExampleAdded)
    assert (added.label, added.seq, added.count) == ("green", bench.seq, 1)
    bench.show(RED)
    assert bench.label == "unknown"


def test_press_that_arrives_late_labels_the_first_frame_after_it(bench: Bench) -> None:
    press = bench.press("red")
    for colour in (RED, GREEN, BLUE):
        bench.show(colour)
    bench.show(BLUE, instructions=(press,))
    (added,) = bench.found(events.ExampleAdded)
    assert added.seq == 1
    bench.show(RED)
    assert bench.label == "red"


def test_rejected_commands_get_an_error_reply_and_change_nothing(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    rejected: tuple[Instruction, ...] = (
        AddExample("a/b", 0, GPIO), AddExample("red", 0, GPIO, region="left"), Clear(GPIO, "green"),
        SetThreshold(GPIO, "sometimes"),
    )  # fmt: skip
    bench.show(RED, instructions=rejected)
    replies = bench.found(events.CommandReply)
    assert [reply.command for reply in replies] == list(rejected)
    assert all(reply.error and "\n" not in reply.error for reply in replies)
    assert store.counts == {"red": 1}
    bench.show(RED, instructions=(Clear(GPIO), Undo(GPIO, 99)))
    assert [reply.error is None for reply in bench.found(events.CommandReply)] == [True, False]


def test_stable_label_changes_once_through_flicker(bench: Bench) -> None:
    bench.teach("red", RED)
    bench.teach("green", GREEN)
    changes = []
    for colour in [RED] * 10 + [GREEN, RED] * 5 + [GREEN] * 10:
        bench.show(colour)
        changes += [change.label for change in bench.found(events.LabelChanged)]
    assert changes == ["green"]


def test_lost_camera_is_reported_once_and_resets_the_label(bench: Bench) -> None:
    bench.teach("red", RED)
    lost = list(bench.pipeline.process(None, (CameraFailed("the cable is out"),)))
    assert lost == [events.CameraLost("the cable is out")]
    assert list(bench.pipeline.process(None, (CameraFailed("the cable is out"),))) == []
    assert list(bench.pipeline.process(None, (CameraFailed("busy"),))) == [events.CameraLost("busy")]
    bench.clock.advance(7)
    bench.show(RED)
    assert bench.found(events.CameraRestored)[0].outage_s == pytest.approx(7.1)
    assert [change.label for change in bench.found(events.LabelChanged)] == ["red"]


def test_camera_without_frames_counts_as_lost_and_pending_presses_get_a_reply(bench: Bench) -> None:
    bench.show(RED)
    bench.show(RED)
    assert list(bench.pipeline.process(None, (bench.press("red"),))) == []
    bench.clock.advance(6)
    lost, reply = list(bench.pipeline.process(None, ()))
    assert isinstance(lost, events.CameraLost)
    assert isinstance(reply, events.CommandReply)
    assert "no frame" in str(reply.error)
    bench.show(RED)
    assert not bench.found(events.ExampleAdded)


def test_a_network_camera_whose_pictures_come_late_is_not_lost_between_two(bench: Bench) -> None:
    """Its slowest has a picture every four seconds, with the time of the request."""
    lost: list[object] = []
    for _ in range(3):
        asked = bench.frame(RED)
        bench.clock.advance(3)
        lost += [event for event in bench.pipeline.process(asked, ()) if isinstance(event, events.CameraLost)]
        bench.clock.advance(3.9)
        lost += bench.pipeline.process(None, ())
    assert lost == []


def test_pending_presses_are_bounded(bench: Bench) -> None:
    happened = list(bench.pipeline.process(None, tuple(bench.press("red") for _ in range(100))))
    assert sum(isinstance(event, events.CommandReply) for event in happened) == 36


def test_image_without_an_embedding_is_unknown_and_not_stored(bench: Bench) -> None:
    bench.teach("red", RED)
    bench.embedder.failing = True
    bench.show(RED, instructions=(bench.press("red"),))
    assert bench.label == "unknown"
    assert bench.found(events.CommandReply)[0].error == "all zeros"


def test_snapshot_is_the_next_frame(bench: Bench) -> None:
    request = TakeSnapshot(Origin("mqtt", "snapshot", 7))
    bench.show(BLUE, instructions=(request,))
    (snapshot,) = bench.found(events.Snapshot)
    assert snapshot.command == request
    assert read_image(snapshot.jpeg).shape == (20, 30, 3)
    bench.show(BLUE)
    assert not bench.found(events.Snapshot)


def test_regions_are_classified_separately_and_share_examples_by_default(store: ExampleStore) -> None:
    regions = (
        Region("left", Box(0, 0, 1 / 3, 1), "", LabelSmoother()),
        Region("middle", Box(1 / 3, 0, 1 / 3, 1), "", LabelSmoother()),
        Region("right", Box(2 / 3, 0, 1 / 3, 1), "right", LabelSmoother()),
    )
    bench = Bench(store, regions)
    bench.show(RED, GREEN, BLUE, instructions=(bench.press("red"), bench.press("blue", "right")))
    bench.show(GREEN, RED, RED)
    named = {event.region: event.prediction.label for event in bench.found(events.Classified)}
    assert named == {"left": "unknown", "middle": "red", "right": "unknown"}
    bench.show(BLUE, BLUE, BLUE)
    named = {event.region: event.prediction.label for event in bench.found(events.Classified)}
    assert named == {"left": "unknown", "middle": "unknown", "right": "blue"}


def test_regions_are_joined_into_one_text(store: ExampleStore) -> None:
    names = ("tens", "ones")
    regions = tuple(
        Region(name, Box(index / 2, 0, 0.5, 1), "", LabelSmoother(window=1))
        for index, name in enumerate(names)
    )
    joiner = RegionTextJoiner(names, LabelSmoother(window=1, min_hold_s=0))
    bench = Bench(store, regions, text_joiner=joiner)
    for label, colour in (("4", RED), ("2", GREEN)):
        bench.show(colour, colour, instructions=(bench.press(label),))
    texts = []
    for pair in [(RED, GREEN)] * 5 + [(GREEN, GREEN)] * 5 + [(GREEN, BLUE)] * 5:
        bench.show(*pair)
        texts += [change.label for change in bench.found(events.LabelChanged) if change.region == "frame"]
    assert texts[-3:] == ["42", "22", "2?"]
    list(bench.pipeline.process(None, (CameraFailed("the cable is out"),)))
    bench.show(GREEN, BLUE)
    assert [change.label for change in bench.found(events.LabelChanged)] == ["2", "unknown", "2?"]


def test_ready_comes_with_the_first_classified_frame(bench: Bench) -> None:
    assert list(bench.pipeline.process(None, ())) == []
    bench.show(RED)
    assert len(bench.found(events.Ready)) == 1
    bench.show(RED)
    assert not bench.found(events.Ready)


def test_a_moved_region_takes_effect_with_the_next_frame(store: ExampleStore) -> None:
    bench = Bench(store, (Region("spot", Box(0, 0, 0.5, 1), "", LabelSmoother()),))
    bench.show(RED, GREEN, instructions=(bench.press("red"),))
    bench.show(RED, GREEN, instructions=(bench.press("red"),))
    assert bench.label == "red"
    bench.show(RED, GREEN, instructions=(MoveRegion("spot", (0.5, 0, 0.5, 1), GPIO),))
    assert bench.found(events.CommandReply)[0].error is None
    assert bench.label == "unknown"


def test_a_region_may_not_leave_the_frame(store: ExampleStore) -> None:
    bench = Bench(store, (Region("spot", Box(0, 0, 0.5, 1), "", LabelSmoother()),))
    bench.show(RED, GREEN)
    bench.show(RED, GREEN, instructions=(MoveRegion("spot", (0.6, 0, 0.5, 1), GPIO),))
    assert "does not fit" in str(bench.found(events.CommandReply)[0].error)
    assert bench.found(events.Classified)


def test_the_evaluation_at_the_start_follows_the_first_label(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    restarted = Bench(store, bench.regions)
    kinds = [type(event) for event in restarted.show(RED)]
    assert kinds.index(events.Classified) < kinds.index(events.ExamplesChanged)
    assert restarted.found(events.ExamplesChanged)[0].counts == {"red": 1}
    restarted.show(RED)
    assert not restarted.found(events.ExamplesChanged)


def test_counts_are_published_without_a_camera(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    restarted = Bench(store, bench.regions)
    assert list(restarted.pipeline.process(None, ())) == []
    restarted.clock.advance(FIRST_LABEL_S)
    happened = list(restarted.pipeline.process(None, ()))
    assert [event.counts for event in happened if isinstance(event, events.ExamplesChanged)] == [{"red": 1}]


def test_acknowledgement_then_label_then_evaluation(bench: Bench) -> None:
    bench.show(RED)
    press = bench.press("red")
    bench.show(RED)
    presses = (press, bench.press("red"))
    kinds = [type(event) for event in bench.pipeline.process(bench.frame(RED), presses)]
    assert kinds[:2] == [events.ExampleAdded, events.CommandReply]
    assert kinds.index(events.Classified) < kinds.index(events.ExamplesChanged)
    assert kinds.count(events.ExamplesChanged) == 1


def test_an_example_is_acknowledged_before_the_next_frame_is_processed(
    bench: Bench, store: ExampleStore
) -> None:
    bench.show(RED)
    press = bench.press("red")
    bench.show(RED)
    with mock.patch.object(Pipeline, "_process_frame", side_effect=RuntimeError("the model broke")):
        happening = bench.pipeline.process(bench.frame(GREEN), (press,))
        assert isinstance(next(happening), events.ExampleAdded)
        assert store.counts == {"red": 1}
        with pytest.raises(RuntimeError):
            list(happening)


_FIRST_PRESS = """
import sys
from datetime import UTC, datetime
import numpy as np
from edge_daemon.app.build import build_pipeline
from edge_daemon.domain.commands import AddExample, Origin
from edge_daemon.config.schema import load_config
from edge_daemon.domain.events import ExamplesChanged
from edge_daemon.system.clock import SystemClock
from edge_daemon.domain.types import Frame

store = f"store.path={sys.argv[1]}/examples.sqlite"
pipeline = build_pipeline(load_config(None, [store, "mqtt.host=null"]), SystemClock())
picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
list(pipeline.process(Frame(picture, 0, 1.0, datetime.now(UTC)), ()))
before = set(sys.modules)
press = AddExample("mug", 1.5, Origin("gpio"))
happened = list(pipeline.process(Frame(picture, 1, 2.0, datetime.now(UTC)), [press]))
assert [event.counts for event in happened if isinstance(event, ExamplesChanged)] == [{"mug": 1}]
print(*sorted(set(sys.modules) - before))
"""


def test_the_first_press_loads_no_image_library(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_PRESS, tmp_path], capture_output=True, text=True, check=True
    )
    assert not [name for name in done.stdout.split() if name.startswith("PIL")]


def test_a_region_uses_the_scale_that_its_model_needs(tmp_path: Path) -> None:
    asked: list[float] = []

    class Watched(LazyPicture):
        def at_least(self, scale: float) -> Image:
            asked.append(scale)
            return super().at_least(scale)

    regions = (Region("left", Box(0, 0, 0.5, 1), "", LabelSmoother(window=1, min_hold_s=0)),)
    bench = Bench(ExampleStore(tmp_path / "examples.sqlite"), regions=regions, min_scale=lambda w, h: 80 / w)
    image = np.full((240, 320, 3), RED, np.uint8)
    picture = Watched((320, 240), (0.25, 0.5, 1.0), lambda scale, larger: image[:: round(1 / scale)], {1.0})
    picture.preload()
    list(bench.pipeline.process(Frame(picture, 1, bench.clock.monotonic(), bench.clock.utc()), ()))
    assert asked == [0.5]
    asked.clear()
    move = MoveRegion("left", (0, 0, 0.25, 1), GPIO)
    list(bench.pipeline.process(Frame(picture, 2, bench.clock.monotonic(), bench.clock.utc()), (move,)))
    assert asked == [1.0]


def test_the_pipeline_needs_the_largest_scale_of_its_regions(tmp_path: Path) -> None:
    boxes = {"half": Box(0, 0, 0.5, 1), "pixels": Box(0, 0, 100, 100), "outside": Box(0, 0, 900, 10)}
    regions = {
        name: Region(name, box, "", LabelSmoother(window=1, min_hold_s=0)) for name, box in boxes.items()
    }

    def scale(*names: str) -> float:
        chosen = tuple(regions[name] for name in names)
        store = ExampleStore(tmp_path / "examples.sqlite")
        pipeline = Bench(store, regions=chosen, min_scale=lambda w, h: 80 / w).pipeline
        pipeline.close()
        return pipeline.min_scale((640, 480))

    assert scale("half") == 0.25
    assert scale("half", "pixels") == 0.8
    assert scale("half", "outside") == 1.0
