"""The web server: uvicorn on an event loop in a separate thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn

from edge_daemon.board.network import page_url
from edge_daemon.config.web import WebOptions, parse_listen
from edge_daemon.domain.commands import Command
from edge_daemon.domain.errors import WebError
from edge_daemon.domain.events import Event, LabelChanged
from edge_daemon.domain.interfaces import Clock
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.system.worker import Worker
from edge_daemon.web.app import WebApp, lower_priority
from edge_daemon.web.auth import check_reach, read_token
from edge_daemon.web.camera_sender import MAX_PICTURE_BYTES, SentCamera
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.http_timeouts import TimeLimitedHttp, TimeLimitedWebSocket, close_longest_waiting
from edge_daemon.web.listener import ACCEPTED_AT_ONCE, BoundedListener
from edge_daemon.web.security import MAX_HEAD_BYTES

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
MAX_SOCKET_MESSAGE_BYTES = 4096
_WARN_EVERY_S = 60.0


class WebServer:
    """Serves the page while the daemon runs. Raises WebError for an unusable address or token.

    `submit` accepts a command and returns False when the queue is full; `on_crash` is called if the thread
    fails. With `camera`, a browser can give its own.
    """

    def __init__(
        self,
        options: WebOptions,
        device: DeviceInfo,
        *,
        submit: Callable[[Command], bool],
        latest_frame: LatestFrame,
        clock: Clock,
        on_crash: Callable[[BaseException], None],
        camera: SentCamera | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        if options.listen is None:
            raise WebError("web.listen is not set; the page is off")
        self._address = parse_listen(options.listen)
        token = read_token(options, environ)
        check_reach(self._address, token)
        self._has_proxy = bool(options.hosts)
        self._loop = asyncio.new_event_loop()
        self._app = WebApp(
            device,
            options.hosts,
            token,
            submit=submit,
            latest_frame=latest_frame,
            now=clock.monotonic,
            loop=self._loop,
            proxied=self._has_proxy and self._address.loopback,
            camera=camera,
        )
        self._max_message_bytes = MAX_SOCKET_MESSAGE_BYTES if camera is None else MAX_PICTURE_BYTES
        self._uvicorn: uvicorn.Server | None = None
        self._clock = clock
        self._latest_frame = latest_frame
        self._warned_s = float("-inf")
        self._listener: BoundedListener | None = None
        self._worker = Worker("web", lambda _: self._loop.run_until_complete(self._serve()), on_crash)

    def handle(self, event: Event) -> None:
        """Accept an event; never blocks."""
        if isinstance(event, LabelChanged):
            self._latest_frame.keep(event.seq)  # its frame is set after its events
        self._app.feed.handle(event)

    def start(self) -> None:
        """Bind the port and serve. Raises WebError when the port is not available."""
        self._listener = BoundedListener(
            self._address.ip,
            self._address.port,
            limit=MAX_CONNECTIONS,
            make_room=self._make_room,
            now=self._clock.monotonic,
        )
        self._uvicorn = uvicorn.Server(self._uvicorn_config())
        self._app.start()
        self._worker.start()
        log.info("the page is at %s", page_url(self._address.ip, self._address.port))

    def stop(self) -> None:
        """Close all connections and release the port."""
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
        self._worker.stop()
        self._app.stop()

    def _uvicorn_config(self) -> uvicorn.Config:
        logging.getLogger("uvicorn.error").addFilter(_is_fault)  # once, however often
        return uvicorn.Config(
            self._app.asgi,
            log_config=None,
            log_level="error",  # its warnings are about requests: any client could fill the log with them
            access_log=False,
            lifespan="off",
            server_header=False,
            # The proxy names the client; without a proxy any program of this machine could claim an address.
            proxy_headers=self._has_proxy,
            forwarded_allow_ips=["127.0.0.1", "::1", "::ffff:127.0.0.1"],
            backlog=ACCEPTED_AT_ONCE,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            http=TimeLimitedHttp,
            ws=TimeLimitedWebSocket,
            ws_max_size=self._max_message_bytes,
            ws_per_message_deflate=False,
            ws_ping_interval=10,
            ws_ping_timeout=10,
            timeout_graceful_shutdown=1,
        )

    async def _serve(self) -> None:
        assert self._uvicorn is not None
        assert self._listener is not None
        lower_priority()
        self._loop.set_exception_handler(self._log_loop_error)
        feed = asyncio.create_task(self._app.feed.run())
        try:
            await self._uvicorn.serve(sockets=[self._listener])
        finally:
            feed.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feed
            self._listener.close()

    def _log_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an OSError of the loop, such as no free descriptor at accept, at most once a minute."""
        error = context.get("exception")
        if not isinstance(error, OSError):
            loop.default_exception_handler(context)
        elif loop.time() - self._warned_s >= _WARN_EVERY_S:
            self._warned_s = loop.time()
            log.warning("the page: %s: %s", context["message"].partition("\n")[0], error.strerror)

    def _make_room(self) -> bool:
        return self._uvicorn is not None and close_longest_waiting(self._uvicorn.server_state.connections)


def _is_fault(record: logging.LogRecord) -> bool:
    """Return whether to log a record of uvicorn: those about what is no fault of the program are not.

    They are for a websocket's text that is not UTF-8, and for a request that a stop or reload cuts off.
    """
    if str(record.msg).startswith("Invalid UTF-8"):
        log.debug("a websocket is closed: its client sent text that is not UTF-8")
        return False
    is_cancelled = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    if is_cancelled or str(record.msg).startswith("Cancel %s running task"):
        log.debug("a request is cut off: the page ends")
        return False
    return True
