"""HTTP routes of the page, in groups that share what they need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from edge_daemon.domain.errors import ConflictError, EdgeError
from edge_daemon.domain.labels import check_label
from edge_daemon.web.archive_upload import KEPT_S, ArchiveUpload
from edge_daemon.web.auth import COOKIE, MAX_AGE_S, Sessions
from edge_daemon.web.device_info import SettingsEditor
from edge_daemon.web.example_browser import ExampleBrowser
from edge_daemon.web.health import HealthChecks
from edge_daemon.web.label_history import LabelHistory
from edge_daemon.web.number_convertor import register_number_convertor
from edge_daemon.web.picture_upload import decode_picture, picture_command
from edge_daemon.web.requests import (
    BODIES,
    CommandClient,
    LoginBody,
    PictureQuery,
    PieceQuery,
    SettingsBody,
    read_body,
    read_command,
    read_query,
)
from edge_daemon.web.responses import (
    Download,
    client_address,
    edge_error_response,
    file_response,
    http_error_response,
    jpeg_response,
    json_response,
    read_request_body,
    run_in,
)
from edge_daemon.web.security import App, RequestPolicy, SecurityMiddleware, session_cookie
from edge_daemon.web.socket_routes import CameraRoute, LiveRoute
from edge_daemon.web.state import StateCache, UncertainImages, encode_sample
from edge_daemon.web.static_files import read_static_files
from edge_daemon.web.support_bundle import LogTail, write_bundle
from edge_daemon.web.viewers import ViewerRegistry

if TYPE_CHECKING:
    from edge_daemon.web.metrics import Metrics

MAX_PICTURES = 3
"""Picture files read and taught at once; the others wait."""
MAX_DOWNLOADS = 4
"""Archives sent at once; each holds a few hundred bytes for each example."""

_DOWNLOAD_WAIT_S = 60.0


def make_app(
    page: PageRoutes,
    examples: ExampleRoutes,
    commands: CommandRoutes,
    settings: SettingsRoutes,
    uploads: UploadRoutes,
    health: HealthRoutes,
    live: LiveRoute,
    history: HistoryRoutes,
    policy: RequestPolicy,
    camera: CameraRoute | None = None,
) -> App:
    """Return the ASGI application that serves the page."""
    register_number_convertor()
    app = Starlette(
        routes=[
            Route("/", page.index),
            Route("/static/{name}", page.static),
            Route("/api/session", page.session),
            Route("/api/login", page.login, methods=["POST"]),
            Route("/api/examples", examples.list),
            Route("/api/examples/{number:number}.jpg", examples.thumbnail),
            Route("/api/archive.zip", examples.archive),
            Route("/api/pictures.zip", examples.pictures),
            Route("/api/archive", uploads.archive, methods=["POST"]),
            Route("/api/picture", uploads.picture, methods=["POST"]),
            Route("/api/uncertain/{number:number}.jpg", commands.uncertain_image),
            Route("/api/history", history.labels),
            Route("/api/history/{number:number}.jpg", history.picture),
            Route("/api/settings", settings.show),
            Route("/api/settings", settings.change, methods=["POST"]),
            Route("/api/health", health.checks),
            Route("/api/support.zip", health.support_bundle),
            Route("/healthz", health.healthz),
            Route("/metrics", health.metrics),
            Route("/api/{verb}", commands.execute, methods=["POST"]),
            WebSocketRoute("/live", live.connect),
            *([] if camera is None else [WebSocketRoute("/camera", camera.connect)]),
        ],
        exception_handlers={EdgeError: edge_error_response, HTTPException: http_error_response},
    )
    return SecurityMiddleware(app, policy, gives_camera=camera is not None)


class PageRoutes:
    """The page's files and the login."""

    def __init__(self, sessions: Sessions, device_name: str) -> None:
        self._sessions = sessions
        self._device_name = device_name
        self._files = read_static_files()

    async def index(self, request: Request) -> Response:
        """Return the page."""
        return file_response(self._files["index.html"], request)

    async def static(self, request: Request) -> Response:
        """Return one of the page's files."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404)
        return file_response(file, request)

    async def session(self, request: Request) -> Response:
        """Return whether this client is logged in or needs no login."""
        headers = request.headers
        is_open = self._sessions.is_authorized(
            session_cookie(headers), headers.get("authorization"), client_address(request)
        )
        return json_response({"open": is_open, "name": self._device_name if is_open else None})

    async def login(self, request: Request) -> Response:
        """Set a session cookie in exchange for the token."""
        submitted = read_body(await read_request_body(request), LoginBody)
        address = client_address(request)
        cookie = self._sessions.login(submitted.token.strip(), address)
        if cookie is None:
            if self._sessions.is_locked(address):
                return json_response({"error": "too many wrong tokens; wait a minute"}, 429)
            return json_response({"error": "that is not the token"}, 403)
        response = json_response({"open": True})
        is_encrypted = request.url.scheme == "https"  # up to the proxy
        response.set_cookie(
            COOKIE, cookie, max_age=MAX_AGE_S, httponly=True, samesite="strict", secure=is_encrypted
        )
        return response


class ExampleRoutes:
    """The stored examples. `store_thread` is the one thread that uses `browser`."""

    def __init__(self, browser: ExampleBrowser, store_thread: Executor, state: StateCache) -> None:
        self._browser = browser
        self._store_thread = store_thread
        self._state = state
        self._downloads = asyncio.Semaphore(MAX_DOWNLOADS)

    async def list(self, request: Request) -> Response:
        """Return the newest examples with their map coordinates, and the removed ones."""
        predicted = self._state.predicted
        return json_response(await run_in(self._store_thread, lambda: self._browser.list(predicted)))

    async def thumbnail(self, request: Request) -> Response:
        """Return the thumbnail of an example."""
        number = request.path_params["number"]
        content = await run_in(self._store_thread, lambda: self._browser.thumbnail(number))
        return jpeg_response(request, content)

    async def archive(self, request: Request) -> Response:
        """Return an archive of all examples, read from the store as fast as the client reads."""
        return await self._download(request, "examples", self._browser.archive)

    async def pictures(self, request: Request) -> Response:
        """Return a zip of label folders with the examples' pictures."""
        return await self._download(request, "pictures", self._browser.pictures)

    async def _download(
        self, request: Request, what: str, begin: Callable[[], Generator[bytes, None, object]]
    ) -> Response:
        name = f'attachment; filename="{what}-{date.today()}.zip"'
        headers = {"content-disposition": name, "cache-control": "no-store"}
        if request.method == "HEAD":
            return Response(media_type="application/zip", headers=headers)
        try:
            async with asyncio.timeout(_DOWNLOAD_WAIT_S):
                await self._downloads.acquire()
        except TimeoutError:
            return json_response({"error": "others are downloading the examples; try again later"}, 503)
        try:
            pieces = await run_in(self._store_thread, begin)
        except BaseException:
            self._downloads.release()
            raise
        return Download(pieces, self._store_thread, self._downloads.release, headers)


@dataclass(frozen=True, slots=True)
class CommandRoutes:
    """Changes. `now` is the monotonic clock; `image_thread` encodes."""

    client: CommandClient
    uncertain: UncertainImages
    image_thread: Executor
    now: Callable[[], float]

    async def execute(self, request: Request) -> Response:
        """Execute a command and return its reply."""
        verb = request.path_params["verb"]
        if verb not in BODIES:
            raise HTTPException(404)
        body, now_s = await read_request_body(request), self.now()
        return json_response(
            await self.client.execute(lambda number: read_command(verb, body, now_s, number))
        )

    async def uncertain_image(self, request: Request) -> Response:
        """Return the image of an uncertain sample."""
        sample = self.uncertain.get(request.path_params["number"])
        if sample is None:
            raise HTTPException(404)
        return jpeg_response(request, await run_in(self.image_thread, lambda: encode_sample(sample)))


@dataclass(frozen=True, slots=True)
class SettingsRoutes:
    """Settings of the configuration. `thread` waits while a change is checked, which may load a model."""

    editor: SettingsEditor | None
    viewers: ViewerRegistry
    thread: Executor

    async def show(self, request: Request) -> Response:
        """Return the values in use with their sources, the accepted words, and the revision."""
        return json_response(self._required().describe())

    async def change(self, request: Request) -> Response:
        """Change settings and return them; other viewers learn that they changed."""
        editor, body = self._required(), read_body(await read_request_body(request), SettingsBody)
        try:
            changed = await run_in(self.thread, lambda: editor.change(body.settings, body.revision))
        except EdgeError as exc:
            return json_response({"error": str(exc)}, 409 if isinstance(exc, ConflictError) else 400)
        self.viewers.broadcast({"type": "settings"})
        return json_response(changed)

    def _required(self) -> SettingsEditor:
        if self.editor is None:
            raise HTTPException(404, "the settings can't be changed here; use `edge-daemon run` or `try`")
        return self.editor


class UploadRoutes:
    """Picture files and archives. `image_thread` decodes pictures; archives have a thread of their own."""

    def __init__(
        self,
        client: CommandClient,
        archive: ArchiveUpload,
        thumbnail_px: int,
        image_thread: Executor,
        archive_thread: Executor,
    ) -> None:
        self._client = client
        self._archive = archive
        self._thumbnail_px = thumbnail_px
        self._image_thread = image_thread
        self._archive_thread = archive_thread
        self._pictures = asyncio.Semaphore(MAX_PICTURES)

    async def picture(self, request: Request) -> Response:
        """Teach a picture file and return the reply."""
        query = read_query(request.query_params, PictureQuery)
        check_label(query.label)
        async with self._pictures:
            content = await read_request_body(request)
            image, thumbnail = await run_in(
                self._image_thread, lambda: decode_picture(content, query.name, self._thumbnail_px)
            )
            make = partial(picture_command, query, image, thumbnail)
            return json_response(await self._client.execute(make))

    async def archive(self, request: Request) -> Response:
        """Keep a piece of an archive, or import the complete archive and return the report."""
        query, piece = read_query(request.query_params, PieceQuery), await read_request_body(request)
        if query.name:
            finish = partial(self._archive.finish, query.upload, query.name)
            return json_response(await run_in(self._archive_thread, finish))
        write = partial(self._archive.write, query.upload, query.offset, piece)
        reply, close_left = await run_in(self._archive_thread, write), self._archive.close_left
        asyncio.get_running_loop().call_later(2 * KEPT_S, self._archive_thread.submit, close_left)
        return json_response(reply)


@dataclass(frozen=True, slots=True)
class HistoryRoutes:
    """The labels that were seen since the start."""

    history: LabelHistory

    async def labels(self, request: Request) -> Response:
        """Return each label with its counts, the latest one first."""
        return json_response({"labels": self.history.rows()})

    async def picture(self, request: Request) -> Response:
        """Return the last picture of a label, by the picture's number."""
        return jpeg_response(request, await self.history.jpeg(request.path_params["number"]))


@dataclass(slots=True)
class HealthRoutes:
    """Health, metrics and log. `load_metrics` runs in `thread`, for the first scrape. `now` is monotonic."""

    health: HealthChecks
    load_metrics: Callable[[], Metrics]
    thread: Executor
    log_tail: LogTail
    config: Callable[[], Mapping[str, object]]
    now: Callable[[], float]
    loaded: Metrics | None = None

    async def checks(self, request: Request) -> Response:
        """Return the health checks and the end of the log."""
        return json_response({"checks": self.health.run(self.now()), "log": self.log_tail.lines()})

    async def support_bundle(self, request: Request) -> Response:
        """Return the support bundle, without secrets."""
        content = write_bundle(self.config(), self.health.run(self.now()), self.log_tail.lines())
        name = f'attachment; filename="support-{date.today()}.zip"'
        return Response(content, media_type="application/zip", headers={"content-disposition": name})

    async def healthz(self, request: Request) -> Response:
        """Return whether labels are produced, and no detail: this path needs no token."""
        is_failing = self.health.failure(self.now()) is not None
        return json_response({"status": "failing" if is_failing else "ok"}, 503 if is_failing else 200)

    async def metrics(self, request: Request) -> Response:
        """Return the metrics in the Prometheus text format."""
        if self.loaded is None:
            self.loaded = await run_in(self.thread, self.load_metrics)
        return Response(self.loaded.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
