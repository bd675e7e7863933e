"""The last lines of the log, kept in memory while the page is on."""

from __future__ import annotations

import logging
from collections import deque

LINES = 200
_MAX_CHARACTERS = 500


class LogTail(logging.Handler):
    """Keeps what is logged at INFO and above; lines are cut, so the memory is bounded."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._lines: deque[str] = deque(maxlen=LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        try:
            self._lines.append(self.format(record)[:_MAX_CHARACTERS])
        except Exception:  # as every handler of the standard library: a bad log call may not end a thread
            self.handleError(record)

    def lines(self) -> list[str]:
        """Return the kept lines, oldest first."""
        return list(self._lines)

    def open(self) -> None:
        """Begin to listen."""
        logging.getLogger().addHandler(self)

    def close(self) -> None:
        """Stop listening."""
        logging.getLogger().removeHandler(self)
        super().close()
