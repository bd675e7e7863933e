"""Pipelines before simulated tables, for tests of the scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from edge_daemon.domain import commands, events
from edge_daemon.domain.commands import AddExample, Instruction, Origin
from edge_daemon.domain.frame_timing import FrameTiming
from edge_daemon.domain.lazy_picture import LazyPicture
from edge_daemon.domain.types import Frame
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg, resize_image
from edge_daemon.imaging.object_embedder import ObjectEmbedder
from edge_daemon.imaging.scene_model import SceneModel
from edge_daemon.learning.object_classifier import make_object_classifier
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.pipeline.region import Region
from edge_daemon.pipeline.region_scene import RegionScene
from edge_daemon.pipeline.scene_parts import SceneParts
from edge_daemon.pipeline.scenes import Scenes
from edge_daemon.pipeline.view_classifier import ViewClassifier
from edge_daemon.system.testing import ManualClock
from edge_daemon.teaching.copy_maker import CopyMaker
from edge_daemon.teaching.object_copies import object_copies
from edge_daemon.teaching.stored_scenes import StoredScenes
from edge_daemon.teaching.trainer import Trainer
from edge_daemon.tracking.label_smoother import LabelSmoother
from tests.harness.simulated_table import SimulatedTable

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

GPIO = Origin("gpio", "scene")
Found = TypeVar("Found", bound=events.Event)


class HistogramEmbedder:
    """Embeds a picture as its histogram of levels and channels, with soft bins; counts its calls."""

    space = "histogram"
    size = 27

    def __init__(self) -> None:
        self.calls = 0

    def embed(self, image: Image) -> Vector:
        """Return the unit vector of the square roots of the counts."""
        self.calls += 1
        counts = [_soft_histogram(image[..., channel].ravel()) for channel in range(3)]
        vector: Vector = np.sqrt(np.concatenate(counts)).astype(np.float32)
        return vector / np.linalg.norm(vector)


def _soft_histogram(levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the counts of nine bins; a level between the middles of two counts in both."""
    lower, share = levels // 32, levels % 32 / 32
    return (np.bincount(lower, 1 - share, 9) + np.bincount(lower + 1, share, 9)).astype(np.float64)


@dataclass
class Table:
    """A pipeline before a simulated table; `happened` holds the events since the last `show`."""

    store: ExampleStore
    table: SimulatedTable = field(default_factory=SimulatedTable)
    clock: ManualClock = field(default_factory=ManualClock)
    embedder: HistogramEmbedder = field(default_factory=HistogramEmbedder)
    max_per_label: int | None = None
    scale: float = 1.0
    """Scale at which the model uses the whole picture; below 1 the frames are lazy."""
    full_loaded: int = 0
    """Number of lazy frames of which the full picture was loaded."""
    seq: int = 0
    happened: list[events.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Build the pipeline on the store, as after a restart."""
        objects = make_object_classifier("knn", vote="padded", unknown=0.9)
        pool = {"": objects}
        trainer = Trainer(
            *(self.store, pool, {"frame": ""}, self.embedder.space, self.max_per_label),
            objects=pool,
            boot_id="boot",
        )
        archive = StoredScenes(self.store)
        scene = RegionScene("frame", SceneModel(), archive)
        object_embedder = ObjectEmbedder(self.embedder.embed, 64)
        self.view = ViewClassifier(self.embedder, object_embedder, objects, scene)
        source = partial(object_copies, self.store.thumbnail, archive.of_example, object_embedder)
        copies = CopyMaker([objects.objects], source)
        self.scenes = Scenes({"frame": scene}, self.clock)
        self.pipeline = Pipeline(
            embedder=self.embedder,
            regions=(Region("frame", None, "", LabelSmoother(window=1, min_hold_s=0)),),
            trainer=trainer,
            clock=self.clock,
            encode=encode_jpeg,
            scenes=SceneParts(self.scenes, {"frame": self.view}, copies),
            min_scale=lambda width, height: self.scale,
        )

    def show(self, kind: str | None = None, *instructions: Instruction, frames: int = 1) -> None:
        """Show frames, a fifth of a second apart, with the instructions before the first."""
        self.happened = []
        for number in range(frames):
            self.feed(self.table.picture(kind), *(instructions if number == 0 else ()))

    def feed(self, image: Image, *instructions: Instruction) -> None:
        """Process one frame with the instructions."""
        self.clock.advance(0.2)
        self.seq += 1
        pixels = image if self.scale == 1 else self._lazy(image)
        frame = Frame(pixels, self.seq, self.clock.monotonic(), self.clock.utc())
        self.happened += self.pipeline.process(frame, instructions)

    def show_until_classified(self, then: Callable[[], None]) -> None:
        """Show a frame, and call `then` between its classification and its scene."""
        self.clock.advance(0.2)
        self.seq += 1
        frame = Frame(self.table.picture(), self.seq, self.clock.monotonic(), self.clock.utc())
        self.happened = []
        for event in self.pipeline.process(frame, ()):
            self.happened.append(event)
            if isinstance(event, events.Classified):
                then()

    def _lazy(self, image: Image) -> LazyPicture:
        height, width = image.shape[:2]

        def load(scale: float, larger: Image | None) -> Image:
            self.full_loaded += scale == 1
            size = round(width * scale), round(height * scale)
            return image.copy() if scale == 1 else resize_image(image, size)

        picture = LazyPicture((width, height), (self.scale, 1.0), load, {self.scale})
        picture.preload()
        return picture

    def press_scene(self) -> commands.LearnScene:
        """Return a scene press of now."""
        return commands.LearnScene(self.clock.monotonic(), GPIO)

    def learn_scene(self) -> None:
        """Press and let the scene be learned."""
        self.show(None, self.press_scene(), frames=10)
        assert self.reply.error is None

    def teach(self, label: str, kind: str | None) -> None:
        """Show an object and press its label."""
        self.show(kind, AddExample(label, self.clock.monotonic(), GPIO))
        assert self.found(events.ExampleAdded)

    def found(self, kind: type[Found]) -> list[Found]:
        """Return the events of a kind."""
        return [event for event in self.happened if isinstance(event, kind)]

    @property
    def reply(self) -> events.CommandReply:
        """The last reply."""
        return self.found(events.CommandReply)[-1]

    @property
    def label(self) -> str:
        """The last label."""
        return self.found(events.Classified)[-1].prediction.label


class TwoRegions:
    """The scenes of two regions that show tables of their own."""

    def __init__(self, store: ExampleStore) -> None:
        self.clock = ManualClock()
        archive = StoredScenes(store)
        self.tables = {"left": SimulatedTable("wood"), "right": SimulatedTable("mat")}
        self.regions = {name: RegionScene(name, SceneModel(), archive) for name in self.tables}
        self.scenes = Scenes(self.regions, self.clock)
        self.happened: list[events.Event] = []

    def show(self, frames: int, *, moving_right: bool = False) -> None:
        """Show frames, a fifth of a second apart."""
        self.happened = []
        for number in range(frames):
            self.clock.advance(0.2)
            kind = "nut" if moving_right else None
            for name, table in self.tables.items():
                image = table.picture(kind if name == "right" else None, (0.2 + 0.04 * (number % 16), 0.5))
                frame = Frame(image, number, self.clock.monotonic(), self.clock.utc())
                self.happened += self.scenes.observe(name, frame, image, recognised=False)

    def press(self) -> None:
        """Press the scene of both regions."""
        command = commands.LearnScene(self.clock.monotonic(), GPIO)
        self.scenes.learn(command, 1, FrameTiming(), must_wait=lambda number: False)

    def replies(self) -> list[events.CommandReply]:
        """Return the replies since the last `show`."""
        return [event for event in self.happened if isinstance(event, events.CommandReply)]
