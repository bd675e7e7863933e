"""Time stamps of the daemon's start, for `edge-daemon bench --boot`."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from edge_daemon.board.boot import process_start_s
from edge_daemon.board.clock import boot_id

NAME = "boot.json"


class BootMarks:
    """Records times of the monotonic clock in seconds, and writes them once, after the first label.

    The file is in `$RUNTIME_DIRECTORY`, which is in memory: nothing is written to the card. Without that
    directory no file is written. Belongs to one thread.
    """

    def __init__(
        self, environ: Mapping[str, str] = os.environ, now: Callable[[], float] = time.monotonic
    ) -> None:
        folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self._path = Path(folder, NAME) if folder else None
        self._now = now
        self._marks: dict[str, float] = {}

    def note(self, name: str) -> None:
        """Record the time of a step; the first call for a name counts."""
        self._marks.setdefault(name, round(self._now(), 3))

    def write(self) -> None:
        """Write the recorded times, once."""
        path, self._path = self._path, None
        if path is None:
            return
        started_s = process_start_s()
        marks = {} if started_s is None else {"process": round(started_s, 3)}
        content = json.dumps({"boot_id": boot_id(), "marks": marks | self._marks})
        with contextlib.suppress(OSError):  # only the measurement is lost
            path.write_text(content + "\n")
            path.chmod(0o644)
