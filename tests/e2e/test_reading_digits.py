"""Four digits of 8 x 10 pixels at subpixel offsets, joined into one text by the real pipeline and store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.app.build import build_pipeline
from edge_daemon.config.schema import load_config
from edge_daemon.domain import events
from edge_daemon.domain.commands import AddExample, Origin
from edge_daemon.domain.types import WHOLE_FRAME, Frame
from edge_daemon.pipeline.pipeline import Pipeline
from edge_daemon.system.testing import ManualClock
from tests.harness.digit_pictures import STYLES, boxes, draw_frame, random_light
from tests.harness.thresholds import METER_READINGS

NAMES = ("thousands", "hundreds", "tens", "ones")
SHOTS, ASKED = 3, 100


class Meter:
    """A device in front of a simulated meter with four digits, without smoothing."""

    def __init__(self, store: Path, style: str) -> None:
        self.clock = ManualClock()
        self.draw = np.random.default_rng(7)
        self.style = style
        self.seq = 0
        regions = [
            {"name": name, "box": [box.x, box.y, box.width, box.height]}
            for name, box in zip(NAMES, boxes(len(NAMES)), strict=True)
        ]
        settings = [f"store.path={json.dumps(str(store))}", f"regions={json.dumps(regions)}"]
        settings += ["combine_regions=text", "model.features=patch", "classifier.type=auto"]
        settings += ["smoothing.window=1", "smoothing.min_hold_s=0"]
        self.pipeline: Pipeline = build_pipeline(load_config(None, settings), self.clock)

    def show(self, text: str, reach: float, *presses: AddExample) -> list[events.Event]:
        """Show one frame, with the meter moved by at most `reach` pixels."""
        self.clock.advance(0.1)
        self.seq += 1
        image = draw_frame(self.style, text, random_light(self.draw, reach), self.draw)
        frame = Frame(image, self.seq, self.clock.monotonic(), self.clock.utc())
        return list(self.pipeline.process(frame, presses))

    def teach(self) -> None:
        """Label each digit of a few frames."""
        for text in ["0123", "4567", "8901"] * SHOTS:
            now = self.clock.monotonic()
            self.show(
                text,
                0.25,
                *(
                    AddExample(digit, now, Origin("gpio"), name)
                    for digit, name in zip(text, NAMES, strict=True)
                ),
            )

    def read(self, count: int, reach: float) -> Iterator[tuple[str, str]]:
        """Yield shown and read text for random numbers."""
        read = ""
        for number in self.draw.integers(0, 10_000, count).tolist():
            for event in self.show(f"{number:04}", reach):
                if isinstance(event, events.LabelChanged) and event.region == WHOLE_FRAME:
                    read = event.label
            yield f"{number:04}", read


@pytest.mark.parametrize("style", STYLES)
def test_a_meter_is_read_right_in_95_of_100_frames(style: str, tmp_path: Path) -> None:
    meter = Meter(tmp_path / "examples.sqlite", style)
    meter.teach()
    readings = list(meter.read(ASKED, reach=0.75))
    meter.pipeline.close()
    right = sum(shown == read for shown, read in readings)
    assert right >= METER_READINGS.limit * ASKED, [pair for pair in readings if pair[0] != pair[1]]


def test_a_dark_meter_reads_as_illegible(tmp_path: Path) -> None:
    meter = Meter(tmp_path / "examples.sqlite", "led")
    meter.teach()
    meter.clock.advance(0.1)
    dark = Frame(np.zeros((480, 640, 3), np.uint8), 99, meter.clock.monotonic(), meter.clock.utc())
    texts = [
        event.label
        for event in list(meter.pipeline.process(dark, ()))
        if isinstance(event, events.LabelChanged) and event.region == WHOLE_FRAME
    ]
    meter.pipeline.close()
    assert texts[-1] == "????"
