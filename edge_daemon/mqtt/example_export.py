"""Export of all examples over MQTT: an archive in numbered parts, written in a separate thread."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Literal
from uuid import uuid4

import msgspec

from edge_daemon.domain.commands import ExportExamples, Origin
from edge_daemon.domain.errors import EdgeError, RequestError
from edge_daemon.mqtt.payloads import ExportPart
from edge_daemon.system.json_input import decode_json

logger = logging.getLogger(__name__)

MAX_ARCHIVE_BYTES = 64_000_000
"""Maximum size; a larger archive has to be copied from the device."""

PART_BYTES = 48_000
"""Bytes of the archive per message, 64,000 in base64: within the limits of most brokers."""

COOLDOWN_S = 10.0
"""Pause after an export, because each reads the whole store."""

EXPIRY_S = 600.0
"""Maximum time from the request to the last part; later the requester has given up."""

_ENVELOPE_BYTES = 4_096
_MIN_PART_BYTES = 1_024
_MAX_PARTS = MAX_ARCHIVE_BYTES // _MIN_PART_BYTES + 1


class _Response(msgspec.Struct):
    status: Literal["ok", "error"]
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: str = "no reason was given"
    transaction: object = None


class ExportReassembler:
    """Joins the responses to one request with this `transaction`, in any order and with duplicates."""

    def __init__(self, transaction: str) -> None:
        self._transaction = transaction
        self._parts: dict[int, bytes] = {}
        self._size = 0
        self._first: ExportPart | None = None

    @property
    def parts(self) -> int:
        """Number of received parts."""
        return len(self._parts)

    @property
    def received_bytes(self) -> tuple[int, int]:
        """Number of received bytes, and that of the whole archive; 0 of 0 before the first part."""
        return self._size, 0 if self._first is None else self._first.bytes

    def add(self, payload: bytes) -> bytes | None:
        """Add a response; return the archive once it is complete. Raises RequestError for an invalid one."""
        try:
            answer = decode_json(payload, _Response)
            if answer.transaction != self._transaction:
                return None
            if answer.status == "error":
                raise RequestError(f"the device refused: {answer.error}")
            part = decode_json(answer.data, ExportPart)
            self._keep(part, b64decode(part.base64, validate=True))
        except RequestError:  # a ValueError
            raise
        except (msgspec.DecodeError, ValueError) as exc:
            raise RequestError(f"this is no part of an export: {exc}") from exc
        return self._join(part) if len(self._parts) == part.parts else None

    def _keep(self, part: ExportPart, content: bytes) -> None:
        """Add a part. Raises RequestError for one of another export than the first, or too large."""
        if part.part > part.parts or part.parts > _MAX_PARTS or part.bytes > MAX_ARCHIVE_BYTES:
            raise RequestError(
                f"this is no part of an export: part {part.part} of {part.parts}, {part.bytes} bytes in all; "
                f"one has at most {MAX_ARCHIVE_BYTES} bytes in {_MAX_PARTS} parts"
            )
        self._first = self._first or part
        if _export(part) != _export(self._first):
            raise RequestError("the device answers with parts of two exports; send the request again")
        self._size += len(content) - len(self._parts.get(part.part, b""))
        self._parts[part.part] = content
        if self._size > part.bytes:
            raise RequestError("the parts are longer than the announced archive; send the request again")

    def _join(self, last: ExportPart) -> bytes:
        archive = b"".join(self._parts[number] for number in sorted(self._parts))
        if len(archive) != last.bytes or hashlib.sha256(archive).hexdigest() != last.sha256:
            raise RequestError("the parts don't form the announced archive; send the request again")
        return archive


def _export(part: ExportPart) -> tuple[str, int, int, str]:
    """Return what is the same in all parts of an export."""
    return part.export, part.parts, part.bytes, part.sha256


@dataclass(frozen=True, slots=True)
class ExportAnswer:
    """One response to the requester: a part, or an error."""

    origin: Origin
    part: ExportPart | None = None
    error: str = ""


@dataclass(slots=True)
class _Archive:
    """A written archive. Its file has no name, so it disappears when it is closed."""

    file: BinaryIO
    size: int
    sha256: str
    name: str
    part_bytes: int = 0
    sent: int = 0


class ExampleExporter:
    """Serves one export at a time. A thread writes the archive; each part is read when it is sent.

    `write` writes the archive to an open file and may raise EdgeError. `folder` is the folder of the archive,
    None for the system's temporary folder. All methods belong to the thread that owns the connection.
    `on_ready` is called from the writing thread, `on_crash` if that dies of an unexpected exception.
    """

    def __init__(
        self,
        write: Callable[[BinaryIO], object],
        folder: Path | None,
        on_ready: Callable[[], None],
        on_crash: Callable[[BaseException], None],
        max_bytes: int = MAX_ARCHIVE_BYTES,
    ) -> None:
        self._write = write
        self._folder = folder
        self._on_ready = on_ready
        self._on_crash = on_crash
        self._max_bytes = max_bytes
        self._thread: threading.Thread | None = None
        self._origin: Origin | None = None
        self._requested_s = 0.0
        self._next_start_s = float("-inf")
        self._ready: _Archive | str | None = None

    def start(self, command: ExportExamples, now_s: float) -> bool:
        """Start an export; return False during an export and for 10 s after it."""
        if self._origin is not None or now_s < self._next_start_s:
            return False
        self._origin, self._requested_s, self._ready = command.origin, now_s, None
        self._thread = threading.Thread(target=self._run, name="mqtt-export", daemon=True)
        self._thread.start()
        return True

    @property
    def has_answer(self) -> bool:
        """True while a part or an error waits to be sent."""
        return self._ready is not None

    def next_answer(self, max_packet: int | None, now_s: float) -> ExportAnswer | None:
        """Return the next answer, if any; `max_packet` is the broker's limit in bytes."""
        ready, origin = self._ready, self._origin
        if ready is None or origin is None:
            return None
        if isinstance(ready, str):
            return self._fail(origin, ready, now_s)
        if now_s - self._requested_s > EXPIRY_S:
            return self._fail(
                origin, f"the export took longer than {EXPIRY_S:g} s; send the request again", now_s
            )
        ready.part_bytes = ready.part_bytes or _part_size(max_packet)
        if ready.part_bytes < _MIN_PART_BYTES:
            return self._fail(origin, f"the broker takes no messages above {max_packet} bytes", now_s)
        part = _next_part(ready)
        if part.part == part.parts:
            self._finish(now_s)
        return ExportAnswer(origin, part)

    def stop(self, timeout_s: float) -> None:
        """Abort an export."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._finish(0.0)

    def _fail(self, origin: Origin, error: str, now_s: float) -> ExportAnswer:
        self._finish(now_s)
        return ExportAnswer(origin, error=error)

    def _finish(self, now_s: float) -> None:
        if isinstance(self._ready, _Archive):
            self._ready.file.close()
        self._origin, self._ready, self._next_start_s = None, None, now_s + COOLDOWN_S

    def _run(self) -> None:
        """Write the archive, in the exporter's own thread."""
        try:
            self._ready = self._write_archive()
        except (EdgeError, OSError) as exc:
            logger.warning("can't export the examples: %s", exc)
            self._ready = f"can't export the examples: {exc}"
        except BaseException as crash:
            self._on_crash(crash)
        self._on_ready()

    def _write_archive(self) -> _Archive | str:
        file = TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed when it is sent; a kill leaves no file
        try:
            self._write(file)
            size = file.seek(0, os.SEEK_END)
            if size > self._max_bytes:
                file.close()
                return (
                    f"the archive has {size / 1e6:.0f} MB; at most {self._max_bytes / 1e6:.0f} MB are sent; "
                    "run `edge-daemon examples export` on the device"
                )
            file.seek(0)
            return _Archive(file, size, hashlib.file_digest(file, "sha256").hexdigest(), uuid4().hex[:8])
        except BaseException:
            file.close()
            raise


def _part_size(max_packet: int | None) -> int:
    if max_packet is None:
        return PART_BYTES
    return min(PART_BYTES, (max_packet - _ENVELOPE_BYTES) * 3 // 4)


def _next_part(archive: _Archive) -> ExportPart:
    archive.file.seek(archive.sent * archive.part_bytes)
    archive.sent += 1
    return ExportPart(
        export=archive.name,
        part=archive.sent,
        parts=-(-archive.size // archive.part_bytes),
        bytes=archive.size,
        sha256=archive.sha256,
        base64=b64encode(archive.file.read(archive.part_bytes)).decode("ascii"),
    )
