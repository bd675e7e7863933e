"""Writing an export: the file appears complete or not at all, and never in the place of another."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edge_daemon.errors import ArchiveError


@contextmanager
def fresh_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that becomes `path` when the block ends well. Raises ArchiveError."""
    if os.path.lexists(path):
        raise ArchiveError(f"'{path}' exists already; pick another name")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
            part = Path(scratch) / "part"
            with part.open("w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
    except OSError as exc:
        raise ArchiveError(f"can't write '{path}': {exc.strerror}") from exc
