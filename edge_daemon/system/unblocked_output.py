"""Output that never blocks: what nobody reads is dropped."""

from __future__ import annotations

import logging
import select
from typing import TextIO


def may_write(stream: TextIO) -> bool:
    """Return whether a line of up to 4 kB can be written now without a wait.

    A pipe or a terminal that nobody reads takes no more at some time. Anything else can be written.
    """
    try:
        return bool(select.select([], [stream.fileno()], [], 0)[1])
    except (OSError, ValueError):  # closed, or no file at all
        return True


class _UnlessBlocked(logging.Filter):
    """Passes the records that a stream takes now."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def filter(self, record: logging.LogRecord) -> bool:
        return may_write(self._stream)


def drop_unread_logs() -> None:
    """Let the handlers of the root logger drop the lines that would block."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.addFilter(_UnlessBlocked(handler.stream))
