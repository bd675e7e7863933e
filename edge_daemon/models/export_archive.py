"""Safe reader of an exported model: a zip archive, a folder or a single file.

An archive is never unpacked: its members are read one by one, up to a size limit. An archive with links or
with names that point outside is refused all the same, since real exports have none.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_daemon.domain.errors import ArchiveError
from edge_daemon.imaging.image_files import is_hidden
from edge_daemon.system.regular_file import open_regular
from edge_daemon.system.zip_safety import DAMAGED, entry_path, leaves_archive, read_entry

MAX_ENTRIES = 1000
TFLITE_MARK = b"TFL3"
"""The bytes 4 to 8 of every TFLite file."""

UNREADABLE = (*DAMAGED, OSError, RuntimeError)  # RuntimeError: an encrypted member
"""Exceptions from reading a damaged or hostile zip archive."""


@dataclass(frozen=True, slots=True)
class Export:
    """The names of an export's files, and a reader of a file's first bytes."""

    source: Path
    names: tuple[str, ...]
    _reader: Callable[[str, int], bytes]

    def read(self, name: str, limit: int) -> bytes:
        """Return a file's content. Raises ArchiveError if it is damaged or larger than `limit` bytes."""
        try:
            content = self._reader(name, limit + 1)
        except UNREADABLE as exc:
            raise ArchiveError(f"{self.source}, {name}: can't be read ({exc})") from exc
        if len(content) > limit:
            raise ArchiveError(f"{self.source}, {name}: has more than {limit >> 20} MiB when unpacked")
        return content


def open_export(source: Path) -> Export:
    """Open a zip archive, a folder or a single file. Raises ArchiveError."""
    if source.is_dir():
        return _folder(source)
    try:
        with open_regular(source) as file:
            start = file.read(8)
    except FileNotFoundError as exc:
        raise ArchiveError(f"{source}: no such file or folder") from exc
    except OSError as exc:
        raise ArchiveError(f"{source}: can't be read ({exc.strerror})") from exc
    # A TFLite file with metadata ends in a zip archive too.
    if start[4:] != TFLITE_MARK and zipfile.is_zipfile(source):
        return _archive(source)
    return Export(source, (source.name,), lambda name, count: _read_file(source, count))


def _folder(source: Path) -> Export:
    try:
        entries = [path for path in sorted(source.iterdir()) if _is_wanted(path)]
    except OSError as exc:
        raise ArchiveError(f"{source}: can't be read ({exc.strerror})") from exc
    names = tuple(path.name for path in entries)
    return Export(source, names, lambda name, count: _read_file(source / name, count))


def _is_wanted(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and not is_hidden(path.name)


def _read_file(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _archive(source: Path) -> Export:
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
    except (*UNREADABLE, ValueError) as exc:
        raise ArchiveError(f"{source}: a damaged zip archive ({exc})") from exc
    if len(entries) > MAX_ENTRIES:
        raise ArchiveError(f"{source}: holds {len(entries)} files; an export has a few")
    for entry in entries:
        _refuse_hostile(source, entry)
    paths = {entry_path(entry): entry.filename for entry in entries}
    names = tuple(path for path in paths if not path.endswith("/") and not _is_hidden(path))
    return Export(source, names, lambda name, count: _read_member(source, paths[name], count))


def _is_hidden(path: str) -> bool:
    return any(is_hidden(part) for part in PurePosixPath(path).parts)


def _refuse_hostile(source: Path, entry: zipfile.ZipInfo) -> None:
    if leaves_archive(entry):
        raise ArchiveError(f"{source}: holds a file outside itself ({entry.filename!r}); it is not an export")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ArchiveError(f"{source}: holds a link ({entry.filename!r}); it is not an export")
    if entry.flag_bits & 1:
        raise ArchiveError(f"{source}: is encrypted; unpack it and add the folder")


def _read_member(source: Path, name: str, count: int) -> bytes:
    with zipfile.ZipFile(source) as archive:
        return read_entry(archive, name, count)
