"""A limit on how often one line of the code may log: no fault that comes with every frame fills the card."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

MOST_LINES = 60
PERIOD_S = 60.0


class LogLimit(logging.Filter):
    """Lets each call of a logger through `MOST_LINES` times in a period; what is left out is counted.

    The last line before the limit, and the first one after the period, say so. DEBUG is not limited. For a
    handler; any thread may log. `now` is the monotonic clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._calls: dict[tuple[str, int], _Call] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be logged."""
        if record.levelno <= logging.DEBUG:
            return True
        now_s = self._now()
        call = self._calls.setdefault((record.pathname, record.lineno), _Call(now_s))
        note = call.note(now_s)
        if note:
            record.msg, record.args = f"{record.getMessage()} ({note})", None
        return note is not None


class _Call:
    """What was logged at one place in the present period."""

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self._lines = 0

    def note(self, now_s: float) -> str | None:
        """Count a line; return what to add to it, None for a line to leave out."""
        left_out = 0
        if now_s - self._since_s >= PERIOD_S:
            left_out = max(0, self._lines - MOST_LINES)
            self._since_s, self._lines = now_s, 0
        self._lines += 1
        if left_out:
            return f"{left_out} lines like this were left out"
        if self._lines == MOST_LINES:
            return "further lines like this are left out for a minute"
        return None if self._lines > MOST_LINES else ""
