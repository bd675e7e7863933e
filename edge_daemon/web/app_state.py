"""What the page's routes work with, in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from edge_daemon.web.auth import Sessions
from edge_daemon.web.device_info import Device
from edge_daemon.web.example_browser import Album
from edge_daemon.web.health import Vitals
from edge_daemon.web.live_feed import Live
from edge_daemon.web.metrics import Metrics
from edge_daemon.web.preview import Pictures
from edge_daemon.web.requests import Desk
from edge_daemon.web.state import Moments, Scoreboard
from edge_daemon.web.support_bundle import LogTail
from edge_daemon.web.viewers import Crowd


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The page's parts. All belong to its thread; the album is called in `store_thread` alone."""

    device: Device
    sessions: Sessions
    board: Scoreboard
    crowd: Crowd
    desk: Desk
    moments: Moments
    live: Live
    album: Album
    pictures: Pictures
    vitals: Vitals
    metrics: Metrics
    log: LogTail
    store_thread: Executor
    picture_thread: Executor
    downloads: asyncio.Semaphore
    now: Callable[[], float]
