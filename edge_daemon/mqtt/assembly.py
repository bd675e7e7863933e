"""Puts the parts of an export together again, and checks that nothing is missing or changed."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from typing import Literal

import msgspec

from edge_daemon.errors import RequestError
from edge_daemon.mqtt.payloads import ExportPart


class _Answer(msgspec.Struct):
    status: Literal["ok", "error"]
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: str = "no reason was given"
    transaction: object = None


class Assembly:
    """Collects the answers to one request, known by its `transaction`, in any order, also twice."""

    def __init__(self, transaction: str) -> None:
        self._transaction = transaction
        self._parts: dict[int, bytes] = {}

    @property
    def parts(self) -> int:
        """How many parts have come."""
        return len(self._parts)

    def take(self, payload: bytes) -> bytes | None:
        """Take one response; return the archive when it is whole. Raises RequestError when it can't be."""
        try:
            answer = msgspec.json.decode(payload, type=_Answer)
            if answer.transaction != self._transaction:
                return None
            if answer.status == "error":
                raise RequestError(f"the device refused: {answer.error}")
            part = msgspec.json.decode(answer.data, type=ExportPart)
            self._parts[part.part] = b64decode(part.base64, validate=True)
        except (msgspec.DecodeError, ValueError) as exc:
            raise RequestError(f"this is no part of an export: {exc}") from exc
        return self._whole(part) if len(self._parts) == part.parts else None

    def _whole(self, last: ExportPart) -> bytes:
        archive = b"".join(self._parts[number] for number in sorted(self._parts))
        if len(archive) != last.bytes or hashlib.sha256(archive).hexdigest() != last.sha256:
            raise RequestError("the parts don't make the archive that was announced; ask again")
        return archive
