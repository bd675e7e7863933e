"""The page's routes: the only file that knows starlette."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import date
from typing import TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from edge_daemon.config.region_overrides import save_regions
from edge_daemon.domain.errors import EdgeError, LabelError, RequestError
from edge_daemon.web.app_state import AppState
from edge_daemon.web.auth import COOKIE, LASTS_S
from edge_daemon.web.requests import BODIES, Nothing, Token, read_body, read_command
from edge_daemon.web.security import (
    MAX_BODY_BYTES,
    App,
    Receive,
    RequestPolicy,
    Scope,
    SecurityMiddleware,
    Send,
    session_cookie,
)
from edge_daemon.web.state import jpeg
from edge_daemon.web.static_files import StaticFile, read_static_files
from edge_daemon.web.support_bundle import write_bundle
from edge_daemon.web.websocket import serve_viewer

log = logging.getLogger(__name__)

Found = TypeVar("Found")

_FOR_A_DAY = "private, max-age=86400, immutable"
_TRY_AGAIN_LATER = 1013
_LARGEST_ID = 2**63 - 1
_BODY_S = 10.0
_DOWNLOAD_WAIT_S = 60.0


def make_app(page: AppState, guard: RequestPolicy) -> App:
    """Return the ASGI application that serves the page."""
    routes = Routes(page)
    app = Starlette(
        routes=[
            Route("/", routes.index),
            Route("/static/{name}", routes.static),
            Route("/api/session", routes.session),
            Route("/api/login", routes.login, methods=["POST"]),
            Route("/api/examples", routes.examples),
            Route("/api/examples/{number:int}.jpg", routes.thumbnail),
            Route("/api/archive.zip", routes.archive),
            Route("/api/support.zip", routes.support),
            Route("/api/health", routes.health),
            Route("/api/save", routes.save, methods=["POST"]),
            Route("/healthz", routes.healthz),
            Route("/metrics", routes.metrics),
            Route("/api/moments/{number:int}.jpg", routes.moment),
            Route("/api/{verb}", routes.command, methods=["POST"]),
            WebSocketRoute("/live", routes.live),
        ],
        exception_handlers={EdgeError: _named, HTTPException: _status},
    )
    return SecurityMiddleware(app, guard)


class Routes:
    """The answers to requests that passed the guard."""

    def __init__(self, page: AppState) -> None:
        self._page = page
        self._files = read_static_files()

    async def index(self, request: Request) -> Response:
        """The page itself."""
        return _file(self._files["index.html"], request)

    async def static(self, request: Request) -> Response:
        """One of the page's own files."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404)
        return _file(file, request)

    async def session(self, request: Request) -> Response:
        """Whether this viewer may look, and if not, whether there is a token to enter."""
        sessions = self._page.sessions
        headers = request.headers
        known = sessions.knows(
            session_cookie(headers), headers.get("authorization"), _client_address(request)
        )
        return _json({"open": known, "name": self._page.device.name if known else None})

    async def login(self, request: Request) -> Response:
        """Trade the token for a session's cookie."""
        sessions = self._page.sessions
        entered = read_body(await _body(request), Token)
        address = _client_address(request)
        cookie = sessions.enter(entered.token.strip(), address)
        if cookie is None:
            if sessions.locked(address):
                return _json({"error": "too many wrong tokens; wait a minute"}, 429)
            return _json({"error": "that is not the token"}, 403)
        response = _json({"open": True})
        encrypted = request.url.scheme == "https"  # up to the proxy
        response.set_cookie(
            COOKIE, cookie, max_age=LASTS_S, httponly=True, samesite="strict", secure=encrypted
        )
        return response

    async def command(self, request: Request) -> Response:
        """Do what is asked, and say what came of it."""
        verb = request.path_params["verb"]
        if verb not in BODIES:
            raise HTTPException(404)
        body, now_s = await _body(request), self._page.now()
        data = await self._page.desk.ask(lambda number: read_command(verb, body, now_s, number))
        return _json(data)

    async def examples(self, request: Request) -> Response:
        """Every example, with its place on the map."""
        return _json(await self._in_store(self._page.album.listed))

    async def thumbnail(self, request: Request) -> Response:
        """An example's picture."""
        number = request.path_params["number"]
        if number > _LARGEST_ID:
            raise HTTPException(404)
        return _jpeg(await self._in_store(lambda: self._page.album.thumbnail(number)))

    async def moment(self, request: Request) -> Response:
        """A doubtful moment's picture."""
        moment = self._page.moments.find(request.path_params["number"])
        if moment is None:
            raise HTTPException(404)
        loop = asyncio.get_running_loop()
        return _jpeg(await loop.run_in_executor(self._page.picture_thread, jpeg, moment), "no-store")

    async def archive(self, request: Request) -> Response:
        """All examples, to take along, read from the store as fast as the client reads."""
        name = f'attachment; filename="examples-{date.today()}.zip"'
        headers = {"content-disposition": name, "cache-control": "no-store"}
        if request.method == "HEAD":
            return Response(media_type="application/zip", headers=headers)
        downloads = self._page.downloads
        try:
            async with asyncio.timeout(_DOWNLOAD_WAIT_S):
                await downloads.acquire()
        except TimeoutError:
            return _json({"error": "others are downloading the examples; try again later"}, 503)
        try:
            pieces = await self._in_store(self._page.album.archive)
        except BaseException:
            downloads.release()
            raise
        return Download(self._pieces(pieces), downloads.release, headers)

    async def support(self, request: Request) -> Response:
        """What someone who helps needs to see, without secrets."""
        page = self._page
        content = write_bundle(page.device.settings, page.vitals.listed(page.now()), page.log.lines())
        name = f'attachment; filename="support-{date.today()}.zip"'
        return Response(content, media_type="application/zip", headers={"content-disposition": name})

    async def health(self, request: Request) -> Response:
        """How the device is, line by line, and the end of its log."""
        return _json({"vitals": self._page.vitals.listed(self._page.now()), "log": self._page.log.lines()})

    async def healthz(self, request: Request) -> Response:
        """Whether the device does its work; says nothing else, for it needs no token."""
        failing = self._page.vitals.failure(self._page.now()) is not None
        return _json({"status": "failing" if failing else "ok"}, 503 if failing else 200)

    async def metrics(self, request: Request) -> Response:
        """Figures for Prometheus."""
        return Response(self._page.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def save(self, request: Request) -> Response:
        """Keep the regions where they were moved to."""
        read_body(await _body(request), Nothing)
        path, boxes = self._page.device.regions_file, self._page.board.boxes
        await self._in_store(lambda: save_regions(path, boxes))
        return _json({"path": str(path)})

    async def live(self, socket: WebSocket) -> None:
        """What happens, as it happens, and pictures on request."""
        await socket.accept()
        if self._page.crowd.full:
            await socket.close(_TRY_AGAIN_LATER, "too many viewers")
            return
        try:
            await serve_viewer(self._page, socket)
            await socket.close()
        except (WebSocketDisconnect, TimeoutError, KeyError, RuntimeError):
            # Gone, not reading, or sent bytes where text was due: the visit is over either way.
            return

    async def _pieces(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        while piece := await self._in_store(lambda: next(pieces, b"")):
            yield piece

    async def _in_store(self, call: Callable[[], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._page.store_thread, call)


class Download(StreamingResponse):
    """A zip sent as it is made. `on_end` is called however it ends.

    Where the store fails on the way, the connection is cut off, so that no part is taken for the whole.
    """

    def __init__(
        self, pieces: AsyncIterator[bytes], on_end: Callable[[], None], headers: Mapping[str, str]
    ) -> None:
        super().__init__(pieces, headers=headers, media_type="application/zip")
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_end()

    async def stream_response(self, send: Send) -> None:
        """Send all pieces."""
        try:
            await super().stream_response(send)
        except EdgeError as exc:
            log.warning("a download of the examples broke off: %s", exc)


def _client_address(request: Request) -> str:
    return request.client.host if request.client else ""


async def _body(request: Request) -> bytes:
    """Read a body whose length need not be announced."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise HTTPException(413)
    except TimeoutError as exc:
        raise HTTPException(408) from exc
    except ClientDisconnect as exc:
        raise RequestError("the request was cut off") from exc
    return body


def _file(file: StaticFile, request: Request) -> Response:
    headers = {"etag": file.etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


def _jpeg(content: bytes | None, caching: str = _FOR_A_DAY) -> Response:
    if not content:
        raise HTTPException(404)
    return Response(content, media_type="image/jpeg", headers={"cache-control": caching})


def _json(data: Mapping[str, object], status: int = 200) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(data), status, headers, "application/json")


async def _named(request: Request, exc: Exception) -> Response:
    bad_request = isinstance(exc, RequestError | LabelError)
    return _json({"error": str(exc)}, 400 if bad_request else 500)


async def _status(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return _json({"error": exc.detail}, exc.status_code)
