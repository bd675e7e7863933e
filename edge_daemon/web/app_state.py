"""What the page's routes work with, in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from edge_daemon.web.auth import Sessions
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.example_browser import ExampleBrowser
from edge_daemon.web.health import HealthChecks
from edge_daemon.web.live_feed import LiveFeed
from edge_daemon.web.metrics import Metrics
from edge_daemon.web.preview import PreviewEncoder
from edge_daemon.web.requests import CommandClient
from edge_daemon.web.state import StateCache, UncertainPictures
from edge_daemon.web.support_bundle import LogTail
from edge_daemon.web.viewers import ViewerRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """The page's parts. All belong to its thread; the album is called in `store_thread` alone."""

    device: DeviceInfo
    sessions: Sessions
    board: StateCache
    crowd: ViewerRegistry
    desk: CommandClient
    moments: UncertainPictures
    live: LiveFeed
    album: ExampleBrowser
    pictures: PreviewEncoder
    vitals: HealthChecks
    metrics: Metrics
    log: LogTail
    store_thread: Executor
    picture_thread: Executor
    downloads: asyncio.Semaphore
    now: Callable[[], float]
