"""The lock of a store's daemon: a file beside the store with the number of the process that has it."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from edge_daemon.board.digits import read_digits


class StoreLock:
    """Held until `release` or the end of the process. Locks of one process, as in a reload, share it."""

    def __init__(self, path: Path) -> None:
        self._store = path
        self._path = Path(f"{path}.lock")
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """True while this lock is held."""
        return self._handle is not None

    def acquire(self) -> int | None:
        """Take the lock if it is free; return the number of another process that holds it.

        A lock file that can't be made, as on a read-only disk, is no error and leaves the lock free.
        """
        if self.held:
            return None
        handle = _open(self._path)
        if handle is None:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.write(handle, b"%d\n" % os.getpid())
            if os.geteuid() == 0:  # root must not lock the service's own user out
                owner = self._store.stat()
                os.fchown(handle, owner.st_uid, owner.st_gid)
        except BlockingIOError:
            process = _read_process(handle)
            os.close(handle)
            return None if process == os.getpid() else process
        except OSError:
            pass  # no room for the number; the lock itself needs none
        self._handle = handle
        return None

    def release(self) -> None:
        """Free the lock; harmless when not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _open(path: Path) -> int | None:
    """Open or make the lock file; None for a link that the folder's owner may have planted for root."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError:
        return None
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return handle
    os.close(handle)
    return None


def _read_process(handle: int) -> int:
    words = os.pread(handle, 32, 0).decode("ascii", "replace").split()
    return (read_digits(words[0]) if words else None) or 0
