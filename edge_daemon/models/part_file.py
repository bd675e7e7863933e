"""A file that is written under a temporary name in the model folder and put in place atomically."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from contextlib import suppress
from io import BufferedRandom
from pathlib import Path
from types import TracebackType

from edge_daemon.domain.errors import ModelError
from edge_daemon.system.atomic_file import put_in_place
from edge_daemon.system.file_owner import as_owner_of, user_name

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.EACCES)
"""Errors from opening a link, a socket or another user's file."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


class PartFile:
    """The file `<target>.part`, with the content of an earlier attempt; a context manager.

    `file` is open for reading and appending, and locked. A link, a pipe, another user's file and a file
    with a second hard link are removed, not used: any user with write access to the folder could have put
    them there. Root works with the rights of the folder's owner. Raises ModelError when another process
    writes the same file, OSError when it can't be written. The part is kept after an error if it `resumes`,
    but not after that of a full disk: the disk would stay full, and the examples may be on it.
    """

    file: BufferedRandom

    def __init__(self, target: Path, *, resumes: bool = True) -> None:
        self._target = target
        self._resumes = resumes
        self._name = f"{target.name}.part"
        self._folder = -1

    def __enter__(self) -> PartFile:
        folder = self._target.parent
        with as_owner_of(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._open_file()
                self._lock()
            except BaseException:
                os.close(self._folder)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with suppress(OSError):  # close() raises it again
                self.file.flush()
            is_empty = os.fstat(self.file.fileno()).st_size == 0
            is_unwanted = is_empty or not self._resumes or _is_full_disk(value)
            if is_unwanted and self._is_named():
                with as_owner_of(self._target.parent):
                    os.unlink(self._name, dir_fd=self._folder)
        finally:
            os.close(self._folder)
            self.file.close()

    def put_in_place(self) -> None:
        """Rename the file to the target. An existing target is replaced."""
        with as_owner_of(self._target.parent):
            put_in_place(self.file, self._name, self._target.name, self._folder)

    def _open_file(self) -> None:
        try:
            found = _open(self._folder, self._name)
        except PermissionError as exc:
            raise _no_permission(self._target.parent) from exc
        self.file = os.fdopen(found, "ab+")

    def _lock(self) -> None:
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            busy = True
        else:
            busy = not self._is_named()  # another process renamed it between our open and lock
        if busy:
            self.file.close()
            raise ModelError(f"{self._name} is being written by another process")

    def _is_named(self) -> bool:
        """Return whether the name in the folder still refers to the open file."""
        with suppress(FileNotFoundError):
            named = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
            return os.path.samestat(named, os.fstat(self.file.fileno()))
        return False


def check_model_folder(folder: Path) -> None:
    """Make the model folder if it is missing, and a file without a name in it.

    Raises the ModelError of `PartFile` for a folder that can't be written, before the work that fills a file.
    """
    with as_owner_of(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ModelError(f"{folder}: can't be made: {exc.strerror}") from exc
        try:
            with tempfile.TemporaryFile(dir=folder):
                return
        except PermissionError as exc:
            raise _no_permission(folder) from exc
        except OSError as exc:
            raise ModelError(f"{folder}: can't be written: {exc.strerror}") from exc


def _no_permission(folder: Path) -> ModelError:
    user = user_name()
    for_owner = os.getuid() == 0 and f"`chown {user}: {folder}` allows it"
    way_out = for_owner or "point $EDGE_DAEMON_MODELS at a folder of yours"
    return ModelError(f"{folder}: {user} may not write there; {way_out}")


def _is_full_disk(error: BaseException | None) -> bool:
    """Return whether a full disk or quota is the error, or its cause."""
    causes = (error, error.__cause__ if error else None)
    return any(isinstance(each, OSError) and each.errno in _FULL for each in causes)


def _open(folder: int, name: str) -> int:
    """Open the regular file of this name that only this user owns, else create one."""
    with suppress(FileNotFoundError):
        try:
            found = os.open(name, _FLAGS, dir_fd=folder)
        except OSError as exc:
            if exc.errno not in _NO_FILE:
                raise
        else:
            if _is_ours(os.fstat(found)):
                return found
            os.close(found)
        os.unlink(name, dir_fd=folder)
    return os.open(name, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)


def _is_ours(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid()
