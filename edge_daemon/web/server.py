"""The page as an outlet of the daemon: one thread with an event loop of its own, running uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn

from edge_daemon.board.clock import boot_time
from edge_daemon.config.web import WebOptions, parse_listen
from edge_daemon.domain.commands import Command
from edge_daemon.domain.errors import WebError
from edge_daemon.domain.events import Event
from edge_daemon.domain.interfaces import Clock
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.system.worker import Worker
from edge_daemon.web.app_state import AppState
from edge_daemon.web.auth import Lockout, Sessions
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.example_browser import ExampleBrowser
from edge_daemon.web.health import HealthChecks, SystemStats
from edge_daemon.web.host_names import HostNames
from edge_daemon.web.http_timeouts import TimeLimitedHttp, TimeLimitedWebSocket, close_longest_waiting
from edge_daemon.web.listener import ACCEPTED_AT_ONCE, BoundedListener
from edge_daemon.web.live_feed import LiveFeed
from edge_daemon.web.metrics import Metrics
from edge_daemon.web.preview import PreviewEncoder
from edge_daemon.web.requests import CommandClient
from edge_daemon.web.routes import make_app
from edge_daemon.web.security import MAX_HEAD_BYTES, RequestPolicy
from edge_daemon.web.state import StateCache, UncertainPictures
from edge_daemon.web.support_bundle import LogTail
from edge_daemon.web.token import check_reach, read_token
from edge_daemon.web.viewers import ViewerRegistry

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
MAX_DOWNLOADS = 4
"""Archives sent at once; each holds a few hundred bytes for each example."""
MAX_SOCKET_MESSAGE_BYTES = 4096
_WARN_EVERY_S = 60.0
_NICE = 5
"""The page's threads give way to the pipeline's."""


class WebServer:
    """Serves the page while the daemon runs. Raises WebError for an address or token that can't work.

    `submit` takes a command and returns False when it has no room; `on_crash` is told if the thread
    dies of a bug.
    """

    def __init__(
        self,
        options: WebOptions,
        device: DeviceInfo,
        *,
        submit: Callable[[Command], bool],
        preview: LatestFrame,
        clock: Clock,
        on_crash: Callable[[BaseException], None],
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        if options.listen is None:
            raise WebError("web.listen is not set; the page is off")
        self._address = parse_listen(options.listen)
        token = read_token(options, environ)
        check_reach(self._address, token)
        self._loop = asyncio.new_event_loop()
        self._store_thread = ThreadPoolExecutor(1, "web-store", initializer=_give_way)
        self._picture_thread = ThreadPoolExecutor(1, "web-picture", initializer=_give_way)
        self._album = ExampleBrowser(device.store_path, device.space)
        self._log_tail = LogTail()
        crowd, desk, moments, machine = (
            ViewerRegistry(),
            CommandClient(submit),
            UncertainPictures(),
            SystemStats(),
        )
        board = StateCache(device, moments)
        sessions = Sessions(token, time.time, Lockout(clock.monotonic), boot_time)
        self._proxied = self._address.loopback and bool(options.hosts)
        live = LiveFeed(self._loop, board, crowd, desk, self._album, clock.monotonic)
        pictures = PreviewEncoder(preview, self._picture_thread, clock.monotonic)
        self._live = live
        page = AppState(
            device=device,
            sessions=sessions,
            board=board,
            crowd=crowd,
            desk=desk,
            moments=moments,
            live=live,
            album=self._album,
            pictures=pictures,
            vitals=HealthChecks(device, board, live, machine),
            metrics=Metrics(device, board, live, crowd, pictures, machine),
            log=self._log_tail,
            store_thread=self._store_thread,
            picture_thread=self._picture_thread,
            downloads=asyncio.Semaphore(MAX_DOWNLOADS),
            now=clock.monotonic,
        )
        self._app = make_app(page, RequestPolicy(HostNames(options.hosts), sessions, proxied=self._proxied))
        self._uvicorn: uvicorn.Server | None = None
        self._clock = clock
        self._warned_s = float("-inf")
        self._listener: BoundedListener | None = None
        self._worker = Worker("web", lambda _: self._loop.run_until_complete(self._serve()), on_crash)

    def handle(self, event: Event) -> None:
        """Take one event; never blocks."""
        self._live.handle(event)

    def start(self) -> None:
        """Claim the port and serve. Raises WebError when it can't be had."""
        self._listener = BoundedListener(
            self._address.ip,
            self._address.port,
            limit=MAX_CONNECTIONS,
            make_room=self._make_room,
            now=self._clock.monotonic,
        )
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                self._app,
                log_config=None,
                log_level="error",  # its warnings are about requests: anyone could fill the log with them
                access_log=False,
                lifespan="off",
                server_header=False,
                # The proxy names the client; without one, anybody could claim to be another.
                proxy_headers=self._proxied,
                forwarded_allow_ips=["127.0.0.1", "::1"],
                backlog=ACCEPTED_AT_ONCE,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                http=TimeLimitedHttp,
                ws=TimeLimitedWebSocket,
                ws_max_size=MAX_SOCKET_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                ws_ping_interval=10,
                ws_ping_timeout=10,
                timeout_graceful_shutdown=1,
            )
        )
        self._log_tail.open()
        self._worker.start()
        log.info("the page is at http://%s:%d/", self._address.ip, self._address.port)

    def stop(self) -> None:
        """End all visits and release the port."""
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
        self._worker.stop()
        self._log_tail.close()
        self._picture_thread.shutdown(wait=False, cancel_futures=True)
        self._store_thread.submit(self._album.close)
        self._store_thread.shutdown()

    async def _serve(self) -> None:
        assert self._uvicorn is not None
        assert self._listener is not None
        _give_way()
        self._loop.set_exception_handler(self._log_loop_error)
        told = asyncio.create_task(self._live.run())
        try:
            await self._uvicorn.serve(sockets=[self._listener])
        finally:
            told.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await told
            self._listener.close()

    def _log_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log a failure of the system, such as no free descriptor at accept, in one line once a minute."""
        error = context.get("exception")
        if not isinstance(error, OSError):
            loop.default_exception_handler(context)
        elif loop.time() - self._warned_s >= _WARN_EVERY_S:
            self._warned_s = loop.time()
            log.warning("the page: %s: %s", context["message"].partition("\n")[0], error.strerror)

    def _make_room(self) -> bool:
        return self._uvicorn is not None and close_longest_waiting(self._uvicorn.server_state.connections)


def _give_way() -> None:
    """Lower this thread's priority: on Linux, niceness belongs to a thread."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
