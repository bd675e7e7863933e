"""What the page's routes work with, in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from edge_daemon.web.album import Album
from edge_daemon.web.crowd import Crowd
from edge_daemon.web.desk import Desk
from edge_daemon.web.device import Device
from edge_daemon.web.live import Live
from edge_daemon.web.log_tail import LogTail
from edge_daemon.web.metrics import Metrics
from edge_daemon.web.moments import Moments
from edge_daemon.web.pictures import Pictures
from edge_daemon.web.scoreboard import Scoreboard
from edge_daemon.web.sessions import Sessions
from edge_daemon.web.vitals import Vitals


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
