"""The feed from the pipeline: every frame is observed, the latest is broadcast, and nothing grows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edge_daemon.domain.events import CameraLost, Classified
from edge_daemon.domain.types import Prediction
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.system.testing import ManualClock
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.example_browser import ExampleBrowser
from edge_daemon.web.label_history import LabelHistory
from edge_daemon.web.live_feed import MAX_UNREAD, PER_S, LiveFeed
from edge_daemon.web.requests import CommandClient
from edge_daemon.web.state import StateCache, UncertainImages
from edge_daemon.web.viewers import Viewer, ViewerRegistry


def history(clock: ManualClock) -> LabelHistory:
    return LabelHistory(LatestFrame(), ThreadPoolExecutor(1), clock.monotonic)


class FeedHarness:
    """A feed on the running loop, with one viewer."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.observed: list[Classified] = []
        self.viewer = Viewer()
        self.frames = LatestFrame()
        self.browser = ExampleBrowser(folder / "x", "s")
        viewers = ViewerRegistry()
        viewers.add(self.viewer)
        device = DeviceInfo("n", "1", "m", "knn", {}, "s", folder / "x", dict, lambda: None)
        self.feed = LiveFeed(
            asyncio.get_running_loop(),
            StateCache(device, UncertainImages(), history(self.clock)),
            viewers,
            CommandClient(lambda _: True),
            self.browser,
            self.frames,
            self.clock.monotonic,
            self.observed.append,
        )

    async def run_for(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.feed.run()

    async def messages(self, number: int) -> list[dict[str, object]]:
        return [json.loads(str(await self.viewer.next())) for _ in range(number)]


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run in another thread: a browser test may have left an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


def classified(seq: int, region: str = "frame") -> Classified:
    return Classified(region, Prediction("cat", {"cat": 1.0}, 0.9), seq, datetime.now(UTC), 12.5)


def test_every_frame_is_observed_once_and_the_latest_of_each_region_is_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = FeedHarness(tmp_path)
        events = [classified(1), classified(1, "left"), classified(2), classified(3)]
        for event in events:
            harness.feed.handle(event)
        assert harness.feed.classified() == [events[3], events[1]]
        assert harness.feed.classified() == [events[3], events[1]]
        assert harness.observed == events
        assert harness.feed.frames == 4

    run(scenario())


def test_a_stalled_loop_keeps_a_bounded_number_of_frames(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = FeedHarness(tmp_path)
        for seq in range(MAX_UNREAD + 50):
            harness.feed.handle(classified(seq))
        [latest] = harness.feed.classified()
        assert latest.seq == MAX_UNREAD + 49
        assert len(harness.observed) == MAX_UNREAD
        assert harness.feed.frames == MAX_UNREAD + 50

    run(scenario())


def test_a_frame_is_broadcast_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = FeedHarness(tmp_path)
        harness.feed.handle(classified(1))
        harness.feed.handle(classified(2))
        await harness.run_for(3 / PER_S)
        harness.feed.handle(CameraLost("the cable is out"))
        kinds = [(each["type"], each.get("seq")) for each in await harness.messages(3)]
        assert kinds == [("heartbeat", None), ("result", 2), ("camera", None)]

    run(scenario())


def test_a_lost_camera_has_no_result(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = FeedHarness(tmp_path)
        harness.feed.handle(classified(1))
        harness.feed.handle(classified(1, "left"))
        assert len(harness.feed.results()) == 2
        harness.feed.handle(classified(2))
        harness.feed.handle(CameraLost("the cable is out"))
        await asyncio.sleep(0)
        await harness.run_for(2 / PER_S)
        assert harness.feed.results() == [], "a viewer that connects now would take it for current"
        assert len(harness.observed) == 3
        kinds = [each["type"] for each in await harness.messages(2)]
        assert kinds == ["camera", "heartbeat"], "a result after the loss would look like a new frame's"
        harness.feed.handle(classified(3))
        harness.clock.advance(1)
        await harness.run_for(1 / PER_S)
        assert [each["seq"] for each in harness.feed.results()] == [3]

    run(scenario())


def test_the_rate_is_that_of_the_last_two_seconds_per_region(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = FeedHarness(tmp_path)
        for step in range(4):
            for seq in range(10):
                harness.feed.handle(classified(10 * step + seq))
                harness.feed.handle(classified(10 * step + seq, "left"))
            await harness.run_for(0.01)
            harness.clock.advance(1)
        assert harness.feed.fps == 10.0

    run(scenario())


def test_a_frame_is_on_the_map_of_the_vectors_that_it_was_compared_with(tmp_path: Path) -> None:
    regions, objects = np.eye(6, dtype=np.float32)[:3], np.eye(6, dtype=np.float32)[3:]
    with closing(ExampleStore(tmp_path / "x")) as store:
        scene = store.scenes.add("frame", b"scene", "press")
        store.add_record(ExampleRecord(regions[0], "cat", "s"))
        for region, thing in zip(regions[1:], objects[1:], strict=True):
            store.add_record(ExampleRecord(region, "cat", "s", scene_id=scene.id, object_embedding=thing))

    async def scenario() -> None:
        harness = FeedHarness(tmp_path)
        listed = harness.browser.list({})["examples"]
        assert isinstance(listed, list)
        assert [sorted(each["places"]) for each in listed] == [["region"], *[["object", "region"]] * 2]
        harness.viewer.wants_map = True
        shown = []
        for seq, vectors in enumerate([(regions[2], None), (None, objects[2]), (None, None)]):
            harness.feed.handle(replace(classified(seq), embedding=vectors[0], object_embedding=vectors[1]))
            await harness.run_for(1 / PER_S / 4)
            harness.clock.advance(0.1)
            shown += [each for each in await harness.messages(2 + (seq == 0)) if each["type"] == "point"]
        places = listed[2]["places"]
        assert [(each.get("of"), each.get("x"), each.get("y")) for each in shown] == [
            ("region", *places["region"]),
            ("object", *places["object"]),
            (None, None, None),
        ]
        harness.browser.close()

    run(scenario())
