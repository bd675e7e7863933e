"""Write FlatBuffers tables by field number: the counterpart of `flatbuffer`, for small graphs of our own.

Format: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

_SLOT = 8
"""Every field gets as much room as the widest scalar, which keeps all of them aligned."""

_ALIGNED = 16
"""Vectors begin at such a multiple: TFLite reads constants in place."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number of struct code `code`."""

    code: str
    value: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """A vector of numbers of struct code `code`."""

    code: str
    values: Sequence[float]


Fields: TypeAlias = Mapping[int, "Value"]
"""A table: its fields by number."""

Value: TypeAlias = Scalar | Numbers | bytes | Fields | Sequence[Fields]


def write(root: Fields, identifier: bytes) -> bytes:
    """Return a file whose root is that table; `identifier` are its bytes 4 to 8."""
    writer = _Writer(bytearray(4) + identifier)
    writer.point(0, writer.table(root))
    return bytes(writer.data)


@dataclass(slots=True)
class _Writer:
    """Lays each table down and its children behind it, as offsets can only lead on."""

    data: bytearray = field(default_factory=bytearray)

    def point(self, place: int, at: int) -> None:
        struct.pack_into("<I", self.data, place, at - place)

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

    def _fill(self, place: int, value: Value) -> None:
        if isinstance(value, Scalar):
            struct.pack_into("<" + value.code, self.data, place, value.value)
        else:
            self.point(place, self.table(value) if isinstance(value, Mapping) else self._vector(value))

    def _vector(self, value: Numbers | bytes | Sequence[Fields]) -> int:
        if isinstance(value, Numbers):
            return self._array(
                len(value.values), struct.pack(f"<{len(value.values)}{value.code}", *value.values)
            )
        if isinstance(value, bytes):
            return self._array(len(value), value)
        at = self._array(len(value), bytes(4 * len(value)))
        for index, fields in enumerate(value):
            self.point(at + 4 * (index + 1), self.table(fields))
        return at

    def _array(self, count: int, content: bytes) -> int:
        self._pad(_ALIGNED, 4)
        at = len(self.data)
        self.data += struct.pack("<I", count) + content
        return at

    def _pad(self, multiple: int, ahead: int) -> None:
        """Fill up so that what follows after `ahead` bytes begins at a multiple."""
        self.data += bytes(-(len(self.data) + ahead) % multiple)
