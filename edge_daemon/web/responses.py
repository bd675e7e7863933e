"""Reading of request bodies, and the responses of the routes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from concurrent.futures import Executor
from typing import TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from edge_daemon.domain.errors import EdgeError, ImageError, LabelError, RequestError
from edge_daemon.web.security import FILE_BYTES, MAX_BODY_BYTES, Receive, Scope, Send
from edge_daemon.web.static_files import StaticFile, etag_of

log = logging.getLogger(__name__)

Found = TypeVar("Found")

_BODY_S = 10.0


class Download(StreamingResponse):
    """A zip sent while it is made in `thread`. `on_end` is called at the end, also after a failure.

    If the store fails meanwhile, the connection is cut off, so that no client takes a part for the whole.
    """

    def __init__(
        self,
        pieces: Generator[bytes, None, object],
        thread: Executor,
        on_end: Callable[[], None],
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(self._read(), headers=headers, media_type="application/zip")
        self._pieces = pieces
        self._thread = thread
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_end()
            self._thread.submit(self._pieces.close)  # the zip of a client that left is open

    async def stream_response(self, send: Send) -> None:
        """Send all pieces."""
        try:
            await super().stream_response(send)
        except EdgeError as exc:
            log.warning("a download of the examples broke off: %s", exc)

    async def _read(self) -> AsyncIterator[bytes]:
        while piece := await run_in(self._thread, lambda: next(self._pieces, b"")):
            yield piece


async def run_in(executor: Executor, call: Callable[[], Found]) -> Found:
    """Return the result of a call in an executor's thread."""
    return await asyncio.get_running_loop().run_in_executor(executor, call)


def client_address(request: Request) -> str:
    """Return the IP address of the client, empty if unknown."""
    return request.client.host if request.client else ""


async def read_request_body(request: Request) -> bytes:
    """Read a body, with or without an announced length, of at most the path's limit."""
    body = bytearray()
    limit = FILE_BYTES.get(request.url.path, MAX_BODY_BYTES)
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise HTTPException(413)
    except TimeoutError as exc:
        raise HTTPException(408) from exc
    except ClientDisconnect as exc:
        raise RequestError("the request was cut off") from exc
    return bytes(body)


def file_response(file: StaticFile, request: Request) -> Response:
    """Return a file of the page, or 304 if the browser has it."""
    headers = {"etag": file.etag, "cache-control": "no-cache"}
    return _unless_known(request, Response(file.content, media_type=file.media_type, headers=headers))


def jpeg_response(request: Request, content: bytes | None) -> Response:
    """Return a picture, or 304 if the browser has it. Raises HTTPException 404 if there is none.

    The number in its address names another picture once the daemon has another store or was restarted.
    """
    if not content:
        raise HTTPException(404)
    headers = {"etag": etag_of(content), "cache-control": "private, no-cache"}
    return _unless_known(request, Response(content, media_type="image/jpeg", headers=headers))


def _unless_known(request: Request, response: Response) -> Response:
    """Return the response, or 304 without content if the browser has the one of its ETag."""
    etag, known = response.headers["etag"], request.headers.get("if-none-match", "")
    if etag not in (each.strip().removeprefix("W/") for each in known.split(",")):
        return response
    headers = {"etag": etag, "cache-control": response.headers["cache-control"]}
    return Response(status_code=304, headers=headers)


def json_response(data: Mapping[str, object], status: int = 200) -> Response:
    """Return JSON that no cache keeps."""
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(data), status, headers, "application/json")


async def edge_error_response(request: Request, exc: Exception) -> Response:
    """Return an error of the program as JSON."""
    is_bad_request = isinstance(exc, RequestError | LabelError | ImageError)
    return json_response({"error": str(exc)}, 400 if is_bad_request else 500)


async def http_error_response(request: Request, exc: Exception) -> Response:
    """Return an HTTP error as JSON."""
    assert isinstance(exc, HTTPException)
    return json_response({"error": exc.detail}, exc.status_code)
