"""The connection of one viewer: queued messages, and one preview image per request."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

from edge_daemon.web.messages import Message
from edge_daemon.web.preview import PreviewEncoder
from edge_daemon.web.viewers import Viewer, ViewerRegistry

SEND_S = 5.0
"""Longest time that sending one message may take; then the connection is closed."""


class WebSocketLike(Protocol):
    """The methods of a websocket that a viewer's connection uses."""

    async def send_text(self, data: str) -> None:
        """Send a message."""

    async def send_bytes(self, data: bytes) -> None:
        """Send an image."""

    async def receive_text(self) -> str:
        """Wait for a message; raises when the client has disconnected."""


async def serve_viewer(
    socket: WebSocketLike, greeting: Iterable[Message], viewers: ViewerRegistry, preview: PreviewEncoder
) -> None:
    """Serve a viewer until it disconnects, stops reading or sends an unknown message.

    `greeting` is sent first. The client requests each image after drawing the previous one; a slow client
    gets fewer images, never stale ones. A hidden page requests none, so nothing is encoded for it.
    """
    viewer = Viewer(greeting)
    requested = asyncio.Event()
    viewers.add(viewer)
    try:
        await _run_until_first_ends(
            _send_messages(socket, viewer),
            _send_images(socket, preview, requested),
            _receive(socket, viewer, requested),
        )
    finally:
        viewers.remove(viewer)


async def _send_messages(socket: WebSocketLike, viewer: Viewer) -> None:
    while (text := await viewer.next()) is not None:
        async with asyncio.timeout(SEND_S):
            await socket.send_text(text)


async def _send_images(socket: WebSocketLike, preview: PreviewEncoder, requested: asyncio.Event) -> None:
    seq = -1
    while True:
        await requested.wait()
        image = await preview.next_after(seq)
        if image is not None:
            requested.clear()
            seq = image.seq
            async with asyncio.timeout(SEND_S):
                await socket.send_bytes(image.packed())


async def _receive(socket: WebSocketLike, viewer: Viewer, requested: asyncio.Event) -> None:
    while True:
        match await socket.receive_text():
            case "picture":
                requested.set()
            case "map on":
                viewer.wants_map = True
            case "map off":
                viewer.wants_map = False
            case _:
                return


async def _run_until_first_ends(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts concurrently until the first ends or fails; its error is raised, the others cancelled."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
