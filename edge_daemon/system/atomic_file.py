"""Writing an export: the file appears complete or not at all, and never in the place of another."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from edge_daemon.domain.errors import ArchiveError


@contextmanager
def fresh_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that becomes `path` when the block ends well. Raises ArchiveError.

    Until then it has no name, so that a process that is killed leaves nothing behind.
    """
    if os.path.lexists(path):
        raise ArchiveError(f"'{path}' exists already; pick another name")
    try:
        with _nameless(path.parent) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            _give_name(file.fileno(), path)
    except FileExistsError as exc:
        raise ArchiveError(f"'{path}' exists already; pick another name") from exc
    except OSError as exc:
        raise ArchiveError(f"can't write '{path}': {exc.strerror}") from exc


def _nameless(folder: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), "w+b")
    except OSError:  # a disk without nameless files, such as a FAT stick
        return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))


def _give_name(handle: int, path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # With a folder's handle Python calls linkat, which follows the link to the open file.
        os.link(f"/proc/self/fd/{handle}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    except FileExistsError:
        raise
    except OSError:
        _copy(handle, path)
    finally:
        os.close(folder)


def _copy(handle: int, path: Path) -> None:
    """Write a file that can get no name again, beside its place and then into it."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with part.open("xb") as copy:
        offset = 0
        while sent := os.sendfile(copy.fileno(), handle, offset, 2**24):
            offset += sent
        os.fsync(copy.fileno())
    part.replace(path)
