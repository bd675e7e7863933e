"""Playing cards taught in one shoot and shown in another: the real model, store and pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge_daemon.domain import events
from edge_daemon.domain.commands import AddExample, Origin
from edge_daemon.domain.types import UNKNOWN, Frame
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg, read_image
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.models.registry import find_model
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.pipeline.region import Region
from edge_daemon.system.testing import ManualClock
from edge_daemon.teaching.trainer import Trainer
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tracking.label_smoother import LabelSmoother
from tests.harness.shared_files import shared_path
from tests.harness.thresholds import OTHER_SESSION_FAR_UNKNOWN, OTHER_SESSION_NAMED

RANKS = ("ace", "jack", "king", "nine", "queen", "ten")
EACH = 8
RUN_FRAMES = 8


class Device:
    """A pipeline without examples; the clock advances with each frame."""

    def __init__(self, store: ExampleStore) -> None:
        embedder = TfliteEmbedder(find_model("edge_embedder_v1"))
        trainer = Trainer(store, {"": make_classifier("knn")}, {"frame": ""}, embedder.space)
        self._clock = ManualClock()
        self._pipeline = Pipeline(
            embedder=embedder,
            regions=[Region("frame", None, "", LabelSmoother())],
            trainer=trainer,
            clock=self._clock,
            encode=encode_jpeg,
        )

    def show(self, path: Path, label: str | None = None, after_s: float = 0.1) -> str:
        """Show a picture, labelled by a press if `label` is given; return its label before smoothing."""
        self._clock.advance(after_s)
        now = self._clock.monotonic()
        presses = [] if label is None else [AddExample(label, now, Origin("gpio", "button"), None)]
        frame = Frame(read_image(path), 1, now, self._clock.utc())
        happened = list(self._pipeline.process(frame, presses))
        return next(each.prediction.label for each in happened if isinstance(each, events.Classified))


def pictures(session: str, rank: str) -> Sequence[Path]:
    return sorted((shared_path("data/sessions/cards6") / session / rank).iterdir())


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """A device that was taught in the first shoot and has made all copies, an hour before the test."""
    with ExampleStore(tmp_path / "examples.sqlite") as store:
        device = Device(store)
        for rank in RANKS:
            for path in pictures("s1_phone", rank)[:EACH]:
                device.show(path, rank)
        for _ in range(160):
            device.show(pictures("s1_phone", "ace")[0])
        device.show(pictures("s1_phone", "ace")[0], after_s=3600)
        yield device


def test_what_was_taught_in_one_shoot_is_named_in_another(device: Device) -> None:
    runs = [
        (rank, pictures("s3_webcam", rank)[start : start + RUN_FRAMES])
        for start in range(0, 3 * RUN_FRAMES, RUN_FRAMES)
        for rank in RANKS
    ]
    right = [device.show(path) == rank for rank, paths in runs for path in paths]
    assert sum(right) / len(right) > OTHER_SESSION_NAMED.limit


def test_pictures_of_other_things_stay_unknown(device: Device) -> None:
    folders = sorted(shared_path("data/trashnet6").iterdir())
    paths = [path for folder in folders for path in sorted(folder.iterdir())[: 2 * RUN_FRAMES]]
    unknown = [device.show(path) == UNKNOWN for path in paths]
    assert sum(unknown) / len(unknown) > OTHER_SESSION_FAR_UNKNOWN.limit
