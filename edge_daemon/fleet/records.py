"""Signed records: how one example, or a roll, travels between the devices of a group.

A record is one byte of version, 32 bytes of HMAC-SHA256 under the group's key, and a MessagePack array. The
signature covers the version and the array, and the array names group, device and space: a record can't be
passed off as another group's, another device's or another model's.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta

from edge_daemon.domain.errors import FleetError, LabelError
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.types import Example
from edge_daemon.fleet.live_set import LiveSet, from_gaps, gaps

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.domain.types import Vector

VERSION = 1
MAX_LIVING = 5000
MAX_NUMBER = 2**53
_MAC_BYTES = 32
_PURPOSE = b"edge_daemon fleet record"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Reason: TypeAlias = Literal[
    "malformed",
    "version",
    "signature",
    "group",
    "device",
    "space",
    "size",
    "label",
    "removed",
    "replayed",
    "number",
    "full",
    "flood",
]
"""Why a record is refused. `removed`: its device took it back; `replayed`: a roll older than the last one;
`number`: twice in a message, or far ahead of the clock; `full`: more examples, labels or devices than this
device accepts; `flood`: a message that was dropped unread, beyond the rate for its device. The others name
what is wrong in the record."""

_Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
_Step = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
_Text = Annotated[str, Meta(max_length=1000)]
_Name = Annotated[str, Meta(max_length=200)]
_Micros = Annotated[int, Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]  # years 1 to 9999


class _Body(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What every record says first."""

    group: _Text
    device: _Text
    space: _Text
    number: _Number


class _Example(_Body, tag="example", array_like=True, frozen=True, forbid_unknown_fields=True):
    """`embedding`: int8, of any length; an embedding is its direction alone."""

    label: _Text
    region: _Name
    burst: _Name
    created: _Micros
    embedding: bytes


class _Roll(_Body, tag="roll", array_like=True, frozen=True, forbid_unknown_fields=True):
    """`living`: the steps between the numbers that live."""

    living: Annotated[list[_Step], Meta(max_length=MAX_LIVING)]


_DECODER: msgspec.msgpack.Decoder[_Example | _Roll] = msgspec.msgpack.Decoder(_Example | _Roll)


class RejectedRecord(FleetError):
    """A record that teaches nothing."""

    def __init__(self, reason: Reason, unsigned: bool = False) -> None:
        """`unsigned`: nothing shows that its sender has the group's key."""
        super().__init__(f"a fleet record was refused: {reason}")
        self.reason: Reason = reason
        self.unsigned = unsigned


@dataclass(frozen=True, slots=True)
class RemoteExample:
    """An example as its device told it."""

    number: int
    label: str
    embedding: Vector
    region: str
    burst: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RecordSigner:
    """Signs and checks the records of one group and one embedding space."""

    key: bytes
    group: str
    space: str

    def sign_example(self, device: str, number: int, example: Example) -> bytes:
        """Return an example of `device` as a record."""
        body = _Example(
            self.group,
            device,
            self.space,
            number,
            example.label,
            example.region,
            example.group,
            (example.created_at - _EPOCH) // _MICROSECOND,
            quantise(example.embedding),
        )
        return self._signed(body)

    def sign_roll(self, device: str, roll: LiveSet) -> bytes:
        """Return a roll of `device` as a record."""
        return self._signed(_Roll(self.group, device, self.space, roll.number, gaps(roll.living)))

    def open(self, device: str, record: bytes) -> RemoteExample | LiveSet:
        """Return what `device` says with a record that stood at its topic.

        Any other bytes raise RejectedRecord.
        """
        body = self._checked(record)
        if body.group != self.group:
            raise RejectedRecord("group")
        if body.device != device:
            raise RejectedRecord("device")
        if body.space != self.space:
            raise RejectedRecord("space")
        return self._told(body) if isinstance(body, _Example) else _roll(body)

    def _signed(self, body: _Body) -> bytes:
        written = msgspec.msgpack.encode(body)
        return bytes([VERSION]) + self._mac(written) + written

    def _checked(self, record: bytes) -> _Example | _Roll:
        if not record or record[0] != VERSION:
            raise RejectedRecord("version" if record else "malformed", unsigned=True)
        mac, written = record[1 : 1 + _MAC_BYTES], record[1 + _MAC_BYTES :]
        if not hmac.compare_digest(mac, self._mac(written)):
            raise RejectedRecord("signature", unsigned=True)
        try:
            return _DECODER.decode(written)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise RejectedRecord("malformed") from exc

    def _mac(self, written: bytes) -> bytes:
        return hmac.digest(self.key, _PURPOSE + bytes([VERSION]) + written, "sha256")

    def _told(self, body: _Example) -> RemoteExample:
        if not any(body.embedding):
            raise RejectedRecord("malformed")
        try:
            label = check_label(body.label)
        except LabelError as exc:
            raise RejectedRecord("label") from exc
        created_at = _EPOCH + body.created * _MICROSECOND
        return RemoteExample(body.number, label, restore(body.embedding), body.region, body.burst, created_at)


def _roll(body: _Roll) -> LiveSet:
    living = from_gaps(body.living)
    if living and max(living) > body.number:
        raise RejectedRecord("malformed")
    return LiveSet(body.number, living)


def quantise(embedding: Vector) -> bytes:
    """Return the direction of an embedding in eight bits a number."""
    largest = float(np.abs(embedding).max())
    steps: npt.NDArray[np.int8] = np.rint(embedding * (127.0 / largest)).astype(np.int8)
    return steps.tobytes()


def restore(quantised: bytes) -> Vector:
    """Return the unit vector (float32) that `quantise` wrote."""
    steps = np.frombuffer(quantised, np.int8).astype(np.float32)
    vector: Vector = steps / np.linalg.norm(steps)
    return vector
