"""A named thread with an owner, which stops and joins it and receives its crash."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Worker:
    """Runs `body(stop)` in a thread; an exception goes to `on_crash`, which ends the daemon."""

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

    @property
    def runs(self) -> bool:
        """True from the start of the thread to its end, which a thread that hangs never reaches."""
        return self._thread.is_alive()

    def request_stop(self) -> None:
        """Set the stop event, so that the thread can end while its owner does something else."""
        self._stop.set()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Set the stop event and join the thread; after the timeout log a warning and go on."""
        self._stop.set()
        if self._thread.ident is None:
            return
        self._thread.join(timeout_s)
        if self.runs:
            log.warning("thread %s did not stop within %g s", self.name, timeout_s)

    def _run(self) -> None:
        try:
            self._body(self._stop)
        except BaseException as exc:  # passed on: the daemon ends with it
            self._on_crash(exc)
