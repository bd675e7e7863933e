"""A pipeline with a real classifier, store and smoother; camera, model and clock are fakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from edge_daemon.domain import events
from edge_daemon.domain.commands import (
    AddExample,
    Instruction,
    Origin,
)
from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.domain.types import Frame
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg, scale_down
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.pipeline.region import MinScale, Region, full_scale
from edge_daemon.pipeline.runtime_settings import RuntimeSettings
from edge_daemon.system.testing import ColourEmbedder, ManualClock
from edge_daemon.teaching.trainer import Trainer
from edge_daemon.tracking.region_text import RegionTextJoiner

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

RED, GREEN, BLUE = (220, 30, 30), (30, 220, 30), (30, 30, 220)
GPIO = Origin("gpio", "button")
Found = TypeVar("Found", bound=events.Event)


class SwitchableEmbedder(ColourEmbedder):
    """A colour embedder that fails on every picture once `failing` is set."""

    failing = False

    def embed(self, image: Image) -> Vector:
        """Embed the mean colour. Raises EmbeddingError when failing."""
        if self.failing:
            raise EmbeddingError("all zeros")
        return super().embed(image)


@dataclass
class Bench:
    """A pipeline that gets colours as frames; `happened` holds the events of the last frame."""

    store: ExampleStore
    regions: tuple[Region, ...]
    clock: ManualClock = field(default_factory=ManualClock)
    max_per_label: int | None = None
    classifier: str = "knn"
    boot_id: str = ""
    label_uses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: RuntimeSettings | None = None
    text_joiner: RegionTextJoiner | None = None
    min_scale: MinScale = full_scale
    thumbnail_px: int = 224
    embedder: SwitchableEmbedder = field(default_factory=SwitchableEmbedder)
    seq: int = 0
    happened: list[events.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        pools = {region.name: region.pool for region in self.regions}
        classifiers = {
            pool: make_classifier(self.classifier, vote="padded", unknown=0.9) for pool in pools.values()
        }
        trainer = Trainer(
            self.store,
            classifiers,
            pools,
            ColourEmbedder.space,
            self.max_per_label,
            boot_id=self.boot_id,
            label_uses=self.label_uses,
        )
        self.pipeline = Pipeline(
            embedder=self.embedder,
            regions=self.regions,
            trainer=trainer,
            clock=self.clock,
            encode=encode_jpeg,
            shrink=partial(scale_down, size=self.thumbnail_px),
            settings=self.settings,
            text_joiner=self.text_joiner,
            min_scale=self.min_scale,
        )

    def show(
        self, *colours: tuple[int, int, int], instructions: tuple[Instruction, ...] = ()
    ) -> list[events.Event]:
        """Show one frame whose equal vertical stripes have these colours."""
        self.happened = list(self.pipeline.process(self.frame(*colours), instructions))
        return self.happened

    def frame(self, *colours: tuple[int, int, int]) -> Frame:
        """Capture the next frame, a tenth of a second later."""
        self.clock.advance(0.1)
        self.seq += 1
        stripes = [np.full((20, 30, 3), colour, np.uint8) for colour in colours]
        return Frame(np.hstack(stripes), self.seq, self.clock.monotonic(), self.clock.utc())

    def press(self, label: str, region: str | None = None) -> AddExample:
        """Return the command of a button that is pressed now."""
        return AddExample(label, self.clock.monotonic(), GPIO, region)

    def teach(self, label: str, colour: tuple[int, int, int]) -> None:
        """Show a colour and label it."""
        self.show(colour, instructions=(self.press(label),))

    def found(self, kind: type[Found]) -> list[Found]:
        """Return the events of one type from the last frame."""
        return [event for event in self.happened if isinstance(event, kind)]

    @property
    def label(self) -> str:
        """The label of the first region in the last frame."""
        return self.found(events.Classified)[0].prediction.label
