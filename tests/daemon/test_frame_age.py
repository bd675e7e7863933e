"""Age of a label when the camera is faster than the model, on a manual clock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.domain import events
from edge_daemon.domain.types import Frame
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.pipeline.region import Region
from edge_daemon.system.testing import ColourEmbedder, ManualClock
from edge_daemon.teaching.trainer import Trainer
from edge_daemon.tracking.label_smoother import LabelSmoother

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

FRAMES = 200


class Camera:
    """Puts a frame into the mailbox every `period_s` of the manual clock."""

    def __init__(self, clock: ManualClock, mailbox: Mailbox, period_s: float) -> None:
        self._clock = clock
        self._mailbox = mailbox
        self._period_s = period_s
        self._due_s = clock.monotonic()
        self.delivered = 0

    def advance(self, seconds: float) -> None:
        """Advance the clock, and deliver the frames of that time."""
        end_s = self._clock.monotonic() + seconds
        while self._due_s <= end_s:
            self._clock.advance(self._due_s - self._clock.monotonic())
            picture = np.full((4, 4, 3), 30 + self.delivered % 200, np.uint8)
            self._mailbox.put_frame(Frame(picture, self.delivered, self._due_s, self._clock.utc()))
            self.delivered += 1
            self._due_s += self._period_s
        self._clock.advance(end_s - self._clock.monotonic())


class SlowEmbedder(ColourEmbedder):
    """Takes `takes_s` per image, while the camera continues."""

    def __init__(self, camera: Camera, takes_s: float) -> None:
        self._camera = camera
        self._takes_s = takes_s

    def embed(self, image: Image) -> Vector:
        self._camera.advance(self._takes_s)
        return super().embed(image)


@pytest.mark.parametrize("period_s", [0.001, 0.011, 0.033, 0.079])
def test_a_labels_frame_is_never_older_than_two_frame_times(tmp_path: Path, period_s: float) -> None:
    takes_s = 0.08
    clock, mailbox = ManualClock(), Mailbox()
    camera = Camera(clock, mailbox, period_s)
    store = ExampleStore(tmp_path / "examples.sqlite")
    pipeline = Pipeline(
        embedder=SlowEmbedder(camera, takes_s),
        regions=(Region("frame", None, "", LabelSmoother()),),
        trainer=Trainer(store, {"": make_classifier()}, {"frame": ""}, ColourEmbedder.space),
        clock=clock,
        encode=lambda _: b"",
    )
    camera.advance(period_s)
    ages_s, seqs = [], []
    for _ in range(FRAMES):
        batch = mailbox.take_all(0.0)
        assert batch.frame is not None
        for event in list(pipeline.process(batch.frame, batch.instructions)):
            if isinstance(event, events.Classified):
                ages_s.append(event.latency_ms / 1000)
                seqs.append(event.seq)
    assert max(ages_s) <= 2 * takes_s
    assert max(ages_s) <= takes_s + period_s + 1e-9, "waited at most until the next frame"
    assert seqs == sorted(set(seqs)), "each frame at most once, in order"
    assert len(seqs) + mailbox.replaced + 1 >= camera.delivered, "skipped frames were replaced"
    pipeline.close()
