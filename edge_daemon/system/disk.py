"""Whether a disk takes what is written to it."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

_ROOM = 1_000_000
"""Bytes that must be writable: SQLite asks for far less."""

_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def disk_refuses(path: Path) -> bool:
    """Return whether the disk at `path` is full, failing or read-only, by writing beside it."""
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_ROOM))
            file.flush()
    except OSError as exc:
        return exc.errno in _REFUSES
    return False
