"""A named thread with an owner: it is asked to stop, joined, and its crash is not lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Worker:
    """Runs `body(stop)` in a thread; a crash is handed to `on_crash` and ends the daemon."""

    def __init__(
        self,
        name: str,
        body: Callable[[threading.Event], None],
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self.name = name
        self._body = body
        self._on_crash = on_crash
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Ask the body to stop and wait for it; a body that hangs is left behind with a warning."""
        self._stop.set()
        if self._thread.ident is None:
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.warning("thread %s did not stop within %.0f s", self.name, timeout_s)

    def _run(self) -> None:
        try:
            self._body(self._stop)
        except BaseException as exc:  # handed on whole: the daemon ends with it
            self._on_crash(exc)
