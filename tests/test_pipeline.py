"""The way of a frame: real learner, real store, real smoother; only camera, model and clock are stand-ins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest

from edge_daemon import events
from edge_daemon.commands import (
    AddExample,
    Clear,
    Instruction,
    LabelMoment,
    MoveRegion,
    Origin,
    Relabel,
    Remove,
    ReportOutage,
    Restore,
    SetThreshold,
    TakeSnapshot,
    Undo,
)
from edge_daemon.errors import EmbeddingError
from edge_daemon.examples.store import ExampleStore
from edge_daemon.fakes import ColourEmbedder, HandClock
from edge_daemon.learning.learner import make_learner
from edge_daemon.learning.reading import Reading
from edge_daemon.learning.smoothing import Smoother
from edge_daemon.pipeline import Pipeline, View
from edge_daemon.teacher import Teacher
from edge_daemon.types import Frame
from edge_daemon.vision.images import encode_jpeg, read_image
from edge_daemon.vision.regions import Box

if TYPE_CHECKING:
    from edge_daemon.types import Image, Vector

RED, GREEN, BLUE = (220, 30, 30), (30, 220, 30), (30, 30, 220)
GPIO = Origin("gpio", "button")
Found = TypeVar("Found", bound=events.Event)


@dataclass
class Bench:
    """A pipeline on a bench: show it colours, press, and look at what happened."""

    store: ExampleStore
    views: tuple[View, ...]
    clock: HandClock = field(default_factory=HandClock)
    max_per_label: int | None = None
    seq: int = 0
    happened: list[events.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        pools = {view.name: view.pool for view in self.views}
        learners = {pool: make_learner(vote="padded", unknown=0.9) for pool in pools.values()}
        teacher = Teacher(self.store, learners, pools, ColourEmbedder.space, self.max_per_label)
        self.pipeline = Pipeline(
            embedder=ColourEmbedder(), views=self.views, teacher=teacher, clock=self.clock, encode=encode_jpeg
        )

    def show(
        self, *colours: tuple[int, int, int], instructions: tuple[Instruction, ...] = ()
    ) -> list[events.Event]:
        """Show one frame whose equal vertical stripes have these colours."""
        self.clock.advance(0.1)
        self.seq += 1
        stripes = [np.full((20, 30, 3), colour, np.uint8) for colour in colours]
        frame = Frame(np.hstack(stripes), self.seq, self.clock.monotonic(), self.clock.utc())
        self.happened = self.pipeline.step(frame, instructions)
        return self.happened

    def press(self, label: str, region: str | None = None) -> AddExample:
        """Press a button now; the command goes in with the next step."""
        return AddExample(label, self.clock.monotonic(), GPIO, region)

    def teach(self, label: str, colour: tuple[int, int, int]) -> None:
        self.show(colour, instructions=(self.press(label),))

    def found(self, kind: type[Found]) -> list[Found]:
        """Return the last step's events of a kind."""
        return [event for event in self.happened if isinstance(event, kind)]

    @property
    def label(self) -> str:
        return self.found(events.Classified)[0].prediction.label


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExampleStore]:
    with ExampleStore(tmp_path / "examples.sqlite") as opened:
        yield opened


@pytest.fixture
def bench(store: ExampleStore) -> Bench:
    return Bench(store, (View("frame", None, "", Smoother()),))


def test_taught_colours_are_named_from_the_same_frame_on(bench: Bench) -> None:
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
    assert not [e for e in bench.pipeline.step(stale, (press,)) if isinstance(e, events.ExampleAdded)]
    bench.show(GREEN)
    (added,) = bench.found(events.ExampleAdded)
    assert (added.label, added.seq, added.count) == ("green", bench.seq, 1)
    bench.show(RED)
    assert bench.label == "unknown"


def test_press_that_arrives_late_labels_the_frame_it_meant(bench: Bench) -> None:
    press = bench.press("red")
    for colour in (RED, GREEN, BLUE):
        bench.show(colour)
    bench.show(BLUE, instructions=(press,))
    (added,) = bench.found(events.ExampleAdded)
    assert added.seq == 1
    bench.show(RED)
    assert bench.label == "red"


def test_acknowledged_example_is_on_disk_with_its_picture(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    (added,) = bench.found(events.ExampleAdded)
    with ExampleStore(store.path) as reader:
        (example,) = reader
    assert (example.id, example.label, example.space, example.source) == (
        added.id,
        "red",
        "mean-colour",
        "gpio",
    )
    assert np.abs(read_image(example.thumbnail).mean(axis=(0, 1)) - RED).max() < 8
    assert bench.found(events.Replied)[0].error is None
    assert bench.found(events.ExamplesChanged)[0].counts == {"red": 1}


def test_undo_and_clear_take_back(bench: Bench, store: ExampleStore) -> None:
    for label, colour in [("red", RED), ("green", GREEN), ("green", GREEN)]:
        bench.teach(label, colour)
    bench.show(GREEN, instructions=(Undo(GPIO),))
    assert bench.found(events.ExampleUndone)[0].count == 1
    assert bench.label == "green"
    bench.show(GREEN, instructions=(Clear(GPIO, "green"),))
    assert bench.found(events.Cleared)[0].removed == 1
    assert bench.label == "unknown"
    bench.show(RED, instructions=(Clear(GPIO),))
    assert store.counts == {}
    assert bench.label == "unknown"


def test_refused_commands_are_answered_and_change_nothing(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    refused: tuple[Instruction, ...] = (
        AddExample("a/b", 0, GPIO), AddExample("red", 0, GPIO, region="left"), Clear(GPIO, "green"),
        SetThreshold(GPIO, "sometimes"),
    )  # fmt: skip
    bench.show(RED, instructions=refused)
    answers = bench.found(events.Replied)
    assert [answer.command for answer in answers] == list(refused)
    assert all(answer.error and "\n" not in answer.error for answer in answers)
    assert store.counts == {"red": 1}
    bench.show(RED, instructions=(Clear(GPIO), Undo(GPIO)))
    assert [answer.error is None for answer in bench.found(events.Replied)] == [True, False]


def test_full_disk_answers_the_press_and_the_device_goes_on(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    store._connection.execute("PRAGMA max_page_count = 1")
    for _ in range(20):
        bench.teach("green", GREEN)
    assert "full" in str(bench.found(events.Replied)[0].error)
    bench.show(RED)
    assert bench.label == "red"


def test_stable_label_changes_once_through_flicker(bench: Bench) -> None:
    bench.teach("red", RED)
    bench.teach("green", GREEN)
    changes = []
    for colour in [RED] * 10 + [GREEN, RED] * 5 + [GREEN] * 10:
        bench.show(colour)
        changes += [change.label for change in bench.found(events.LabelChanged)]
    assert changes == ["green"]


def test_lost_camera_is_said_once_and_labels_start_anew(bench: Bench) -> None:
    bench.teach("red", RED)
    lost = bench.pipeline.step(None, (ReportOutage("the cable is out"),))
    assert lost == [events.CameraLost("the cable is out")]
    assert bench.pipeline.step(None, (ReportOutage("still out"),)) == []
    bench.clock.advance(7)
    bench.show(RED)
    assert bench.found(events.CameraRestored)[0].outage_s == pytest.approx(7.1)
    assert [change.label for change in bench.found(events.LabelChanged)] == ["red"]


def test_silent_camera_counts_as_lost_and_waiting_presses_are_answered(bench: Bench) -> None:
    bench.show(RED)
    assert bench.pipeline.step(None, (bench.press("red"),)) == []
    bench.clock.advance(6)
    lost, answer = bench.pipeline.step(None, ())
    assert isinstance(lost, events.CameraLost)
    assert isinstance(answer, events.Replied)
    assert "no frame" in str(answer.error)
    bench.show(RED)
    assert not bench.found(events.ExampleAdded)


def test_presses_that_wait_for_a_frame_are_bounded(bench: Bench) -> None:
    happened = bench.pipeline.step(None, tuple(bench.press("red") for _ in range(100)))
    assert sum(isinstance(event, events.Replied) for event in happened) == 36


def test_picture_without_an_embedding_is_unknown_and_not_taught(bench: Bench) -> None:
    class Blind(ColourEmbedder):
        def embed(self, image: Image) -> Vector:
            raise EmbeddingError("all zeros")

    bench.teach("red", RED)
    bench.pipeline._embedder = Blind()
    bench.show(RED, instructions=(bench.press("red"),))
    assert bench.label == "unknown"
    assert bench.found(events.Replied)[0].error == "all zeros"


def test_doubtful_moment_can_be_labelled_afterwards(bench: Bench) -> None:
    bench.teach("red", RED)
    bench.show(GREEN)
    (doubt,) = bench.found(events.Doubted)
    assert "nearest to 'red'" in doubt.reason
    bench.show(RED, instructions=(LabelMoment("green", bench.clock.monotonic(), GPIO, moment=doubt.moment),))
    assert bench.found(events.ExampleAdded)[0].seq == doubt.seq
    bench.show(GREEN)
    assert bench.label == "green"
    again = LabelMoment("green", bench.clock.monotonic(), GPIO, moment=doubt.moment)
    bench.show(RED, instructions=(again,))
    assert "no longer kept" in str(bench.found(events.Replied)[0].error)


def test_press_on_a_button_of_doubts_means_the_doubt_while_it_is_fresh(bench: Bench) -> None:
    bench.teach("red", RED)
    bench.show(GREEN)
    doubtful = bench.seq
    bench.show(RED, instructions=(AddExample("green", bench.clock.monotonic(), GPIO, doubt_s=3),))
    assert bench.found(events.ExampleAdded)[0].seq == doubtful
    for _ in range(40):
        bench.show(RED)
    bench.show(BLUE, instructions=(AddExample("blue", bench.clock.monotonic(), GPIO, doubt_s=3),))
    assert bench.found(events.ExampleAdded)[0].seq == bench.seq
    bench.show(RED, instructions=(LabelMoment("blue", bench.clock.monotonic() + 60, GPIO),))
    assert "nothing was doubtful" in str(bench.found(events.Replied)[0].error)


def test_examples_are_removed_restored_and_relabelled_by_id(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    bench.teach("green", GREEN)
    (red, green) = (example.id for example in store)
    bench.show(RED, instructions=(Remove((red,), GPIO),))
    assert bench.label == "unknown"
    bench.show(RED, instructions=(Restore((red,), GPIO), Relabel((green,), "leaf", GPIO)))
    assert bench.label == "red"
    assert [event.action for event in bench.found(events.ExamplesEdited)] == ["restored", "relabelled"]
    bench.show(GREEN)
    assert bench.label == "leaf"
    assert store.counts == {"red": 1, "leaf": 1}


def test_what_another_process_teaches_counts_within_seconds(bench: Bench, store: ExampleStore) -> None:
    bench.teach("red", RED)
    with ExampleStore(store.path) as other:
        other.add(ColourEmbedder().embed(np.full((2, 2, 3), GREEN, np.uint8)), "green", space="mean-colour")
    bench.clock.advance(3)
    bench.show(BLUE)
    assert bench.found(events.ExamplesChanged)[0].counts == {"red": 1, "green": 1}
    bench.show(GREEN)
    assert bench.label == "green"
    bench.clock.advance(3)
    bench.show(GREEN)
    assert not bench.found(events.ExamplesChanged)


def test_label_the_classifier_cannot_take_is_refused_before_it_is_stored(store: ExampleStore) -> None:
    store.add(ColourEmbedder().embed(np.full((2, 2, 3), RED, np.uint8)), "red", space="mean-colour")
    view = View("frame", None, "", Smoother())
    teacher = Teacher(store, {"": make_learner("regression")}, {"frame": ""}, ColourEmbedder.space)
    bench = Bench(store, (view,))
    bench.pipeline._teacher = teacher
    bench.teach("green", GREEN)
    assert "green" in str(bench.found(events.Replied)[0].error)
    assert store.counts == {"red": 1}
    bench.teach("12", GREEN)
    assert store.counts == {"red": 1, "12": 1}


def test_snapshot_is_the_next_frame(bench: Bench) -> None:
    request = TakeSnapshot(Origin("mqtt", "snapshot", 7))
    bench.show(BLUE, instructions=(request,))
    (snapshot,) = bench.found(events.Snapshot)
    assert snapshot.command == request
    assert read_image(snapshot.jpeg).shape == (20, 30, 3)
    bench.show(BLUE)
    assert not bench.found(events.Snapshot)


def test_regions_are_classified_apart_and_share_examples_unless_told_otherwise(store: ExampleStore) -> None:
    views = (
        View("left", Box(0, 0, 1 / 3, 1), "", Smoother()),
        View("middle", Box(1 / 3, 0, 1 / 3, 1), "", Smoother()),
        View("right", Box(2 / 3, 0, 1 / 3, 1), "right", Smoother()),
    )
    bench = Bench(store, views)
    bench.show(RED, GREEN, BLUE, instructions=(bench.press("red"), bench.press("blue", "right")))
    bench.show(GREEN, RED, RED)
    named = {event.region: event.prediction.label for event in bench.found(events.Classified)}
    assert named == {"left": "unknown", "middle": "red", "right": "unknown"}
    bench.show(BLUE, BLUE, BLUE)
    named = {event.region: event.prediction.label for event in bench.found(events.Classified)}
    assert named == {"left": "unknown", "middle": "unknown", "right": "blue"}


def test_regions_are_read_as_one_text(store: ExampleStore) -> None:
    names = ("tens", "ones")
    views = tuple(
        View(name, Box(index / 2, 0, 0.5, 1), "", Smoother(window=1)) for index, name in enumerate(names)
    )
    bench = Bench(store, views)
    bench.pipeline._reading = Reading(names)
    for label, colour in (("4", RED), ("2", GREEN)):
        bench.show(colour, colour, instructions=(bench.press(label),))
    texts = []
    for pair in [(RED, GREEN)] * 5 + [(GREEN, GREEN)] * 5 + [(GREEN, BLUE)] * 5:
        bench.show(*pair)
        texts += [change.label for change in bench.found(events.LabelChanged) if change.region == "frame"]
    assert texts[-3:] == ["42", "22", "2?"]
    bench.pipeline.step(None, (ReportOutage("the cable is out"),))
    bench.show(GREEN, BLUE)
    assert [change.label for change in bench.found(events.LabelChanged)] == ["2", "unknown", "2?"]


def test_most_redundant_example_makes_room(store: ExampleStore) -> None:
    bench = Bench(store, (View("frame", None, "", Smoother()),), max_per_label=3)
    for colour in [(220, 30, 30), (220, 31, 30), (150, 30, 30), (220, 130, 30), (221, 30, 30)]:
        bench.teach("warm", colour)
    assert store.counts == {"warm": 3}
    assert bench.label == "warm"


def test_ready_comes_with_the_first_classified_frame(bench: Bench) -> None:
    assert bench.pipeline.step(None, ()) == []
    bench.show(RED)
    assert len(bench.found(events.Ready)) == 1
    bench.show(RED)
    assert not bench.found(events.Ready)


def test_a_moved_region_looks_elsewhere_from_the_next_frame(store: ExampleStore) -> None:
    bench = Bench(store, (View("spot", Box(0, 0, 0.5, 1), "", Smoother()),))
    bench.show(RED, GREEN, instructions=(bench.press("red"),))
    bench.show(RED, GREEN, instructions=(bench.press("red"),))
    assert bench.label == "red"
    bench.show(RED, GREEN, instructions=(MoveRegion("spot", (0.5, 0, 0.5, 1), GPIO),))
    assert bench.found(events.Replied)[0].error is None
    assert bench.label == "unknown"


def test_a_region_may_not_leave_the_frame(store: ExampleStore) -> None:
    bench = Bench(store, (View("spot", Box(0, 0, 0.5, 1), "", Smoother()),))
    bench.show(RED, GREEN)
    bench.show(RED, GREEN, instructions=(MoveRegion("spot", (0.6, 0, 0.5, 1), GPIO),))
    assert "does not fit" in str(bench.found(events.Replied)[0].error)
    assert bench.found(events.Classified)
