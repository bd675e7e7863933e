"""A zip written front to back and handed out in pieces, so that it is never whole in memory or on disk."""

from __future__ import annotations

import zipfile
from typing import IO

_UNCOMPRESSED, _COMPRESSED = 0, 6
"""Levels of DEFLATE."""


class ZipStream:
    """A zip whose written part is popped while it grows.

    Every entry is in DEFLATE format: in a stream the size follows the content, and some programs can't read
    such an entry in stored format. Every entry has the date 1980-01-01: `zipfile` refuses the earlier date of
    a clock that is not set yet.
    """

    def __init__(self) -> None:
        self._written = _Pieces()
        self._zip = zipfile.ZipFile(self._written, "w", zipfile.ZIP_DEFLATED)

    @property
    def pending_bytes(self) -> int:
        """Bytes written and not popped yet."""
        return self._written.size

    def add(self, name: str, content: bytes, *, compress: bool = True) -> None:
        """Write an entry."""
        with self.entry(name, compress=compress) as file:
            file.write(content)

    def entry(self, name: str, *, compress: bool = True) -> IO[bytes]:
        """Open an entry for writing; one at a time."""
        self._zip.compresslevel = _COMPRESSED if compress else _UNCOMPRESSED
        return self._zip.open(name, "w")

    def close(self) -> None:
        """Write the directory."""
        self._zip.close()

    def pop(self) -> bytes:
        """Return what was written since the last call."""
        return self._written.pop()


class _Pieces:
    """The unseekable file that zipfile writes to."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = 0

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        self.size += len(piece)
        return len(piece)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def pop(self) -> bytes:
        joined = b"".join(self._pieces)
        self._pieces.clear()
        self.size = 0
        return joined
