"""A picture that stands still costs little, and its label is right in the first frame that differs."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.domain import events
from edge_daemon.domain.commands import Undo
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.static_scene import StaticSceneDetector
from edge_daemon.pipeline.region import Region
from edge_daemon.tracking.label_smoother import LabelSmoother
from tests.harness.pipeline_harness import BLUE, GPIO, RED, Bench


def idle_bench(tmp_path: Path) -> Bench:
    region = Region(
        "frame", None, "", LabelSmoother(window=1, min_hold_s=0), static_scene=StaticSceneDetector(0.5)
    )
    bench = Bench(ExampleStore(tmp_path / "examples.sqlite"), (region,))
    bench.teach("red", RED)
    bench.teach("blue", BLUE)
    for _ in range(8):
        bench.show(RED)
    return bench


def test_unchanged_frames_are_neither_classified_nor_reported(tmp_path: Path) -> None:
    bench = idle_bench(tmp_path)
    counts = [len(bench.show(RED)) for _ in range(20)]
    assert counts.count(0) >= 17
    assert sum(counts) <= 3, "one frame per second is classified"


def test_the_first_changed_frame_is_classified(tmp_path: Path) -> None:
    bench = idle_bench(tmp_path)
    bench.show(BLUE)
    assert bench.label == "blue"
    assert bench.found(events.LabelChanged)[0].label == "blue"


def test_a_press_on_an_unchanged_scene_adds_an_example_and_updates_the_label(tmp_path: Path) -> None:
    bench = idle_bench(tmp_path)
    bench.show(RED, instructions=(bench.press("crimson"),))
    assert bench.found(events.ExampleAdded)[0].label == "crimson"
    bench.press("crimson")
    bench.show(RED, instructions=(Undo(GPIO),))
    assert bench.found(events.ExampleUndone)[0].label == "crimson"
    assert bench.label == "red", "an undo may change the label of an unchanged scene"


def test_a_press_labels_a_frame_that_was_skipped(tmp_path: Path) -> None:
    bench = idle_bench(tmp_path)
    press = bench.press("scarlet")
    bench.show(RED)
    assert not bench.happened
    bench.show(RED, instructions=(press,))
    assert bench.found(events.ExampleAdded)[0].seq == bench.seq - 1
    assert bench.found(events.Classified)
