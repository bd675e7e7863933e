"""Files that appear under their name complete or not at all, also after a power cut."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from edge_daemon.domain.errors import OutputError

_MARKED = 512
"""Bytes at the start of a file that are searched for its mark."""


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that becomes `path` when the block ends without an exception. Raises OutputError.

    An existing file is never overwritten. The open file has no name, so that a killed process leaves
    nothing behind.
    """
    _refuse_existing(path)
    try:
        with _open_unnamed(path.parent) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            _link(file.fileno(), path)
    except FileExistsError as exc:
        raise _exists(path) from exc
    except OSError as exc:
        raise OutputError(f"can't write {path}: {exc.strerror}; give another place") from exc


def check_new_file(path: Path) -> None:
    """Raise OutputError for a folder in which no file can be made, before the work that fills the file."""
    folder = path.parent
    try:
        is_there = folder.is_dir()
    except PermissionError as exc:
        raise OutputError(f"can't write {path}: {exc.strerror}; give another place") from exc
    if not is_there:
        raise OutputError(f"can't write {path}: there is no folder {folder}; give another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"can't write {path}: no permission to write in {folder}; give another place")


@contextmanager
def rewritten_file(path: Path, mark: bytes) -> Iterator[BinaryIO]:
    """Open a file as `new_file` does, also in the place of an earlier one of this user that has `mark`.

    The block writes `mark` into the first 512 bytes. Only the name gets another file: a link in its place is
    not followed, and no file is written that has another name or owner. Raises OutputError.
    """
    check_rewritten_file(path, mark)
    try:
        with _open_unnamed(path.parent) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            _put(file.fileno(), path, mark)
    except OSError as exc:
        raise OutputError(f"can't write {path}: {exc.strerror}; give another place") from exc


def check_rewritten_file(path: Path, mark: bytes) -> None:
    """Raise the OutputError of `rewritten_file` before the work that fills the file."""
    _refuse_other(path, mark)
    check_new_file(path)


@contextmanager
def replacing_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when the block ends without an exception. Raises OSError.

    The folder is made if it is missing. A power cut leaves the old file or the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with part.open("wb") as file:
            yield file
            put_in_place(file, part.name, path.name, folder)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(folder)


def put_in_place(file: BinaryIO, name: str, target: str, folder: int) -> None:
    """Write an open file to disk and rename it from `name` to `target` in the open folder."""
    file.flush()
    os.fsync(file.fileno())
    os.replace(name, target, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def sync_directory(directory: Path) -> None:
    """Write a new or renamed entry of `directory` to disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise _exists(path)


def _put(handle: int, path: Path, mark: bytes) -> None:
    """Give an open file without a name the name of an earlier file with `mark`, or a new one."""
    part = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        _link(handle, part)
        _refuse_other(path, mark)  # again: it may have come meanwhile
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _refuse_other(path: Path, mark: bytes) -> None:
    """Raise OutputError for anything at `path` but a regular file of this user with `mark`."""
    if not os.path.lexists(path):
        return
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:  # a link, or another user's file
        raise _exists(path) from exc
    try:
        found = os.fstat(handle)
        is_own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        if not is_own or mark not in os.read(handle, _MARKED):
            raise _exists(path)
    finally:
        os.close(handle)


def _exists(path: Path) -> OutputError:
    return OutputError(f"{path} exists already; give a new name, or remove it first")


def _open_unnamed(folder: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), "w+b")
    except OSError:  # a file system without O_TMPFILE, such as FAT
        import tempfile  # late: the configuration imports this module

        return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))


def _link(handle: int, path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # With a folder's handle Python calls linkat, which follows the link to the open file.
        os.link(f"/proc/self/fd/{handle}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    except FileExistsError:
        raise
    except OSError:
        _copy(handle, path, folder)
    else:
        os.fsync(folder)
    finally:
        os.close(folder)


def _copy(handle: int, path: Path, folder: int) -> None:
    """Copy a file that can't be linked to `path`. Nothing is left of a copy that fails."""
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as copy:
            offset = 0
            while sent := os.sendfile(copy.fileno(), handle, offset, 2**24):
                offset += sent
            put_in_place(copy, part.name, path.name, folder)
    finally:
        part.unlink(missing_ok=True)
