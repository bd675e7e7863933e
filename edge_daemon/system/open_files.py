"""Detection of a database that was deleted or replaced while it is open: the store, or the MQTT queue.

The system keeps an open file that has no name any more: changes would succeed and be gone at the next start.
A journal that stays behind would be folded into the file that took the name.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge_daemon.system.sqlite import LockedStoreError, with_journals

_Identity = tuple[int, int]
"""Device and inode."""


class MovedStoreError(LockedStoreError):
    """The file at the store's path is another one, or none; a later call may succeed."""


class OpenFiles:
    """The files of an open database: the one at `path`, and its journals."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._identities = {each: found for each in with_journals(self._path) if (found := _identity(each))}

    @property
    def deleted(self) -> bool:
        """True while there is no file at the path."""
        try:
            os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            pass
        return False

    @property
    def lost(self) -> bool:
        """True while there is no file at the path, though there was one."""
        return self.deleted and self._path in self._identities

    @property
    def replaced(self) -> bool:
        """True if another file is at the path."""
        found = _identity(self._path)
        return found is not None and found != self._identities.get(self._path)

    @property
    def moved(self) -> bool:
        """True while changes do not reach the file at the path."""
        return self.deleted or self.replaced

    def check(self) -> None:
        """Raise MovedStoreError if a change of the store would not reach the file at its path."""
        if self.replaced:
            raise MovedStoreError(
                f"store '{self._path}' was replaced while it was open; it is read again within seconds"
            )
        if self.deleted:
            raise MovedStoreError(
                f"store '{self._path}' was deleted, or its disk was removed, while it was open; "
                "put it back, or restart to begin an empty one"
            )

    def remove_left_journals(self) -> None:
        """Delete the journals of a database that has no name any more; an open one keeps its own."""
        if not self.moved:
            return
        for journal in with_journals(self._path)[1:]:
            if (found := _identity(journal)) is not None and found == self._identities.get(journal):
                journal.unlink()


def _identity(path: Path) -> _Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
