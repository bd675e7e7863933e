"""Download of files without a known hash into a folder: bounded in size and time, resumed if unchanged.

A file is kept under its name and a digest of the version that the server gives it (ETag or Last-Modified, and
the length), so that a later run resumes it only if the server still has that version.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BufferedRandom
from pathlib import Path
from typing import Any

from edge_daemon.board.digits import read_digits
from edge_daemon.domain.errors import ModelError
from edge_daemon.models.part_file import PartFile
from edge_daemon.models.web_transfer import (
    ATTEMPTS,
    PAUSE_S,
    ProgressCallback,
    TransferInterrupted,
    TransferRefused,
    file_size,
    is_html,
    receive,
    request,
    resumes,
)

MAX_TIME_S = 3600.0
"""Time after which a download ends, to be resumed by another run."""

_ABSENT = (403, 404, 410)
"""Answers for a file that is not there; 403 is that of storage services."""


class DownloadBroken(ModelError):
    """The download ended early; what is there of it can be resumed."""


class WebPageError(ModelError):
    """The server answers a web page instead of the file."""


@dataclass(slots=True)
class WebFolder:
    """The folder that downloaded files are kept in between runs."""

    folder: Path
    progress: ProgressCallback = lambda name, done, total: None
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _ends_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._ends_s = self.clock() + MAX_TIME_S

    def fetch(self, address: str, name: str, limit: int) -> Path:
        """Download a file of at most `limit` bytes and return its path.

        Raises DownloadBroken after ATTEMPTS attempts in a row without a byte, other ModelErrors, and OSError
        if it can't be written.
        """
        failures = 0
        reached = 0
        while True:
            try:
                return self._attempt(address, name, limit)
            except TransferInterrupted as exc:
                done = max((path.stat().st_size for path in self.folder.glob(f"{name}.*.part")), default=0)
                failures = failures + 1 if done <= reached else 1
                reached = max(done, reached)
                if failures >= ATTEMPTS:
                    raise DownloadBroken(
                        f"{address}: {exc}; got {done} bytes. Run the command again to resume"
                    ) from exc
            self._check_time(address)
            self.pause(PAUSE_S * failures)

    def fetch_optional(self, address: str, name: str, limit: int) -> Path | None:
        """Download a file that may be missing; None if the server has none. Raises ModelError, OSError."""
        try:
            return self.fetch(address, name, limit)
        except WebPageError:
            return None  # a site that answers its start page for every path
        except TransferRefused as exc:
            if exc.code in _ABSENT:
                return None
            raise

    def _attempt(self, address: str, name: str, limit: int) -> Path:
        with request(address) as response:
            version = _Version.of(response, address, limit)
            target = self.folder / f"{name}.{version.digest}"
            if version.validator and target.is_file() and target.stat().st_size == version.length:
                return target
            with PartFile(target) as part:
                have = file_size(part.file)
                if not 0 < have < (version.length or 0) or not version.validator:
                    part.file.truncate(0)
                    self._receive(response, part.file, version, address, name, limit)
                else:
                    response.close()
                    self._resume(part.file, version, address, name, limit)
                part.put_in_place()
        return target

    def _resume(self, file: BufferedRandom, version: _Version, address: str, name: str, limit: int) -> None:
        with request(address, file_size(file), version.validator) as response:
            if not resumes(response, file_size(file)):
                file.truncate(0)
            self._receive(response, file, version, address, name, limit)

    def _receive(
        self, response: Any, file: BufferedRandom, version: _Version, address: str, name: str, limit: int
    ) -> None:
        """Append the response. Raises ModelError and leaves the file empty if it can't be the one wanted."""

        def report(done: int) -> None:
            self.progress(name, done, version.length or limit)
            self._check_time(address)

        receive(response, file, limit + 1, report)
        if is_html(response, file):
            file.truncate(0)
            raise WebPageError(f"{address}: answers a web page; check for a login page or a proxy")
        size = file_size(file)
        if size > limit:
            file.truncate(0)
            raise _too_large(address, size, limit)
        if version.length is not None and size != version.length:
            if size > version.length:
                file.truncate(0)
            raise TransferInterrupted("the server ended early")
        self.progress(name, size, size)

    def _check_time(self, address: str) -> None:
        if self.clock() > self._ends_s:
            raise DownloadBroken(
                f"{address}: not complete after {MAX_TIME_S / 60:.0f} minutes; "
                "run the command again to resume"
            )


@dataclass(frozen=True, slots=True)
class _Version:
    """The version of a file: a validator for If-Range and the length in bytes, None if unknown."""

    validator: str | None
    length: int | None

    @classmethod
    def of(cls, response: Any, address: str, limit: int) -> _Version:
        """Read the headers. Raises ModelError for a file that is too large or compressed."""
        headers = response.headers
        if headers.get("Content-Encoding", "identity") != "identity":
            raise ModelError(f"{address}: the server sends it compressed, though that was not asked for")
        size = read_digits(headers.get("Content-Length", ""))
        if size is not None and size > limit:
            raise _too_large(address, size, limit)
        tag = headers.get("ETag", "")
        strong = tag if tag.startswith('"') else None
        return cls(strong or headers.get("Last-Modified"), size)

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.validator} {self.length}".encode()).hexdigest()[:12]


def _too_large(address: str, size: int, limit: int) -> ModelError:
    return ModelError(f"{address}: has {size} bytes; expected are at most {limit}")
