"""Reader and writer of FlatBuffers tables by field number.

The reader checks every offset against the file's end. Both cover the parts of the format that a TFLite graph
needs. The interpreter's package ships a generated schema of 690 kB of source, whose import takes 15 ms of
processor time (x86-64); the older tflite_runtime has none.
Format: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

Data: TypeAlias = bytes | bytearray


_SLOT = 8
"""Bytes of every field: those of the widest scalar, which keeps all fields aligned."""

_ALIGNMENT = 16
"""Vectors begin at such a multiple: TFLite reads constants in position."""


class FlatBufferError(ValueError):
    """An offset points outside the data: the file is truncated or damaged."""


def unpack(data: Data, code: str, at: int) -> int:
    """Read one little-endian integer of struct code `code`. Raises FlatBufferError."""
    if at < 0:
        raise FlatBufferError(f"offset {at} lies before the file's start")
    try:
        return int(struct.unpack_from("<" + code, data, at)[0])
    except struct.error as exc:
        raise FlatBufferError(f"offset {at} lies behind the file's end ({len(data)} bytes)") from exc


def root(data: Data) -> Table:
    """Return the file's root table."""
    return Table(data, unpack(data, "I", 0))


class VectorField(Struct, frozen=True):
    """`count` elements of `width` bytes from byte `at`, all inside the data; the count precedes them."""

    data: Data
    at: int
    count: int
    width: int

    def numbers(self, code: str) -> tuple[int, ...]:
        """Return all elements as integers of struct code `code`."""
        return struct.unpack_from(f"<{self.count}{code}", self.data, self.at)

    def floats(self) -> tuple[float, ...]:
        """Return all elements as 32-bit floats."""
        return struct.unpack_from(f"<{self.count}f", self.data, self.at)

    def bytes(self) -> bytes:
        """Return the elements' bytes."""
        return bytes(self.data[self.at : self.at + self.count * self.width])

    def tables(self) -> Iterator[Table]:
        """Follow each element's offset to a table."""
        for at in range(self.at, self.at + 4 * self.count, 4):
            yield Table(self.data, at + unpack(self.data, "I", at))


class Table(Struct, frozen=True):
    """A table at byte `at`. Absent fields read as their default, absent vectors as empty."""

    data: Data
    at: int

    def integer(self, field: int, code: str, default: int = 0) -> int:
        """Return a scalar field of struct code `code`."""
        position = self.position(field)
        return unpack(self.data, code, position) if position else default

    def table(self, field: int) -> Table | None:
        """Return a table field, or None."""
        position = self.position(field)
        return Table(self.data, position + unpack(self.data, "I", position)) if position else None

    def vector(self, field: int, width: int) -> VectorField:
        """Return a vector field with elements of `width` bytes. Raises FlatBufferError."""
        position = self.position(field)
        if not position:
            return VectorField(self.data, 0, 0, width)
        start = position + unpack(self.data, "I", position)
        count = unpack(self.data, "I", start)
        if start + 4 + count * width > len(self.data):
            raise FlatBufferError(f"{count * width} bytes at offset {start} reach behind the file's end")
        return VectorField(self.data, start + 4, count, width)

    def text(self, field: int) -> str:
        """Return a string field; bytes that are no UTF-8 as `\\xff`."""
        return self.vector(field, 1).bytes().decode("utf-8", "backslashreplace")

    def position(self, field: int) -> int:
        """Return the byte position of a field's value, 0 if the field is absent."""
        vtable = self.at - unpack(self.data, "i", self.at)
        slot = 4 + 2 * field
        if slot + 2 > unpack(self.data, "H", vtable):
            return 0
        offset = unpack(self.data, "H", vtable + slot)
        return self.at + offset if offset else 0


class Scalar(Struct, frozen=True):
    """One number of struct code `code`."""

    code: str
    value: float


class NumberVector(Struct, frozen=True):
    """A vector of numbers of struct code `code`."""

    code: str
    values: Sequence[float]


Fields: TypeAlias = Mapping[int, "Value"]
"""A table: its fields by number."""

Value: TypeAlias = Scalar | NumberVector | bytes | str | Fields | Sequence[Fields]


def write(root: Fields, identifier: bytes) -> bytes:
    """Return a file with `root` as its root table; `identifier` becomes its bytes 4 to 8."""
    writer = _Writer(bytearray(4) + identifier)
    writer.point(0, writer.table(root))
    return bytes(writer.data)


class _Writer(Struct):
    """Writes each table before its children, as offsets only point forward."""

    data: bytearray = bytearray()

    def point(self, position: int, at: int) -> None:
        struct.pack_into("<I", self.data, position, at - position)

    def table(self, fields: Fields) -> int:
        slots = max(fields, default=-1) + 1
        offsets = [_SLOT * (number + 1) if number in fields else 0 for number in range(slots)]
        size = _SLOT * (slots + 1)
        vtable = struct.pack(f"<{2 + slots}H", 4 + 2 * slots, size, *offsets)
        self._pad(_SLOT, len(vtable))
        self.data += vtable
        at = len(self.data)
        self.data += struct.pack("<i", len(vtable)) + bytes(size - 4)
        for number, value in fields.items():
            self._fill(at + offsets[number], value)
        return at

    def _fill(self, position: int, value: Value) -> None:
        if isinstance(value, Scalar):
            struct.pack_into("<" + value.code, self.data, position, value.value)
        else:
            self.point(position, self.table(value) if isinstance(value, Mapping) else self._vector(value))

    def _vector(self, value: NumberVector | bytes | str | Sequence[Fields]) -> int:
        if isinstance(value, NumberVector):
            return self._array(
                len(value.values), struct.pack(f"<{len(value.values)}{value.code}", *value.values)
            )
        if isinstance(value, bytes):
            return self._array(len(value), value)
        if isinstance(value, str):
            return self._array(len(value.encode()), value.encode() + b"\0")
        at = self._array(len(value), bytes(4 * len(value)))
        for index, fields in enumerate(value):
            self.point(at + 4 * (index + 1), self.table(fields))
        return at

    def _array(self, count: int, content: bytes) -> int:
        self._pad(_ALIGNMENT, 4)
        at = len(self.data)
        self.data += struct.pack("<I", count) + content
        return at

    def _pad(self, multiple: int, ahead: int) -> None:
        """Append zeros until the position after `ahead` more bytes is a multiple of `multiple`."""
        self.data += bytes(-(len(self.data) + ahead) % multiple)
