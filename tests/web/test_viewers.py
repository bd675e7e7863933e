"""Viewers and their queues, pending replies, and previews on request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
import pytest

from edge_daemon.domain.commands import Command, Origin, Undo
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.events import CommandReply
from edge_daemon.domain.types import Frame
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.web.preview import PreviewEncoder
from edge_daemon.web.requests import CommandClient
from edge_daemon.web.viewers import MIN_QUEUE, Viewer, ViewerRegistry

Found = TypeVar("Found")


def run(work: Coroutine[Any, Any, Found]) -> Found:
    """Run in another thread: a browser test may have left an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def put_frame(preview: LatestFrame, seq: int) -> None:
    image = np.full((48, 64, 3), seq % 255, np.uint8)
    preview.set(Frame(image, seq, 0.0, datetime.now(UTC)))


def test_every_viewer_gets_every_broadcast_in_order() -> None:
    async def scenario() -> list[str | None]:
        registry, viewers = ViewerRegistry(), [Viewer(), Viewer()]
        for viewer in viewers:
            registry.add(viewer)
        registry.broadcast({"type": "a"})
        registry.broadcast({"type": "b"})
        return [await viewer.next() for viewer in viewers for _ in range(2)]

    assert run(scenario()) == ['{"type":"a"}', '{"type":"b"}'] * 2


def test_the_queue_of_a_viewer_that_never_reads_overflows_and_is_dropped() -> None:
    async def scenario() -> str | None:
        registry, viewer = ViewerRegistry(), Viewer()
        registry.add(viewer)
        for _ in range(MIN_QUEUE + 1):
            registry.broadcast({"type": "a"})
        return await viewer.next()

    assert run(scenario()) is None


def test_a_viewer_of_many_regions_gets_a_greeting_of_every_region() -> None:
    regions = 5 * MIN_QUEUE

    async def scenario() -> list[str | None]:
        viewer = Viewer({"type": "scene", "region": str(number)} for number in range(regions))
        for _ in range(regions):
            viewer.enqueue("result")
        return [await viewer.next() for _ in range(2 * regions)]

    sent = run(scenario())
    assert sent[0] == '{"type":"scene","region":"0"}'
    assert sent[regions:] == ["result"] * regions


def test_a_reply_reaches_the_request_of_its_command() -> None:
    sent: list[Command] = []

    def submit(command: Command) -> bool:
        sent.append(command)
        return True

    async def scenario() -> list[object]:
        client = CommandClient(submit)
        requests = [
            asyncio.create_task(client.execute(lambda number: Undo(Origin("web", "undo", number))))
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        client.resolve(CommandReply(sent[1], data={"id": 2}))
        client.resolve(CommandReply(sent[0], error="nothing to undo"))
        client.resolve(CommandReply(Undo(Origin("web", "undo", "foreign"))))
        return list(await asyncio.gather(*requests, return_exceptions=True))

    first, second = run(scenario())
    assert isinstance(first, RequestError)
    assert str(first) == "nothing to undo"
    assert second == {"id": 2}


@pytest.mark.parametrize("accepted", [True, False])
def test_a_request_without_a_reply_ends_in_one_line(accepted: bool) -> None:
    async def scenario() -> None:
        client = CommandClient(lambda _: accepted, timeout_s=0.01)
        await client.execute(lambda number: Undo(Origin("web", "undo", number)))

    with pytest.raises(RequestError, match="did not answer within" if accepted else "too busy"):
        run(scenario())


def test_one_encoding_serves_two_viewers_and_none_is_made_without_a_request() -> None:
    preview = LatestFrame()

    async def scenario() -> tuple[int, int, int]:
        with ThreadPoolExecutor(1) as executor:
            encoder = PreviewEncoder(preview, executor, lambda: 0.0)
            for seq in range(5):
                put_frame(preview, seq)
            unrequested = encoder.encoded
            one, other = await asyncio.gather(encoder.next_after(-1), encoder.next_after(-1))
            assert one is other
            assert one is not None
            return unrequested, encoder.encoded, one.seq

    assert run(scenario()) == (0, 1, 4)


def test_a_wait_for_a_frame_leaves_the_thread_to_pictures_that_are_sent() -> None:
    async def scenario() -> float:
        with ThreadPoolExecutor(1) as executor:
            waiting = asyncio.create_task(PreviewEncoder(LatestFrame(), executor, lambda: 0.0).next_after(-1))
            await asyncio.sleep(0)
            begun_s = time.monotonic()
            await asyncio.get_running_loop().run_in_executor(executor, time.monotonic)
            waited_s = time.monotonic() - begun_s
            assert await waiting is None
        return waited_s

    assert run(scenario()) < 0.8


def test_a_preview_carries_its_number_and_the_frames_size() -> None:
    preview = LatestFrame()
    put_frame(preview, 7)

    async def scenario() -> bytes:
        with ThreadPoolExecutor(1) as executor:
            picture = await PreviewEncoder(preview, executor, lambda: 0.0).next_after(-1)
        assert picture is not None
        return picture.packed()

    packed = run(scenario())
    assert packed[:8] == bytes([0, 0, 0, 7, 0, 64, 0, 48])
    assert packed[8:11] == b"\xff\xd8\xff"
