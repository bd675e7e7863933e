"""The connection to the store's file: transactions, outages of the disk, damaged rows, checkpoints."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_daemon.domain.errors import StoreError
from edge_daemon.example_store.database import connect, connect_memory, mark_damaged
from edge_daemon.example_store.process_lock import StoreLock
from edge_daemon.example_store.record import ContentCheck
from edge_daemon.example_store.recovery import connect_or_recover, connect_or_replace
from edge_daemon.system.disk import disk_refuses
from edge_daemon.system.open_files import OpenFiles
from edge_daemon.system.sqlite import sqlite_errors_of

log = logging.getLogger(__name__)

IDLE_S = 30.0
"""Time without a change after which the journal is folded into the file, so that no press waits for it."""

_NEVER_SEEN = -1


def utc_now() -> datetime:
    """Return the wall clock, timezone-aware."""
    return datetime.now(UTC)


class StoreConnection:
    """An open store. It is in memory while the disk can't be written. Owned by one thread at a time.

    It is closed while another file has its path and can't be opened: each call raises that error. Without
    `create`, a missing file is not made: the store is empty, in memory, and can't be changed. With `recover`,
    one that this user may only read is in memory, too.
    `damaged` has the fault of each example that failed the last check, by id. `file_number` counts the files
    that had the store's path: ids of one mean nothing in the next. Raises StoreError for every failure of
    the file.
    """

    def __init__(
        self, path: Path, busy_s: float, now: Callable[[], datetime], *, recover: bool, create: bool = True
    ) -> None:
        self.path = path
        self.now = now
        self.lock = StoreLock(path)
        self.file_number = 0
        self._busy_s = busy_s
        self._checkpoint = CheckpointTimer()
        self._disk_error: StoreError | None = None
        self._replacement_error: StoreError | None = None
        self._contents = ContentCheck(path)
        if not create and not os.path.exists(path):
            self._connection = connect_memory(None)
        elif recover:
            self._connection, self._disk_error = connect_or_recover(path, busy_s, now, to_read=not create)
        else:
            with sqlite_errors_of(path):
                self._connection = connect(path, busy_s)
        self._check()
        self._files = OpenFiles(path)

    def close(self) -> None:
        """Fold the journal into the file and release it; harmless when closed."""
        self.lock.release()
        self._close_files()

    @property
    def replaced(self) -> bool:
        """True if another file has the store's path since it was opened."""
        return self._disk_error is None and self._files.replaced

    def wait_for_lock(self, busy_s: float) -> None:
        """Set the time that a call waits for another process's lock."""
        self._busy_s = busy_s
        self.query(f"PRAGMA busy_timeout = {round(busy_s * 1000)}")

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        self._require_open()
        with sqlite_errors_of(self.path):
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[bool]:
        """Make the block's changes one commit; an outer transaction includes them in its own.

        The block gets False within an outer transaction.
        """
        self._require_open()
        with sqlite_errors_of(self.path):
            joined = self._connection.in_transaction
        if joined:
            yield False
            return
        self._return_to_disk()
        self._files.check()
        self.query("BEGIN IMMEDIATE")
        try:
            yield True
            self.query("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self.query("ROLLBACK")
            raise

    def checkpoint_if_idle(self, now_s: float) -> None:
        """Fold the journal into the file after 30 s without a change; never waits for a lock.

        `now_s` is monotonic. Raises StoreError, as for a full disk, and then tries again 30 s later: what is
        in the journal is on disk too.
        """
        self._require_open()
        if self._checkpoint.is_due(self._connection.total_changes, now_s):
            try:
                self.query("PRAGMA wal_checkpoint(PASSIVE)")
            except StoreError:
                self._checkpoint.postpone(now_s)
                raise

    def changed_elsewhere(self) -> bool:
        """Return whether another process has changed the store since the last call; reads no file.

        A store in memory moves back to its disk once that can be written, and counts as changed. One that
        was replaced is opened again. Raises StoreError for one that was deleted, or that can't be opened.
        """
        if self._disk_error is not None:
            with suppress(StoreError):
                self._return_to_disk()
        elif self._files.replaced or self._replacement_error is not None:
            self._open_again()
        else:
            self._files.check()
        version = self._read_version()
        changed = version != self._data_version
        if changed:
            self._check()
        return changed

    def _check(self) -> None:
        """Find the damaged examples, which every other query leaves out."""
        self._contents.register(self._connection)
        self._data_version = self._read_version()
        with sqlite_errors_of(self.path):
            self.damaged = mark_damaged(self._connection)

    def _read_version(self) -> int:
        return int(self.query("PRAGMA data_version")[0][0])

    def _return_to_disk(self) -> None:
        """Replace the store in memory by the file. Raises StoreError while the disk can't be written.

        A file that was there before is not made again, as when its disk was removed.
        """
        if self._disk_error is None:
            return
        if self._files.lost:
            self._files.check()
        if disk_refuses(self.path):
            raise self._disk_error.with_traceback(None)  # else it would grow with each call
        connection = connect_or_replace(self.path, self._busy_s, self.now)
        self._connection.close()
        self._connection, self._disk_error = connection, None
        self._use_files()
        log.info("store '%s' is on disk again", self.path)

    def _open_again(self) -> None:
        """Open the file that has replaced this store's. Raises StoreError and then tries again later."""
        if self._files.deleted:
            self._files.check()
        # First closed: a journal that stays behind would be folded into the new file.
        self._close_files()
        try:
            self._connection = connect_or_replace(self.path, self._busy_s, self.now)
        except StoreError as exc:
            self._replacement_error = exc
            raise
        self._replacement_error = None
        self._use_files()
        log.warning("store '%s' was replaced while it was open; the new file is used", self.path)

    def _close_files(self) -> None:
        with sqlite_errors_of(self.path):
            if self._files.moved:  # SQLite folds the journal of a file with another name only if asked
                with suppress(sqlite3.Error):
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()
        with suppress(OSError):
            self._files.remove_left_journals()

    def _require_open(self) -> None:
        if self._replacement_error is not None:
            raise self._replacement_error.with_traceback(None)

    def _use_files(self) -> None:
        """Check the file of a new connection; its examples count as changed."""
        self.file_number += 1
        self._check()
        self._files = OpenFiles(self.path)
        self._data_version = _NEVER_SEEN


class CheckpointTimer:
    """Due once after each series of changes, `IDLE_S` after the last; `changes` is SQLite's total count."""

    def __init__(self) -> None:
        self._seen = self._folded = 0
        self._since_s = 0.0

    def is_due(self, changes: int, now_s: float) -> bool:
        """Return whether to fold the changes into the file now."""
        if changes != self._seen:
            self._seen, self._since_s = changes, now_s
        if self._seen == self._folded or now_s - self._since_s < IDLE_S:
            return False
        self._folded = self._seen
        return True

    def postpone(self, now_s: float) -> None:
        """Make the last checkpoint due again in `IDLE_S`, because it failed."""
        self._folded, self._since_s = _NEVER_SEEN, now_s
