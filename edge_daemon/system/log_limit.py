"""Rate limit for log records per line of code: a fault in every frame must not fill the SD card."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

MAX_LINES = 60
PERIOD_S = 60.0


class LogLimit(logging.Filter):
    """A handler's filter that passes `MAX_LINES` records per line of code and period, and counts the others.

    The last record before the limit announces it; the first record after the period has the number of
    records left out. DEBUG is not limited. Any thread may log. `now` is the monotonic clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._calls: dict[tuple[str, int], _Call] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record."""
        if record.levelno <= logging.DEBUG:
            return True
        now_s = self._now()
        call = self._calls.setdefault((record.pathname, record.lineno), _Call(now_s))
        note = call.note(now_s)
        if note:
            record.msg, record.args = f"{record.getMessage()} ({note})", None
        return note is not None


class _Call:
    """The number of records of one line of code in the current period."""

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self._lines = 0

    def note(self, now_s: float) -> str | None:
        """Count a record; return the text to append to it, None for a record to leave out."""
        left_out = 0
        if now_s - self._since_s >= PERIOD_S:
            left_out = max(0, self._lines - MAX_LINES)
            self._since_s, self._lines = now_s, 0
        self._lines += 1
        if left_out:
            return f"{left_out} lines like this were left out"
        if self._lines == MAX_LINES:
            return "further lines like this are left out for a minute"
        return None if self._lines > MAX_LINES else ""
