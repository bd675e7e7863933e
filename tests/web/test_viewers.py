"""Viewers hear what is told; one who doesn't read is sent away and holds nothing."""

from __future__ import annotations

import asyncio
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
from edge_daemon.web.viewers import MAX_UNREAD, Viewer, ViewerRegistry

Found = TypeVar("Found")


def run(work: Coroutine[Any, Any, Found]) -> Found:
    """Run in a thread of its own: a browser's test may have left an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def offer(preview: LatestFrame, seq: int) -> None:
    image = np.full((48, 64, 3), seq % 255, np.uint8)
    preview.set(Frame(image, seq, 0.0, datetime.now(UTC)))


def test_every_viewer_hears_the_same_in_order() -> None:
    async def story() -> list[str | None]:
        crowd, viewers = ViewerRegistry(), [Viewer(), Viewer()]
        for viewer in viewers:
            crowd.join(viewer)
        crowd.tell({"type": "a"})
        crowd.tell({"type": "b"})
        return [await viewer.next() for viewer in viewers for _ in range(2)]

    assert run(story()) == ['{"type":"a"}', '{"type":"b"}'] * 2


def test_a_viewer_that_never_reads_is_left_behind_with_nothing_kept() -> None:
    async def story() -> str | None:
        crowd, viewer = ViewerRegistry(), Viewer()
        crowd.join(viewer)
        for _ in range(MAX_UNREAD + 1):
            crowd.tell({"type": "a"})
        return await viewer.next()

    assert run(story()) is None


def test_a_reply_reaches_the_request_that_asked() -> None:
    sent: list[Command] = []

    def submit(command: Command) -> bool:
        sent.append(command)
        return True

    async def story() -> list[object]:
        desk = CommandClient(submit)
        asks = [
            asyncio.create_task(desk.ask(lambda number: Undo(Origin("web", "undo", number))))
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        desk.take(CommandReply(sent[1], data={"id": 2}))
        desk.take(CommandReply(sent[0], error="nothing to undo"))
        desk.take(CommandReply(Undo(Origin("web", "undo", "foreign"))))
        return list(await asyncio.gather(*asks, return_exceptions=True))

    first, second = run(story())
    assert isinstance(first, RequestError)
    assert str(first) == "nothing to undo"
    assert second == {"id": 2}


@pytest.mark.parametrize("room", [True, False])
def test_a_request_without_an_answer_ends_in_a_line(room: bool) -> None:
    async def story() -> None:
        desk = CommandClient(lambda _: room, patience_s=0.01)
        await desk.ask(lambda number: Undo(Origin("web", "undo", number)))

    with pytest.raises(RequestError, match="did not answer within" if room else "too busy"):
        run(story())


def test_one_encoding_serves_two_viewers_and_none_is_made_unasked() -> None:
    preview = LatestFrame()

    async def story() -> tuple[int, int, int]:
        with ThreadPoolExecutor(1) as executor:
            pictures = PreviewEncoder(preview, executor, lambda: 0.0)
            for seq in range(5):
                offer(preview, seq)
            unasked = pictures.encoded
            one, other = await asyncio.gather(pictures.after(-1), pictures.after(-1))
            assert one is other
            assert one is not None
            return unasked, pictures.encoded, one.seq

    assert run(story()) == (0, 1, 4)


def test_a_picture_carries_its_number_and_the_frames_size() -> None:
    preview = LatestFrame()
    offer(preview, 7)

    async def story() -> bytes:
        with ThreadPoolExecutor(1) as executor:
            picture = await PreviewEncoder(preview, executor, lambda: 0.0).after(-1)
        assert picture is not None
        return picture.packed()

    packed = run(story())
    assert packed[:8] == bytes([0, 0, 0, 7, 0, 64, 0, 48])
    assert packed[8:11] == b"\xff\xd8\xff"
