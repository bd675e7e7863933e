"""Signed records: the wire format of one example or one live set between the devices of a group.

A record is one byte of version, 32 bytes of HMAC-SHA256 under the group's key, and a MessagePack array. The
signature covers the version and the array. The array names group, device and space, so a record can't be
replayed as another group's, another device's or another model's.
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
from edge_daemon.fleet.chunks import unpack_records
from edge_daemon.fleet.live_set import EMPTY, LiveSet, delta_decode, delta_encode, newer

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.domain.types import Vector

VERSION = 1
MAX_LIVE = 5000
MAX_NUMBER = 2**53
_MAC_BYTES = 32
_PURPOSE = b"edge_daemon fleet record"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

RejectionReason: TypeAlias = Literal[
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
"""The reason why a record is rejected.

`removed`: its device has deleted it. `replayed`: a live set older than the last one. `number`: twice in a
message, or far ahead of the clock. `full`: more examples, labels or devices than this device accepts.
`flood`: a message that was dropped unread, above the rate for its device. The other reasons name the wrong
part of the record.
"""

_Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
_Delta = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
_Text = Annotated[str, Meta(max_length=1000)]
_Name = Annotated[str, Meta(max_length=200)]
_Micros = Annotated[int, Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]  # years 1 to 9999


class _Body(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """First fields of every record."""

    group: _Text
    device: _Text
    space: _Text
    number: _Number


class _Example(_Body, tag="example", array_like=True, frozen=True, forbid_unknown_fields=True):
    """`embedding`: int8, of any length; only its direction counts."""

    label: _Text
    region: _Name
    burst: _Name
    created: _Micros
    embedding: bytes


class _LiveSet(_Body, tag="roll", array_like=True, frozen=True, forbid_unknown_fields=True):
    """`deltas`: the differences between the live numbers."""

    deltas: Annotated[list[_Delta], Meta(max_length=MAX_LIVE)]


_DECODER: msgspec.msgpack.Decoder[_Example | _LiveSet] = msgspec.msgpack.Decoder(_Example | _LiveSet)


class RejectedRecord(FleetError):
    """A record that can't be used."""

    def __init__(self, reason: RejectionReason, unsigned: bool = False) -> None:
        """`unsigned`: nothing proves that its sender has the group's key."""
        super().__init__(f"a fleet record was rejected: {reason}")
        self.reason: RejectionReason = reason
        self.unsigned = unsigned


@dataclass(frozen=True, slots=True)
class RemoteExample:
    """An example received from a peer. `number` is the peer's sequence number of it."""

    number: int
    label: str
    embedding: Vector
    region: str
    burst: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RecordSigner:
    """Signs and verifies the records of one group and one embedding space."""

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

    def sign_live_set(self, device: str, live_set: LiveSet) -> bytes:
        """Return a live set of `device` as a record."""
        deltas = delta_encode(live_set.live)
        return self._signed(_LiveSet(self.group, device, self.space, live_set.number, deltas))

    def verify(self, device: str, record: bytes) -> RemoteExample | LiveSet:
        """Return the content of a record that was received at a topic of `device`.

        Raises RejectedRecord for all other bytes.
        """
        body = self._verified_body(record)
        if body.group != self.group:
            raise RejectedRecord("group")
        if body.device != device:
            raise RejectedRecord("device")
        if body.space != self.space:
            raise RejectedRecord("space")
        return _remote_example(body) if isinstance(body, _Example) else _live_set(body)

    def _signed(self, body: _Body) -> bytes:
        encoded = msgspec.msgpack.encode(body)
        return bytes([VERSION]) + self._mac(encoded) + encoded

    def _verified_body(self, record: bytes) -> _Example | _LiveSet:
        if not record or record[0] != VERSION:
            raise RejectedRecord("version" if record else "malformed", unsigned=True)
        mac, encoded = record[1 : 1 + _MAC_BYTES], record[1 + _MAC_BYTES :]
        if not hmac.compare_digest(mac, self._mac(encoded)):
            raise RejectedRecord("signature", unsigned=True)
        try:
            return _DECODER.decode(encoded)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise RejectedRecord("malformed") from exc

    def _mac(self, encoded: bytes) -> bytes:
        return hmac.digest(self.key, _PURPOSE + bytes([VERSION]) + encoded, "sha256")


def _remote_example(body: _Example) -> RemoteExample:
    if not any(body.embedding):
        raise RejectedRecord("malformed")
    try:
        label = check_label(body.label)
    except LabelError as exc:
        raise RejectedRecord("label") from exc
    created_at = _EPOCH + body.created * _MICROSECOND
    return RemoteExample(body.number, label, dequantise(body.embedding), body.region, body.burst, created_at)


def _live_set(body: _LiveSet) -> LiveSet:
    live = delta_decode(body.deltas)
    if live and max(live) > body.number:
        raise RejectedRecord("malformed")
    return LiveSet(body.number, live)


def quantise(embedding: Vector) -> bytes:
    """Return the direction of an embedding with 8 bits per number."""
    largest = float(np.abs(embedding).max())
    steps: npt.NDArray[np.int8] = np.rint(embedding * (127.0 / largest)).astype(np.int8)
    return steps.tobytes()


def dequantise(quantised: bytes) -> Vector:
    """Return the unit vector (float32) that `quantise` encoded."""
    steps = np.frombuffer(quantised, np.int8).astype(np.float32)
    vector: Vector = steps / np.linalg.norm(steps)
    return vector


@dataclass(frozen=True, slots=True)
class FleetMessage:
    """The verified records of one message from `device`, and the reasons why others were rejected."""

    device: str
    examples: tuple[RemoteExample, ...] = ()
    live_set: LiveSet | None = None
    rejections: tuple[RejectionReason, ...] = ()


def decode_message(signer: RecordSigner, device: str, payload: bytes) -> FleetMessage:
    """Verify a message that was received at a topic of `device`. Any bytes give a message, possibly empty.

    Decoding stops at the first record that is not signed with the group's key: its sender has no key and
    could otherwise cause one signature check per record.
    """
    records = unpack_records(payload)
    if records is None:
        return FleetMessage(device, rejections=("malformed",))
    examples: list[RemoteExample] = []
    rejections: list[RejectionReason] = []
    live_set = EMPTY
    for record in records:
        try:
            content = signer.verify(device, record)
        except RejectedRecord as exc:
            rejections.append(exc.reason)
            if exc.unsigned:
                break
            continue
        if isinstance(content, LiveSet):
            live_set = newer(live_set, content)
        else:
            examples.append(content)
    return FleetMessage(device, tuple(examples), None if live_set is EMPTY else live_set, tuple(rejections))
