"""The picture files of a folder: known by their content, without what systems hide in it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.imaging.image_io import is_image, named_as_image

# Besides names that begin with a dot: macOS, Synology, QNAP, Windows, ext4, Python.
_SYSTEM = frozenset(
    (
        "__macosx", "@eadir", "@recycle", "@__thumb", "@tmp", "#recycle", "#snapshot", "$recycle.bin",
        "recycler", "system volume information", "lost+found", "__pycache__", "thumbs.db", "desktop.ini",
    )
)  # fmt: skip
_NAMED = 3  # of the files that are passed over


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name belongs to a system, not to its user."""
    return name.startswith(".") or name.casefold() in _SYSTEM


@dataclass(frozen=True, slots=True)
class FolderContent:
    """The pictures of a folder, and the other entries in it, hidden ones apart; both by name."""

    images: tuple[Path, ...]
    others: tuple[Path, ...]


def find_images(folder: Path, *, recursive: bool = False) -> FolderContent:
    """Return the pictures of a folder, with files that only their names say are pictures. Raises OSError.

    A picture that can't be read is thus found, and named when it is read.
    """
    entries = sorted(_entries(folder, recursive))
    images = tuple(path for path in entries if path.is_file() and _is_wanted(path))
    known = frozenset(images)
    return FolderContent(images, tuple(path for path in entries if path not in known))


def named(paths: Iterable[Path]) -> str:
    """Return the first few names of some files, for a message."""
    names = [path.name for path in paths]
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _is_wanted(path: Path) -> bool:
    try:
        return named_as_image(path) or is_image(path)
    except OSError:
        return False


def _entries(folder: Path, recursive: bool) -> Iterator[Path]:
    if not recursive:
        yield from (path for path in folder.iterdir() if not is_hidden(path.name))
        return
    os.stat(folder)
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (Path(root, name) for name in files if not is_hidden(name))
