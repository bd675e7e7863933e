"""Search for picture files in a folder, by their content; hidden system files are skipped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.imaging.image_io import is_image, named_as_image

# Besides names that begin with a dot: macOS, Synology, QNAP, Windows, ext4, Android, Python.
_SYSTEM = frozenset(
    (
        "__macosx", "network trash folder", "temporary items", "@eadir", "@tmp", "#recycle", "#snapshot",
        "@recycle", "@__thumb", "@recently-snapshot", "$recycle.bin", "recycler", "recycled",
        "system volume information", "found.000", "thumbs.db", "ehthumbs.db", "desktop.ini", "lost+found",
        "lost.dir", "__pycache__",
    )
)  # fmt: skip
_MAX_NAMED = 3  # skipped files in a message


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name belongs to an operating system, not to its user."""
    return name.startswith(".") or name.casefold() in _SYSTEM


@dataclass(frozen=True, slots=True)
class FolderContent:
    """The pictures of a folder and its other entries, sorted by name; hidden entries are left out."""

    images: tuple[Path, ...]
    others: tuple[Path, ...]


def find_images(folder: Path, *, recursive: bool = False) -> FolderContent:
    """Return the files of a folder that are pictures by content or by name. Raises OSError.

    A damaged picture is thus included, and its reader reports it.
    """
    entries = sorted(_entries(folder, recursive))
    images = tuple(path for path in entries if path.is_file() and _is_wanted(path))
    known = frozenset(images)
    return FolderContent(images, tuple(path for path in entries if path not in known))


def first_names(paths: Iterable[Path]) -> str:
    """Return the first few file names, for a message."""
    names = [path.name for path in paths]
    return ", ".join(names[:_MAX_NAMED]) + (", …" if len(names) > _MAX_NAMED else "")


def _is_wanted(path: Path) -> bool:
    try:
        return named_as_image(path) or is_image(path)
    except OSError:
        return False


def _entries(folder: Path, recursive: bool) -> Iterator[Path]:
    if not recursive:
        yield from (path for path in folder.iterdir() if not is_hidden(path.name))
        return
    os.scandir(folder).close()  # os.walk would pass over its OSError
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (Path(root, name) for name in files if not is_hidden(name))
