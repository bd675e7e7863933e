"""A camera that changes the size of its frames: boxes in pixels may no longer fit."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.domain import events
from edge_daemon.domain.commands import MoveRegion
from edge_daemon.domain.errors import ImageError
from edge_daemon.domain.types import Frame
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.regions import Box
from edge_daemon.pipeline.region import Region
from edge_daemon.tracking.label_smoother import LabelSmoother
from tests.harness.pipeline_harness import GPIO, RED, Bench

LARGE, SMALL = (60, 40), (40, 60)


@pytest.fixture
def bench(store: ExampleStore) -> Bench:
    return Bench(store, (Region("spot", Box(30, 10, 20, 20), "", LabelSmoother()),))


def show(bench: Bench, size: tuple[int, int], *instructions: MoveRegion) -> None:
    """Show one frame of a size."""
    frame = bench.frame(RED)
    pixels = np.full((size[1], size[0], 3), RED, np.uint8)
    frame = Frame(pixels, frame.seq, frame.captured_s, frame.captured_at)
    bench.happened = list(bench.pipeline.process(frame, instructions))


def test_frames_that_a_region_does_not_fit_are_an_outage(bench: Bench) -> None:
    show(bench, LARGE)
    show(bench, SMALL)
    assert [event.reason for event in bench.found(events.CameraLost)] == [
        "region 'spot': region [30, 10, 20, 20] does not fit a frame of 40x60; "
        "give [x, y, width, height] as fractions of the frame, or pixels inside it"
    ]
    assert not bench.found(events.Classified)
    press = bench.press("red")
    bench.happened = list(bench.pipeline.process(None, [press]))
    for _ in range(60):
        show(bench, SMALL)
        assert not bench.found(events.CameraLost)
        if replies := bench.found(events.CommandReply):
            break
    assert "no frame came" in str(replies[0].error)
    show(bench, LARGE)
    assert bench.found(events.CameraRestored)
    assert bench.found(events.LabelChanged)


def test_a_region_that_is_moved_into_the_new_frames_ends_the_outage(bench: Bench) -> None:
    show(bench, LARGE)
    show(bench, SMALL)
    show(bench, SMALL, MoveRegion("spot", (10, 30, 20, 20), GPIO))
    assert bench.found(events.CommandReply)[0].error is None
    assert bench.found(events.CameraRestored)


def test_a_first_frame_that_a_region_does_not_fit_ends_the_daemon(bench: Bench) -> None:
    with pytest.raises(ImageError, match="does not fit a frame of 40x60"):
        show(bench, SMALL)
