"""Records packed into a few messages, so that a changed example rewrites only one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

CHUNK_BYTES = 16_384
"""Size limit of a chunk, unless a single record is longer: about 11 examples of 1,280 numbers."""

MAX_CHUNK_BYTES = 65_536
_FRAME_BYTES = 5
_MAX_RECORDS = 1000  # a signed record has at least 60 bytes
_RECORDS: msgspec.msgpack.Decoder[list[bytes]] = msgspec.msgpack.Decoder(
    Annotated[list[bytes], msgspec.Meta(max_length=_MAX_RECORDS)]
)


class Chunks:
    """Keeps each record in a numbered chunk of at most `limit` bytes. Pure; one owning thread.

    First-fit placement: the number of chunks is bounded by the peak number of records.
    """

    def __init__(self, limit: int = CHUNK_BYTES) -> None:
        self._limit = limit
        self._chunks: list[dict[int, bytes]] = []
        self._sizes: list[int] = []
        self._chunk_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._chunks)

    def update(self, records: Mapping[int, bytes]) -> set[int]:
        """Replace the content by these records, by number; return the chunks that changed."""
        removed = self._chunk_of.keys() - records.keys()
        return {self._remove(number) for number in removed} | {
            self._add(number, record) for number, record in records.items() if number not in self._chunk_of
        }

    def payload(self, chunk: int) -> bytes:
        """Return a chunk as sent; an empty chunk is an empty payload."""
        records = self._chunks[chunk]
        return msgspec.msgpack.encode(list(records.values())) if records else b""

    def _add(self, number: int, record: bytes) -> int:
        size = len(record) + _FRAME_BYTES
        fitting = (each for each, used in enumerate(self._sizes) if not used or used + size <= self._limit)
        chunk = next(fitting, len(self._chunks))
        if chunk == len(self._chunks):
            self._chunks.append({})
            self._sizes.append(0)
        self._chunks[chunk][number] = record
        self._sizes[chunk] += size
        self._chunk_of[number] = chunk
        return chunk

    def _remove(self, number: int) -> int:
        chunk = self._chunk_of.pop(number)
        self._sizes[chunk] -= len(self._chunks[chunk].pop(number)) + _FRAME_BYTES
        return chunk


def pack_records(records: Sequence[bytes]) -> bytes:
    """Return records as one chunk."""
    return msgspec.msgpack.encode(list(records))


def unpack_records(payload: bytes) -> list[bytes] | None:
    """Return the records of a chunk; None for bytes that are no chunk."""
    if len(payload) > MAX_CHUNK_BYTES:
        return None
    try:
        return _RECORDS.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return None
