"""The last lines of the log, kept in memory while the page is on, without secrets."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from edge_daemon.system.redaction import redact, redact_data
from edge_daemon.system.zip_stream import ZipStream

LINES = 200
_MAX_CHARACTERS = 500
_MAX_RAW_CHARACTERS = 2000
"""A secret is found by what surrounds it, so lines are redacted before they get their final length."""


class LogTail(logging.Handler):
    """Keeps what is logged at INFO and above; lines are cut, so the memory is bounded.

    Lines are redacted when they are read, in the page's thread, and only once.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._raw: deque[str] = deque(maxlen=LINES)
        self._redacted: deque[str] = deque(maxlen=LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        try:
            self._raw.append(self.format(record)[:_MAX_RAW_CHARACTERS])
        except Exception:  # as every handler of the standard library: a bad log call may not end a thread
            self.handleError(record)

    def lines(self) -> list[str]:
        """Return the kept lines, oldest first. Called from one thread alone."""
        while self._raw:
            self._redacted.append(redact(self._raw.popleft())[:_MAX_CHARACTERS])
        return list(self._redacted)

    def open(self) -> None:
        """Begin to listen."""
        logging.getLogger().addHandler(self)

    def close(self) -> None:
        """Stop listening."""
        logging.getLogger().removeHandler(self)
        super().close()


def write_bundle(
    settings: Mapping[str, object], vitals: Sequence[Mapping[str, object]], log: Sequence[str]
) -> bytes:
    """Return a zip of the effective settings, the state of health and the log's tail."""
    bundle = ZipStream()
    bundle.add("settings.json", _json(redact_data(settings)))
    bundle.add("health.json", _json(redact_data(list(vitals))))
    bundle.add("log.txt", "".join(f"{redact(line)}\n" for line in log).encode(errors="replace"))
    bundle.close()
    return bundle.pop()


def _json(data: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(data), indent=2)
