"""One viewer's visit: it hears what happens, and gets a picture each time it asks for one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from edge_daemon.web.app_state import AppState
from edge_daemon.web.viewers import Viewer, encode

SEND_S = 5.0
"""A viewer that takes longer over one message is sent away."""


class WebSocketLike(Protocol):
    """The websocket, as far as a visit needs it."""

    async def send_text(self, data: str) -> None:
        """Send a message."""

    async def send_bytes(self, data: bytes) -> None:
        """Send a picture."""

    async def receive_text(self) -> str:
        """Wait for a message; raises when the other side is gone."""


async def serve_viewer(page: AppState, line: WebSocketLike) -> None:
    """Serve a viewer until it leaves, stops reading, or says what isn't understood.

    A picture is sent only when the viewer has asked for it, which it does when it has drawn the last:
    a slow one gets fewer pictures, and none that waited anywhere. Nothing is encoded for a hidden page.
    """
    viewer = Viewer()
    asked = asyncio.Event()
    for message in (*page.board.greeting(), *page.live.latest()):
        viewer.offer(encode(message))
    page.crowd.join(viewer)
    try:
        await _first_to_end(_tell(line, viewer), _show(page, line, asked), _listen(line, viewer, asked))
    finally:
        page.crowd.leave(viewer)


async def _tell(line: WebSocketLike, viewer: Viewer) -> None:
    while (text := await viewer.next()) is not None:
        async with asyncio.timeout(SEND_S):
            await line.send_text(text)


async def _show(page: AppState, line: WebSocketLike, asked: asyncio.Event) -> None:
    seq = -1
    while True:
        await asked.wait()
        picture = await page.pictures.after(seq)
        if picture is not None:
            asked.clear()
            seq = picture.seq
            async with asyncio.timeout(SEND_S):
                await line.send_bytes(picture.packed())


async def _listen(line: WebSocketLike, viewer: Viewer, asked: asyncio.Event) -> None:
    while True:
        match await line.receive_text():
            case "picture":
                asked.set()
            case "map on":
                viewer.wants_map = True
            case "map off":
                viewer.wants_map = False
            case _:
                return


async def _first_to_end(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts side by side until the first ends or fails; what it failed of is raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
