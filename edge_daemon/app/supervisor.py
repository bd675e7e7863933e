"""One daemon after another: the configuration in use, and what a reload puts in its place."""

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

RESTORE_TRIES = 20
RESTORE_PAUSE_S = 0.5
"""Between two tries to go back: a port or a camera that the failed daemon held is free a moment later."""


class Build(Protocol):
    """Builds a daemon; with `needs_frame` one that ends when its camera delivers no first frame."""

    def __call__(self, prepared: Prepared, *, needs_frame: bool) -> Daemon: ...


class Supervisor:
    """Runs a daemon, and replaces it when a changed configuration is prepared.

    `load` reads the configuration and `prepare` checks it; after a reload both are called in a thread of
    their own, `reload`, so frames go on meanwhile. The new daemon takes over once everything passed. If it
    fails before it has classified a frame, the last configuration that did is taken again. `stop` and
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
        # Its `put` may be interrupted by itself, as signals do; an Event's `set` would wait for its own lock.
        self._requests: SimpleQueue[bool] = SimpleQueue()
        self._worker = Worker("reload", lambda _: self._serve_requests(), _log_crash)
        self._good: Prepared | None = None
        self._tries_left = 0
        self._lock = threading.Lock()
        """Over changes of the three below, which the main thread and `reload` share."""
        self._current: Prepared | None = None
        self._pending: Prepared | None = None
        self._daemon: Daemon | None = None

    def stop(self) -> None:
        """End the daemon, or the one that is about to start."""
        self._stopping = True
        if self._daemon is not None:
            self._daemon.stop()

    def reload(self) -> None:
        """Read the configuration again; requests that come at once are one."""
        self._requests.put(True)

    def prepare(self) -> None:
        """Read and check the first configuration. Raises the EdgeError that names what can't work."""
        self._good = self._current = self._prepare(self._load(), None)

    def run(self) -> Outcome:
        """Run what was prepared until stopped, or until a finite source ends.

        Raises what ends the first daemon, or one that has classified a frame.
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
                    log.error("configuration not reloaded, the old one is taken again: %s", _reason(exc))
                    log.debug("the new daemon failed", exc_info=exc)
                    self._tries_left = RESTORE_TRIES
                elif self._tries_left and isinstance(exc, EdgeError):
                    self._tries_left -= 1
                    time.sleep(RESTORE_PAUSE_S)
                else:
                    raise
                needs_frame = False
                self._choose(self._good)
            else:
                if outcome is not Outcome.RELOAD:
                    return outcome
                needs_frame = self._advance()
            if self._stopping:
                return Outcome.STOPPED

    def _run_current(self, needs_frame: bool) -> Outcome:
        assert self._current is not None
        daemon = self._build(self._current, needs_frame=needs_frame)
        with self._lock:
            self._daemon = daemon
            if self._pending is not None:
                daemon.reload()
        if self._stopping:  # the signal found no daemon, or the one before
            daemon.stop()
        return daemon.run(self._approve)

    def _approve(self) -> None:
        """Note that the current configuration works: a frame was classified."""
        self._tries_left = 0
        if self._good is not self._current:
            self._good = self._current
            log.info("configuration reloaded")

    def _advance(self) -> bool:
        """Choose what is pending; whether it must deliver a frame, as another camera did until now."""
        assert self._daemon is not None
        assert self._current is not None
        camera, works = self._current.config.camera, self._daemon.camera_works
        self._choose(self._pending)
        return works and camera != self._current.config.camera

    def _choose(self, prepared: Prepared | None) -> None:
        another = prepared is not self._current
        with self._lock:
            self._current = prepared
            if self._pending is prepared:
                self._pending = None
            self._daemon = None
        if another:
            gc.collect()  # what the last daemon held, before the next one needs as much

    def _serve_requests(self) -> None:
        """Prepare what is asked for, until asked to end."""
        while self._next_request():
            self._notifier.reloading(time.monotonic())
            if not self._prepare_pending():
                self._notifier.reload_ended()

    def _next_request(self) -> bool:
        """Wait for a request, and take those that came with it: the configuration is read after the last."""
        more = self._requests.get()
        with contextlib.suppress(Empty):
            while more:
                more = self._requests.get_nowait()
        return more

    def _prepare_pending(self) -> bool:
        """Prepare the changed configuration beside the daemon; False when the daemon goes on as it is."""
        try:
            config = self._load()
            with self._lock:
                latest = self._pending or self._current
            assert latest is not None
            if latest.is_current(config):
                log.info("configuration reloaded: nothing changed")
                return False
            daemon = self._daemon  # once, as the main thread may take it away
            frame_size = None if daemon is None else daemon.frame_size
            prepared = self._prepare(config, Running(latest.config, frame_size))
        except Exception as exc:
            log.error("configuration not reloaded, the old one stays: %s", _reason(exc))
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
    log.error("the configuration can't be reloaded any more", exc_info=exc)
