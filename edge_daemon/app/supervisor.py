"""Supervisor: runs the daemon, and replaces it after a reload of the configuration."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol

from edge_daemon.app.preflight import Prepared, Running
from edge_daemon.config.schema import Config
from edge_daemon.daemon.daemon import Daemon, Outcome
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.domain.errors import EdgeError
from edge_daemon.system.worker import Worker

log = logging.getLogger(__name__)

MAX_RESTORE_ATTEMPTS = 20
RESTORE_PAUSE_S = 0.5
"""Pause between two attempts to restore: a port or camera of the failed daemon may be busy for a while."""


class Build(Protocol):
    """Builds a daemon; with `needs_frame`, one that ends if its camera delivers no first frame."""

    def __call__(self, prepared: Prepared, *, needs_frame: bool) -> Daemon: ...


class Supervisor:
    """Runs a daemon, and replaces it when a changed configuration is prepared.

    `load` reads the configuration and `prepare` checks it. A reload calls both in the thread `reload`, while
    the daemon continues to run; the new daemon replaces it after all checks have passed. If the new daemon
    fails before it has classified a frame, the last configuration that worked is restored. `stop` and
    `reload` may be called from a signal handler at any time; all else belongs to the main thread.
    """

    def __init__(
        self,
        load: Callable[[], Config],
        prepare: Callable[[Config, Running | None], Prepared],
        build: Build,
        notifier: Notifier,
    ) -> None:
        self._load = load
        self._prepare = prepare
        self._build = build
        self._notifier = notifier
        self._stopping = False
        # A signal handler may call `put` during a `put`; an Event's `set` would wait for its own lock.
        self._requests: SimpleQueue[bool] = SimpleQueue()
        self._worker = Worker("reload", lambda _: self._serve_requests(), _log_crash)
        self._good: Prepared | None = None
        self._attempts_left = 0
        self._lock = threading.Lock()
        """Guards changes of the three attributes below, which the main thread and `reload` share."""
        self._current: Prepared | None = None
        self._pending: Prepared | None = None
        self._daemon: Daemon | None = None

    def stop(self) -> None:
        """Stop the daemon, or the one that is about to start."""
        self._stopping = True
        if self._daemon is not None:
            self._daemon.stop()

    def reload(self) -> None:
        """Read the configuration again; several pending requests count as one."""
        self._requests.put(True)

    def prepare(self) -> None:
        """Read and check the first configuration. Raises EdgeError."""
        self._good = self._current = self._prepare(self._load(), None)

    def run(self) -> Outcome:
        """Run the prepared configuration until a stop or the end of a finite source.

        Raises the exception that ends the first daemon, or one that has classified a frame.
        """
        self._worker.start()
        try:
            return self._run_all()
        finally:
            self._notifier.stopping()
            self._requests.put(False)
            self._worker.stop(timeout_s=0.5)

    def _run_all(self) -> Outcome:
        needs_frame = False
        while True:
            try:
                outcome = self._run_current(needs_frame)
            except Exception as exc:
                if self._current is not self._good:
                    log.error("configuration not reloaded, the old one is restored: %s", _reason(exc))
                    log.debug("the new daemon failed", exc_info=exc)
                    self._attempts_left = MAX_RESTORE_ATTEMPTS
                elif self._attempts_left and isinstance(exc, EdgeError):
                    self._attempts_left -= 1
                    time.sleep(RESTORE_PAUSE_S)
                else:
                    raise
                needs_frame = False
                self._make_current(self._good)
            else:
                if outcome is not Outcome.RELOAD:
                    return outcome
                needs_frame = self._take_pending()
            if self._stopping:
                return Outcome.STOPPED

    def _run_current(self, needs_frame: bool) -> Outcome:
        assert self._current is not None
        daemon = self._build(self._current, needs_frame=needs_frame)
        with self._lock:
            self._daemon = daemon
            if self._pending is not None:
                daemon.reload()
        if self._stopping:  # the signal came before this daemon was set
            daemon.stop()
        return daemon.run(self._approve)

    def _approve(self) -> None:
        """Record that the current configuration works: a frame was classified."""
        self._attempts_left = 0
        if self._good is not self._current:
            self._good = self._current
            log.info("configuration reloaded")

    def _take_pending(self) -> bool:
        """Make the pending configuration current; return whether its camera must deliver a first frame.

        That holds for a changed camera after one that worked.
        """
        assert self._daemon is not None
        assert self._current is not None
        camera, works = self._current.config.camera, self._daemon.camera_works
        self._make_current(self._pending)
        return works and camera != self._current.config.camera

    def _make_current(self, prepared: Prepared | None) -> None:
        another = prepared is not self._current
        with self._lock:
            self._current = prepared
            if self._pending is prepared:
                self._pending = None
            self._daemon = None
        if another:
            gc.collect()  # frees the last daemon before the next one needs as much memory

    def _serve_requests(self) -> None:
        """Prepare a configuration per request, until the request to end."""
        while self._next_request():
            self._notifier.reloading(time.monotonic())
            if not self._prepare_pending():
                self._notifier.reload_ended()

    def _next_request(self) -> bool:
        """Wait for a request, and merge all pending ones; return False for the request to end."""
        more = self._requests.get()
        with contextlib.suppress(Empty):
            while more:
                more = self._requests.get_nowait()
        return more

    def _prepare_pending(self) -> bool:
        """Prepare the changed configuration; return False if the daemon keeps its configuration."""
        try:
            config = self._load()
            with self._lock:
                latest = self._pending or self._current
            assert latest is not None
            if latest.is_current(config):
                log.info("configuration reloaded: nothing changed")
                return False
            daemon = self._daemon  # read once, because the main thread may clear it
            frame_size = None if daemon is None else daemon.frame_size
            prepared = self._prepare(config, Running(latest.config, frame_size))
        except Exception as exc:
            log.error("configuration not reloaded, the old one stays in use: %s", _reason(exc))
            log.debug("the new configuration failed", exc_info=exc)
            return False
        with self._lock:
            self._pending = prepared
            if self._daemon is not None:
                self._daemon.reload()
        return True


def _reason(exc: Exception) -> str:
    return str(exc) if isinstance(exc, EdgeError) else f"{type(exc).__name__}: {exc}"


def _log_crash(exc: BaseException) -> None:
    log.error("the configuration can no longer be reloaded", exc_info=exc)
