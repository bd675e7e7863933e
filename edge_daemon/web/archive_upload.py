"""An archive that a browser sends in pieces, and its import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import EdgeError, RequestError
from edge_daemon.example_store.archive import import_archive
from edge_daemon.example_store.second_connection import open_beside
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.web.messages import Message

MAX_ARCHIVE_BYTES = 512 << 20
"""Some 50,000 examples with their pictures."""

_MAX_PROBLEMS = 100
_LEFT_S = 10.0
"""Time without a piece after which another upload may begin."""

KEPT_S = 150.0
"""Time without a piece after which `close_left` removes the file; a browser tries for a minute or two."""


class ArchiveUpload:
    """Keeps one archive at a time, in a file without a name on the store's disk.

    Every call comes from one thread; `space` is the device's embedding space and `now` the monotonic clock.
    Raises RequestError.
    """

    def __init__(self, store_path: Path, space: str, now: Callable[[], float]) -> None:
        self._store_path = store_path
        self._space = space
        self._now = now
        self._written_s = 0.0
        self._file: BinaryIO | None = None
        self._upload = ""

    def write(self, upload: str, offset: int, piece: bytes) -> Message:
        """Append a piece, the first one at offset 0; return the number of bytes so far.

        A sender whose reply was lost sends the last piece again, which replaces it.
        """
        try:
            if offset == 0:
                self._begin(upload)
            file = self._current(upload)
            if offset > file.tell():
                raise RequestError(f"a piece is missing before byte {offset}; start again")
            if offset + len(piece) > MAX_ARCHIVE_BYTES:
                raise RequestError(f"an archive has at most {MAX_ARCHIVE_BYTES >> 20} MiB")
            file.seek(offset)
            file.write(piece)
            file.flush()
        except OSError as exc:
            self.close()
            raise RequestError(f"the archive can't be kept on the device: {exc.strerror}") from exc
        self._written_s = self._now()
        return {"bytes": offset + len(piece)}

    def finish(self, upload: str, name: str) -> Message:
        """Import the archive, `name` to its user: all of its examples or none. One undo takes it back."""
        path = Path(f"/proc/self/fd/{self._current(upload).fileno()}")
        try:
            with open_beside(self._store_path) as store:
                others = self._count_others(store)
                report = import_archive(store, path)
                others = self._count_others(store) - others
        except EdgeError as exc:
            raise RequestError(str(exc).replace(str(path), name)) from exc
        finally:
            self.close()
        problems = list(report.problems[:_MAX_PROBLEMS])
        if others:
            problems.insert(
                0,
                f"{counted(others, 'example')} of another model, which this device does not use; "
                "`edge-daemon examples reembed` embeds them again from their pictures",
            )
        return {"added": report.added, "duplicates": report.duplicates, "problems": problems}

    def _count_others(self, store: ExampleStore) -> int:
        spaces = store.spaces()
        return sum(spaces.values()) - spaces.get(self._space, 0)

    def close_left(self) -> None:
        """Remove the file of an upload that its sender has left, which would occupy the store's disk."""
        if self._now() - self._written_s >= KEPT_S:
            self.close()

    def close(self) -> None:
        """Remove the file; harmless without one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self, upload: str) -> None:
        """Make a new file in place of an upload that is the same, or that its sender has left."""
        if self._file is not None and upload != self._upload and self._now() - self._written_s < _LEFT_S:
            raise RequestError("another archive is being sent; try again when it is complete")
        self.close()
        self._file = TemporaryFile(dir=self._store_path.parent)  # noqa: SIM115
        self._upload = upload

    def _current(self, upload: str) -> BinaryIO:
        if self._file is None or upload != self._upload:
            raise RequestError("the archive is no longer kept here; send it again")
        return self._file
