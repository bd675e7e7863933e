"""Counts, times and pictures of the labels since the start."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from edge_daemon.domain.events import LabelChanged, ObjectPassed
from edge_daemon.domain.types import Frame
from edge_daemon.imaging.regions import Box
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.system.testing import ManualClock
from edge_daemon.web.label_history import MAX_LABELS, MAX_PICTURES, PICTURE_GAP_S, LabelHistory

RED, BLUE = (200, 0, 0), (0, 0, 200)


class HistoryHarness:
    """A history whose frames are red on the left and blue on the right."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.frames = LatestFrame()
        self.executor = ThreadPoolExecutor(1)
        self.history = LabelHistory(self.frames, self.executor, self.clock.monotonic)
        self.seq = 0

    async def change(
        self,
        label: str,
        region: str = "frame",
        box: Box | None = None,
        size: tuple[int, int] = (640, 480),
        late_s: float = 0.0,
    ) -> None:
        """Change a label, publish its frame as the daemon does, and wait for the picture."""
        self.seq += 1
        now = datetime.now(UTC)
        self.history.change(LabelChanged(region, label, None, 0.9, self.seq, now, 5.0), box)
        image = np.zeros((size[1], size[0], 3), np.uint8)
        image[:, : size[0] // 2], image[:, size[0] // 2 :] = RED, BLUE
        self.frames.set(Frame(image, self.seq, self.clock.monotonic(), now + timedelta(seconds=late_s)))
        await asyncio.get_running_loop().run_in_executor(self.executor, lambda: None)
        await asyncio.sleep(0)

    def row(self, label: str) -> dict[str, Any]:
        return next(dict(row) for row in self.history.rows() if row["label"] == label)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run in another thread: a browser test may have left an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


def decoded(jpeg: bytes | None) -> Image.Image:
    assert jpeg is not None
    return Image.open(BytesIO(jpeg))


def test_each_label_is_counted_and_the_latest_is_first() -> None:
    async def scenario() -> None:
        harness = HistoryHarness()
        for label in ("cup", "unknown", "cup"):
            await harness.change(label)
            harness.clock.sleep(10)
        assert harness.history.times == {"unknown": 1, "cup": 2}
        assert [row["label"] for row in harness.history.rows()] == ["cup", "unknown"]
        assert harness.row("cup")["ago_s"] == 0, "it is still the label"
        assert harness.row("unknown")["ago_s"] == 10, "it ended when the cup came"
        assert harness.history.held_s("frame") == 10
        assert harness.history.held_s("elsewhere") == 0

    run(scenario())


def test_a_lost_camera_ends_the_labels() -> None:
    async def scenario() -> None:
        harness = HistoryHarness()
        await harness.change("cup", "left")
        await harness.change("pen", "right")
        harness.clock.sleep(5)
        harness.history.lose_camera()
        harness.clock.sleep(7)
        assert harness.history.held_s("left") == 0
        assert [harness.row(label)["ago_s"] for label in ("cup", "pen")] == [7, 7]

    run(scenario())


def test_objects_are_counted_beside_the_changes() -> None:
    harness = HistoryHarness()
    for _ in range(3):
        event = ObjectPassed("frame", "cup", 0.9, 7, 1, datetime.now(UTC), 5.0)
        harness.history.count_object(event)
    assert (harness.row("cup")["objects"], harness.row("cup")["times"]) == (3, 0)
    assert harness.row("cup")["picture"] is None


def test_a_picture_shows_the_region_small() -> None:
    async def scenario() -> None:
        harness = HistoryHarness()
        await harness.change("whole")
        await harness.change("right", "right", Box(0.5, 0, 0.5, 1))
        whole = decoded(await harness.history.jpeg(harness.row("whole")["picture"]))
        right = decoded(await harness.history.jpeg(harness.row("right")["picture"]))
        assert whole.size == (160, 120)
        assert right.size == (107, 160)
        for picture, x, colour in ((whole, 20, RED), (whole, 140, BLUE), (right, 5, BLUE)):
            np.testing.assert_allclose(np.asarray(picture)[60, x], colour, atol=12)
        again = await harness.history.jpeg(harness.row("whole")["picture"])
        assert decoded(again).size == (160, 120), "it can be looked at more than once"
        assert await harness.history.jpeg(99) is None

    run(scenario())


def test_a_label_that_flickers_keeps_its_picture_for_a_while() -> None:
    async def scenario() -> None:
        harness = HistoryHarness()
        await harness.change("cup")
        first = harness.row("cup")["picture"]
        harness.clock.sleep(PICTURE_GAP_S / 2)
        await harness.change("cup")
        assert harness.row("cup")["picture"] == first
        harness.clock.sleep(PICTURE_GAP_S)
        await harness.change("cup")
        assert harness.row("cup")["picture"] != first
        assert await harness.history.jpeg(first) is None

    run(scenario())


def test_a_later_frame_is_not_taken_for_that_of_the_change() -> None:
    async def scenario() -> None:
        harness = HistoryHarness()
        await harness.change("cup", late_s=0.5)
        assert harness.row("cup")["picture"] is None
        await harness.change("cup", late_s=0.1)
        assert harness.row("cup")["picture"] is not None, "the next change tries again at once"

    run(scenario())


def test_labels_and_pictures_are_bounded() -> None:
    async def scenario() -> None:
        harness = HistoryHarness()
        for number in range(MAX_LABELS + 10):
            await harness.change(f"label {number}", size=(32, 24))
        rows = harness.history.rows()
        assert len(rows) == MAX_LABELS
        assert rows[0]["label"] == f"label {MAX_LABELS + 9}"
        assert [row["picture"] is not None for row in rows] == [True] * MAX_PICTURES + [False] * (
            MAX_LABELS - MAX_PICTURES
        )

    run(scenario())


def test_a_region_outside_the_frame_costs_its_picture_alone() -> None:
    async def scenario() -> None:
        harness = HistoryHarness()
        await harness.change("cup", box=Box(600, 0, 100, 100))
        assert harness.row("cup")["picture"] is None
        assert harness.history.times == {"cup": 1}

    run(scenario())
