"""Files that a command makes where its user says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edge_daemon.domain.errors import OutputError


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that isn't there yet. Raises OutputError, which names it; nothing is overwritten."""
    try:
        with path.open("xb") as file:
            yield file
    except FileExistsError as exc:
        raise OutputError(f"{path} exists; give a new name, or remove it first") from exc
    except OSError as exc:
        raise OutputError(f"{path} can't be written: {exc.strerror}; give another place") from exc


def check_new(path: Path) -> None:
    """Raise OutputError for a file that `new_file` would refuse, before the work that fills it."""
    if path.exists() or path.is_symlink():
        raise OutputError(f"{path} exists; give a new name, or remove it first")
    if not path.parent.is_dir():
        raise OutputError(f"{path} can't be written: there is no folder {path.parent}; give another place")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path} can't be written: {path.parent} is closed to you; give another place")
