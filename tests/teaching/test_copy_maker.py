"""Copies of taught pictures by the real pipeline, store, classifier and shipped model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.domain import events
from edge_daemon.domain.commands import AddExample, Clear, Command, Undo
from edge_daemon.domain.types import UNKNOWN, Frame
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg, read_image
from edge_daemon.learning.open_set.augmented_copies import COPIES
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.models.registry import find_model
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.pipeline.region import Region
from edge_daemon.pipeline.store_poll import STORE_POLL_S
from edge_daemon.system.testing import ManualClock
from edge_daemon.teaching.trainer import Trainer
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tracking.label_smoother import LabelSmoother
from tests.harness.pipeline_harness import GPIO
from tests.harness.shared_files import shared_path

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


class CountingModel:
    """The shipped model; `count` is the number of inferences."""

    def __init__(self) -> None:
        self._model = TfliteEmbedder(find_model("edge_embedder_v1"))
        self.space, self.size = self._model.space, self._model.size
        self.count = 0

    def embed(self, image: Image) -> Vector:
        """Embed a picture."""
        self.count += 1
        return self._model.embed(image)


@dataclass
class Device:
    """A pipeline before a camera; `happened` holds the events of the last frame."""

    store: ExampleStore
    model: CountingModel
    unknown: float | str = "auto"
    thumbnails: bool = True
    clock: ManualClock = field(default_factory=ManualClock)
    happened: list[events.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        classifiers = {"": make_classifier("knn", unknown=self.unknown)}
        self.pipeline = Pipeline(
            embedder=self.model,
            regions=(Region("frame", None, "", LabelSmoother()),),
            trainer=Trainer(self.store, classifiers, {"frame": ""}, self.model.space),
            clock=self.clock,
            encode=(lambda image: encode_jpeg(image, 224)) if self.thumbnails else lambda _: b"",
        )

    def show(self, image: Image, *commands: Command) -> str:
        """Show one frame; return its label."""
        self.clock.advance(0.1)
        frame = Frame(image, 1, self.clock.monotonic(), self.clock.utc())
        self.happened = list(self.pipeline.process(frame, commands))
        (classified,) = (each for each in self.happened if isinstance(each, events.Classified))
        return classified.prediction.label

    def teach(self, label: str, image: Image) -> None:
        """Press the button of a label while a picture is shown."""
        self.show(image, AddExample(label, self.clock.monotonic(), GPIO))

    def inferences(self, image: Image, frames: int) -> list[int]:
        """Show a picture; return the number of inferences of each frame."""
        counts = []
        for _ in range(frames):
            before = self.model.count
            self.show(image)
            counts.append(self.model.count - before)
        return counts


@pytest.fixture(scope="module")
def model() -> CountingModel:
    return CountingModel()


def picture(name: str) -> Image:
    return read_image(shared_path(f"images/{name}.jpg"))


def moved(image: Image, gain: float = 1.1, share: int = 20) -> Image:
    """Return a picture that is cut on two sides and brighter."""
    height, width = image.shape[:2]
    cut = image[height // share :, : width - width // share].astype(np.float32) * gain
    result: Image = cut.clip(0, 255).astype(np.uint8)
    return result


OTHER_OBJECTS = ("bird", "sunflower", "hot_dog")


def test_a_thing_taught_once_is_not_the_label_of_everything(
    store: ExampleStore, model: CountingModel
) -> None:
    device = Device(store, model)
    cat = picture("cat")
    device.teach("cat", cat)
    device.inferences(cat, COPIES)
    assert [device.show(picture(name)) for name in OTHER_OBJECTS] == [UNKNOWN] * 3
    assert device.show(cat) == "cat"
    assert device.show(moved(cat)) == "cat"
    assert device.show(moved(cat, gain=0.8)) == "cat"


def test_copies_cost_one_inference_a_frame_and_come_after_the_acknowledgement(
    store: ExampleStore, model: CountingModel
) -> None:
    device = Device(store, model)
    cat = picture("cat")
    before = model.count
    device.teach("cat", cat)
    assert any(isinstance(each, events.ExampleAdded) for each in device.happened)
    assert model.count - before == 2
    assert device.inferences(cat, COPIES + 3) == [2] * (COPIES - 1) + [1] * 4


def test_a_restart_makes_the_copies_again(store: ExampleStore, model: CountingModel) -> None:
    cat = picture("cat")
    Device(store, model).teach("cat", cat)
    restarted = Device(store, model)
    assert restarted.inferences(cat, COPIES + 2) == [2] * COPIES + [1] * 2
    assert [restarted.show(picture(name)) for name in OTHER_OBJECTS] == [UNKNOWN] * 3


def test_copies_are_made_again_where_the_id_is_that_of_another_example(
    store: ExampleStore, model: CountingModel, tmp_path: Path
) -> None:
    """The store's file is replaced by one whose first example is another one."""
    backup = tmp_path / "backup.sqlite"
    with ExampleStore(backup) as other:
        Device(other, model).teach("bird", picture("bird"))
    device, cat = Device(store, model), picture("cat")
    device.teach("cat", cat)
    assert device.inferences(cat, COPIES + 1)[-1] == 1
    backup.replace(store.path)
    device.clock.advance(STORE_POLL_S)
    assert device.inferences(cat, COPIES + 2) == [1] + [2] * COPIES + [1]


@pytest.mark.parametrize("command", [Undo(GPIO), Clear(GPIO, "cat"), Clear(GPIO)])
def test_work_on_a_removed_example_is_dropped(
    store: ExampleStore, model: CountingModel, command: Command
) -> None:
    device = Device(store, model)
    cat = picture("cat")
    device.teach("cat", cat)
    assert device.inferences(cat, 2) == [2, 2]
    device.show(cat, command)
    assert device.inferences(cat, 3) == [1, 1, 1]


def test_copies_of_several_labels_are_made_in_turn(store: ExampleStore, model: CountingModel) -> None:
    device = Device(store, model)
    for name in ("cat", "bird"):
        device.teach(name, picture(name))
    assert device.inferences(picture("cat"), 2 * COPIES)[-2:] == [1, 1]
    assert [device.show(picture(name)) for name in ("cat", "bird", "sunflower", "hot_dog")] == [
        "cat",
        "bird",
        UNKNOWN,
        UNKNOWN,
    ]


@pytest.mark.parametrize("unknown", ["off", 0.5])
def test_without_calibration_no_copies_are_made(
    store: ExampleStore, model: CountingModel, unknown: float | str
) -> None:
    device = Device(store, model, unknown)
    device.teach("cat", picture("cat"))
    assert device.inferences(picture("cat"), 3) == [1, 1, 1]


def test_without_thumbnails_no_copies_are_made(store: ExampleStore, model: CountingModel) -> None:
    device = Device(store, model, thumbnails=False)
    device.teach("cat", picture("cat"))
    assert device.inferences(picture("cat"), 3) == [1, 1, 1]
    assert device.show(picture("bird")) == "cat"
