"""A pipeline on a bench: real learner, store and smoother; only camera, model and clock are stand-ins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from edge_daemon.domain import events
from edge_daemon.domain.commands import (
    AddExample,
    Instruction,
    Origin,
)
from edge_daemon.domain.types import Frame
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.pipeline.region import View
from edge_daemon.pipeline.runtime_settings import RuntimeSettings
from edge_daemon.system.testing import ColourEmbedder, ManualClock
from edge_daemon.teaching.trainer import Trainer

if TYPE_CHECKING:
    pass

RED, GREEN, BLUE = (220, 30, 30), (30, 220, 30), (30, 30, 220)
GPIO = Origin("gpio", "button")
Found = TypeVar("Found", bound=events.Event)


@dataclass
class Bench:
    """A pipeline on a bench: show it colours, press, and look at what happened."""

    store: ExampleStore
    views: tuple[View, ...]
    clock: ManualClock = field(default_factory=ManualClock)
    max_per_label: int | None = None
    head: str = "knn"
    settings: RuntimeSettings | None = None
    seq: int = 0
    happened: list[events.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        pools = {view.name: view.pool for view in self.views}
        learners = {pool: make_classifier(self.head, vote="padded", unknown=0.9) for pool in pools.values()}
        teacher = Trainer(self.store, learners, pools, ColourEmbedder.space, self.max_per_label)
        self.pipeline = Pipeline(
            embedder=ColourEmbedder(),
            views=self.views,
            teacher=teacher,
            clock=self.clock,
            encode=encode_jpeg,
            settings=self.settings,
        )

    def show(
        self, *colours: tuple[int, int, int], instructions: tuple[Instruction, ...] = ()
    ) -> list[events.Event]:
        """Show one frame whose equal vertical stripes have these colours."""
        self.happened = self.pipeline.step(self.frame(*colours), instructions)
        return self.happened

    def frame(self, *colours: tuple[int, int, int]) -> Frame:
        """Capture the next frame, a tenth of a second later."""
        self.clock.advance(0.1)
        self.seq += 1
        stripes = [np.full((20, 30, 3), colour, np.uint8) for colour in colours]
        return Frame(np.hstack(stripes), self.seq, self.clock.monotonic(), self.clock.utc())

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
