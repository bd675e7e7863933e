"""The page's parts, built once and wired together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from edge_daemon.board.clock import boot_time
from edge_daemon.domain.commands import Command
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.web.archive_upload import ArchiveUpload
from edge_daemon.web.auth import Lockout, Sessions
from edge_daemon.web.camera_sender import CameraSenders, SentCamera
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.example_browser import ExampleBrowser
from edge_daemon.web.health import HealthChecks, SystemStats
from edge_daemon.web.label_history import LabelHistory
from edge_daemon.web.latency_histogram import LatencyHistogram
from edge_daemon.web.live_feed import LiveFeed
from edge_daemon.web.preview import PreviewEncoder
from edge_daemon.web.requests import CommandClient
from edge_daemon.web.routes import (
    CommandRoutes,
    ExampleRoutes,
    HealthRoutes,
    HistoryRoutes,
    PageRoutes,
    SettingsRoutes,
    UploadRoutes,
    make_app,
)
from edge_daemon.web.security import AllowedHosts, RequestPolicy
from edge_daemon.web.socket_routes import CameraRoute, LiveRoute
from edge_daemon.web.state import StateCache, UncertainImages
from edge_daemon.web.support_bundle import LogTail
from edge_daemon.web.viewers import ViewerRegistry

if TYPE_CHECKING:
    from edge_daemon.web.metrics import Metrics

_NICE = 5
"""Niceness of the page's threads, so that the pipeline's come first."""


class WebApp:
    """The ASGI application `asgi`, the event feed and the worker threads behind it.

    `submit` accepts a command and returns False when the queue is full; `now` is the monotonic clock.
    `loop` runs in the page's thread.
    """

    def __init__(
        self,
        device: DeviceInfo,
        hosts: tuple[str, ...],
        token: str | None,
        *,
        submit: Callable[[Command], bool],
        latest_frame: LatestFrame,
        now: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
        proxied: bool,
        camera: SentCamera | None = None,
    ) -> None:
        self._store_thread = ThreadPoolExecutor(1, "web-store", initializer=lower_priority)
        self._settings_thread = ThreadPoolExecutor(1, "web-settings", initializer=lower_priority)
        self._image_thread = ThreadPoolExecutor(1, "web-picture", initializer=lower_priority)
        self._archive_thread = ThreadPoolExecutor(1, "web-archive", initializer=lower_priority)
        self._archive = ArchiveUpload(device.store_path, device.space, now)
        self._browser = ExampleBrowser(device.store_path, device.space)
        self._log_tail = LogTail()
        sessions = Sessions(token, time.time, Lockout(now), boot_time)
        client, viewers, uncertain = CommandClient(submit), ViewerRegistry(), UncertainImages()
        history = LabelHistory(latest_frame, self._image_thread, now)
        state, system, latency = StateCache(device, uncertain, history), SystemStats(), LatencyHistogram()
        encoder = PreviewEncoder(latest_frame, self._image_thread, now)
        self.feed = LiveFeed(loop, state, viewers, client, self._browser, latest_frame, now, latency.observe)
        health = HealthChecks(device, state, self.feed, system)

        def load_metrics() -> Metrics:
            # Late: prometheus_client takes 1.5 MB, and few devices are scraped.
            from edge_daemon.web.metrics import Metrics

            return Metrics(device, state, self.feed, viewers, encoder, system, latency)

        senders = None if camera is None else CameraSenders(camera, announce=viewers.broadcast, now=now)
        self.asgi = make_app(
            PageRoutes(sessions, device.name),
            ExampleRoutes(self._browser, self._store_thread, state),
            CommandRoutes(client, uncertain, self._image_thread, now),
            SettingsRoutes(device.settings, viewers, self._settings_thread),
            UploadRoutes(
                client, self._archive, device.thumbnail_px, self._image_thread, self._archive_thread
            ),
            HealthRoutes(health, load_metrics, self._image_thread, self._log_tail, device.config, now),
            LiveRoute(state, self.feed, viewers, encoder, senders),
            HistoryRoutes(history),
            RequestPolicy(AllowedHosts(hosts), sessions, proxied=proxied),
            None if senders is None else CameraRoute(senders),
        )

    def start(self) -> None:
        """Start to keep the end of the log."""
        self._log_tail.attach()

    def stop(self) -> None:
        """Release the log, the store and the worker threads. An import that runs is not waited for."""
        self._log_tail.close()
        self._image_thread.shutdown(wait=False, cancel_futures=True)
        self._settings_thread.shutdown(wait=False, cancel_futures=True)
        self._archive_thread.submit(self._archive.close)
        self._archive_thread.shutdown(wait=False)
        self._store_thread.submit(self._browser.close)
        self._store_thread.shutdown()


def lower_priority() -> None:
    """Raise the niceness of the current thread; on Linux each thread has its own."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
