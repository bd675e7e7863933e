"""Test of a disk: can it be written? And the folder for large temporary files."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_daemon.domain.errors import OutputError

_TRIAL_BYTES = 1_000_000
"""SQLite needs far less."""

_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def disk_refuses(path: Path) -> bool:
    """Return whether the disk at `path` is full, failing or read-only, by writing beside the file itself.

    Of a link that is the file which it leads to.
    """
    folder = next(parent for parent in Path(os.path.realpath(path)).parents if os.path.isdir(parent))
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_TRIAL_BYTES))
            file.flush()
    except OSError as exc:
        return exc.errno in _REFUSES
    return False


def disk_folder() -> str:
    """Return the folder for large temporary files: on disk, since a small board's /tmp may be in memory."""
    places = (os.environ.get("TMPDIR"), "/var/tmp")
    return next((each for each in places if each and os.path.isdir(each)), tempfile.gettempdir())


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a private folder for large files in `disk_folder`, removed at the end. Raises OutputError."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="edge-daemon-", dir=disk_folder())
    except OSError as exc:
        raise OutputError(
            f"{disk_folder()}: can't be written: {exc.strerror}; point $TMPDIR at another folder"
        ) from exc
    with folder as name:
        yield Path(name)
