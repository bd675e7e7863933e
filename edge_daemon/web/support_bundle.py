"""Support bundle: settings, health and the end of the log, without secrets."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from edge_daemon.system.printable import OneLineFormatter
from edge_daemon.system.redaction import redact, redact_data
from edge_daemon.system.zip_stream import ZipStream

MAX_LINES = 200
_MAX_CHARACTERS = 500
_MAX_RAW_CHARACTERS = 2000
"""Redaction needs the text around a secret, so lines are redacted before they get their final length."""


class LogTail(logging.Handler):
    """Keeps the latest log lines of level INFO and above in memory; long lines are cut.

    Each line is redacted once, when it is read in the page's thread.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(OneLineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._raw: deque[str] = deque(maxlen=MAX_LINES)
        self._redacted: deque[str] = deque(maxlen=MAX_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        try:
            self._raw.append(self.format(record)[:_MAX_RAW_CHARACTERS])
        except Exception:  # as in every handler of the standard library: a bad log call must not end a thread
            self.handleError(record)

    def lines(self) -> list[str]:
        """Return the kept lines, oldest first. Called from the page's thread alone."""
        while self._raw:
            self._redacted.append(redact(self._raw.popleft())[:_MAX_CHARACTERS])
        return list(self._redacted)

    def attach(self) -> None:
        """Start to receive log records from the root logger."""
        logging.getLogger().addHandler(self)

    def close(self) -> None:
        """Detach from the root logger."""
        logging.getLogger().removeHandler(self)
        super().close()


def write_bundle(
    settings: Mapping[str, object], checks: Sequence[Mapping[str, object]], log: Sequence[str]
) -> bytes:
    """Return a zip of the effective settings, the health checks and the end of the log."""
    bundle = ZipStream()
    bundle.add("settings.json", _json(redact_data(settings)))
    bundle.add("health.json", _json(redact_data(list(checks))))
    bundle.add("log.txt", "".join(f"{redact(line)}\n" for line in log).encode(errors="replace"))
    bundle.close()
    return bundle.pop()


def _json(data: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(data), indent=2)
