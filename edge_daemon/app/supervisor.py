"""Supervisor: runs the daemon, and replaces it after a reload of the configuration."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from edge_daemon.app.live_changes import in_use, live_commands
from edge_daemon.app.preflight import Prepared, Running, check_regions
from edge_daemon.app.reload_requests import ChangeRequest, ConfigChange, ReloadRequests
from edge_daemon.config.camera import BrowserOptions
from edge_daemon.config.schema import Config, LoadedConfig, config_digest
from edge_daemon.daemon.daemon import Daemon, Outcome
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.domain.errors import EdgeError, RequestError
from edge_daemon.domain.events import SettingsChanged
from edge_daemon.system.worker import Worker

log = logging.getLogger(__name__)

MAX_RESTORE_ATTEMPTS = 20
RESTORE_PAUSE_S = 0.5
"""Pause between two attempts to restore: a port or camera of the failed daemon may be busy for a while."""

RESPONSE_TIMEOUT_S = 8.0
"""Longest time for a frame, of many regions on a slow board. A change is refused after it."""


class Build(Protocol):
    """Builds a daemon; with `needs_frame`, one that ends if its camera delivers no first frame."""

    def __call__(self, prepared: Prepared, *, needs_frame: bool) -> Daemon: ...


class Supervisor:
    """Runs a daemon, and replaces it when a changed configuration is prepared.

    `load` reads a changed configuration and `prepare` checks it. A reload calls both in the thread `reload`,
    while the daemon continues to run; the new daemon replaces it after all checks have passed. If the new
    daemon fails before it has classified a frame, the last configuration that worked is restored. `stop` and
    `reload` may be called from a signal handler at any time, `apply` from any other thread; all else belongs
    to the main thread.
    """

    def __init__(
        self,
        load: Callable[[], LoadedConfig],
        prepare: Callable[[Config, Running | None], Prepared],
        build: Build,
        notifier: Notifier,
    ) -> None:
        self._load = load
        self._prepare = prepare
        self._build = build
        self._notifier = notifier
        self._stopping = False
        self._requests = ReloadRequests()
        self._worker = Worker("reload", lambda _: self._serve_requests(), _log_crash)
        self._attempts_left = 0
        self._on_first_frame: Callable[[], None] | None = None
        self._on_started: Callable[[], None] | None = None
        self._lock = threading.Lock()
        """Guards changes of the attributes below, which the main thread and `reload` share."""
        self._good: Prepared | None = None
        self._current: Prepared | None = None
        self._unproven: ConfigChange | None = None
        """The latest change that is written, and whose daemon has not classified a frame yet."""
        self._pending: Prepared | None = None
        self._daemon: Daemon | None = None

    def stop(self) -> None:
        """Stop the daemon, or the one that is about to start."""
        self._stopping = True
        if self._daemon is not None:
            self._daemon.stop()

    def reload(self) -> None:
        """Read the configuration again; several pending requests count as one."""
        self._requests.reload()

    def apply(self, change: ConfigChange) -> None:
        """Check and write a change, and let the daemon take it; return once it is written.

        The daemon takes it while it runs if it can, else a new daemon replaces it. Raises the EdgeError of a
        change that is refused.
        """
        self._requests.apply(change)

    @property
    def loaded(self) -> LoadedConfig:
        """The configuration in use and the source of each value; any thread may ask."""
        current = self._current
        assert current is not None
        assert current.loaded is not None
        return current.loaded

    @property
    def settings_in_use(self) -> SettingsChanged | None:
        """Trigger and threshold of the running daemon, which requests can change; any thread may ask."""
        daemon = self._daemon  # read once, because the main thread may clear it
        return None if daemon is None else daemon.settings

    def prepare(self, loaded: LoadedConfig) -> None:
        """Check the first configuration. Raises EdgeError."""
        self._good = self._current = self._prepare_loaded(loaded, None)

    def _prepare_loaded(self, loaded: LoadedConfig, running: Running | None) -> Prepared:
        return replace(self._prepare(loaded.config, running), loaded=loaded)

    def run(
        self, on_first_frame: Callable[[], None] | None = None, on_started: Callable[[], None] | None = None
    ) -> Outcome:
        """Run the prepared configuration until a stop or the end of a finite source.

        `on_first_frame` is called when a daemon has classified the first frame, `on_started` when the first
        daemon's parts have started. Raises the exception that ends the first daemon, or one that has
        classified a frame.
        """
        self._on_first_frame, self._on_started = on_first_frame, on_started
        self._worker.start()
        try:
            return self._run_all()
        finally:
            self._notifier.stopping()
            self._requests.end()
            self._worker.stop(timeout_s=0.5)

    def _run_all(self) -> Outcome:
        needs_frame = False
        while True:
            outcome = self._run_or_recover(needs_frame)
            if outcome is None:
                needs_frame = False
                self._make_current(self._good)
            elif outcome is Outcome.RELOAD:
                needs_frame = self._take_pending()
            else:
                return outcome
            if self._stopping:
                return Outcome.STOPPED

    def _run_or_recover(self, needs_frame: bool) -> Outcome | None:
        """Run the current configuration; return None if it fails and the last working one has to be restored.

        The exception, which refers to the failed daemon, ends here: the daemon can be freed.
        """
        try:
            return self._run_current(needs_frame)
        except Exception as exc:
            if self._current is not self._good:
                log.error("configuration not reloaded, the old one is restored: %s", _reason(exc))
                log.debug("the new daemon failed", exc_info=exc)
                self._revert_change(_reason(exc))
                self._attempts_left = MAX_RESTORE_ATTEMPTS
            elif self._attempts_left and isinstance(exc, EdgeError):
                self._attempts_left -= 1
                time.sleep(RESTORE_PAUSE_S)
            else:
                raise
        return None

    def _run_current(self, needs_frame: bool) -> Outcome:
        assert self._current is not None
        daemon = self._build(self._current, needs_frame=needs_frame)
        with self._lock:
            self._daemon = daemon
            if self._pending is not None:
                daemon.reload()
        if self._stopping:  # the signal came before this daemon was set
            daemon.stop()
        return daemon.run(self._approve, self._report_start)

    def _report_start(self) -> None:
        if self._on_started is not None:
            self._on_started()
            self._on_started = None

    def _approve(self) -> None:
        """Record that the current configuration works: a frame was classified."""
        self._attempts_left = 0
        with self._lock:
            is_new = self._good is not self._current
            self._good = self._current
            if self._pending is None:
                self._unproven = None
        if is_new:
            log.info("configuration reloaded")
        if self._on_first_frame is not None:
            self._on_first_frame()
            self._on_first_frame = None

    def _revert_change(self, reason: str) -> None:
        """Undo the changes since the last configuration that worked, and one that waits for its daemon."""
        with self._lock:
            change, self._unproven = self._unproven, None
            if change is None:
                return
            if self._pending is not None:
                self._pending = None
                self._requests.reload()  # it may have come from an edited file
        assert self._good is not None
        assert self._good.loaded is not None
        change.revert(self._good.loaded, reason)

    def _take_pending(self) -> bool:
        """Make the pending configuration current; return whether its camera must deliver a first frame.

        That holds for a changed camera after one that worked, but not for a browser's, which can give a frame
        only once the new daemon serves the page.
        """
        assert self._daemon is not None
        assert self._current is not None
        former, works = self._current.config.camera, self._daemon.camera_works
        self._make_current(self._pending)
        camera = self._current.config.camera
        return works and camera != former and not isinstance(camera, BrowserOptions)

    def _make_current(self, prepared: Prepared | None) -> None:
        with self._lock:
            self._current = prepared
            if self._pending is prepared:
                self._pending = None
            self._daemon = None
        gc.collect()  # frees the last daemon before the next one needs as much memory

    def _serve_requests(self) -> None:
        """Prepare a configuration per request, until the request to end."""
        is_ending = False
        while not is_ending:
            for request in self._requests.pop():
                if isinstance(request, ChangeRequest):
                    self._serve_change(request, refused=is_ending)
                elif request:
                    self._serve_reload()
                else:
                    is_ending = True

    def _serve_reload(self) -> None:
        self._notifier.reloading(time.monotonic())
        if not self._prepare_pending():
            self._notifier.reload_ended()

    def _prepare_pending(self) -> bool:
        """Prepare the changed configuration; return False if the daemon keeps its configuration."""
        try:
            loaded = self._load()
            latest = self._latest()
            if latest.is_current(loaded.config):
                log.info("configuration reloaded: nothing changed")
                self._adopt(latest, loaded)
                return False
            self._replace_daemon(latest, loaded)
        except Exception as exc:
            log.error("configuration not reloaded, the old one stays in use: %s", _reason(exc))
            log.debug("the new configuration failed", exc_info=exc)
            return False
        return True

    def _serve_change(self, request: ChangeRequest, *, refused: bool) -> None:
        if not request.outcome.set_running_or_notify_cancel():
            return
        try:
            if refused:
                raise RequestError("the device is stopping; try again")
            self._apply(request.change)
        except BaseException as exc:
            request.outcome.set_exception(exc)
        else:
            request.outcome.set_result(None)

    def _apply(self, change: ConfigChange) -> None:
        loaded = change.load()
        latest = self._latest()
        daemon = self._daemon  # read once, because the main thread may clear it
        if daemon is not None and not daemon.responds(RESPONSE_TIMEOUT_S):
            raise RequestError(
                f"nothing was changed: the pipeline has been stuck for {RESPONSE_TIMEOUT_S:g} s; "
                "if it stays so, restart the daemon"
            )
        settings = self.settings_in_use
        used = latest.config if settings is None else in_use(latest.config, settings)
        if loaded.config == latest.config == used:
            change.commit()
            self._adopt(latest, loaded)
        elif not self._apply_live(change, latest, loaded, used):
            self._replace_daemon(latest, loaded, change)

    def _apply_live(self, change: ConfigChange, latest: Prepared, loaded: LoadedConfig, used: Config) -> bool:
        """Let the running daemon, which uses `used`, take a change; return False if it can't."""
        daemon = self._daemon
        commands = live_commands(used, loaded.config)
        if daemon is None or daemon.frame_size is None or commands is None or latest is not self._good:
            return False
        check_regions(loaded.config, daemon.frame_size)
        change.commit()
        if not self._adopt(latest, loaded) or not daemon.adjust(commands, config_digest(loaded.config)):
            self._replace_daemon(latest, loaded)
        return True

    def _adopt(self, latest: Prepared, loaded: LoadedConfig) -> bool:
        """Record the configuration that the current daemon takes; False if that one is being replaced."""
        with self._lock:
            if self._pending is not None or self._current is not latest:
                return False
            changed = replace(latest, config=loaded.config, loaded=loaded)
            if self._good is latest:
                self._good = changed
            self._current = changed
            return True

    def _replace_daemon(
        self, latest: Prepared, loaded: LoadedConfig, change: ConfigChange | None = None
    ) -> None:
        """Check a configuration, write its change, and replace the daemon. Raises EdgeError."""
        daemon = self._daemon  # read once, because the main thread may clear it
        frame_size = None if daemon is None else daemon.frame_size
        prepared = self._prepare_loaded(loaded, Running(latest.config, frame_size))
        if change is not None:
            change.commit()
        with self._lock:
            self._unproven = change or self._unproven
            self._pending = prepared
            if self._daemon is not None:
                self._daemon.reload()

    def _latest(self) -> Prepared:
        with self._lock:
            latest = self._pending or self._current
        assert latest is not None
        return latest


def _reason(exc: Exception) -> str:
    return str(exc) if isinstance(exc, EdgeError) else f"{type(exc).__name__}: {exc}"


def _log_crash(exc: BaseException) -> None:
    log.error("the configuration can no longer be reloaded", exc_info=exc)
