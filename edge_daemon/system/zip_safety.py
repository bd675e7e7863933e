"""Checks that refuse hostile zip archives before their content is read, and the names in a zip."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path

from edge_daemon.domain.errors import ArchiveError

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OverflowError,  # an offset beyond every file
    UnicodeDecodeError,  # a name that is not in the encoding it claims
    NotImplementedError,  # a compression this Python lacks
)
"""Exceptions of Python for a zip whose content does not match its directory."""

MAX_UNPACKED_BYTES = 2 * 1024**3
_MAX_DIRECTORY_BYTES = 16 * 1024**2  # of the names; far above what 50,000 examples need
_SYMLINK, _FILE_TYPE = 0o120000, 0o170000
_UTF8 = 0x800
_WINDOWS = 0

_END = struct.Struct("<4s4H2LH")  # end of central directory (APPNOTE.TXT 4.3.16); [5] is the directory's size
_MAX_COMMENT = 0xFFFF
_ZIP64_LOCATOR = b"PK\x06\x07"


def check_directory_size(path: Path) -> None:
    """Raise ArchiveError for a zip whose directory would fill the memory: Python reads it whole.

    ZIP64 directories, for more than 65,535 entries or 4 GiB, are refused too.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END.size - _MAX_COMMENT - 20))
        tail = file.read()
    start = tail.rfind(b"PK\x05\x06")
    if start < 0 or len(tail) - start < _END.size:
        raise ArchiveError("it is no zip, or its end is missing")
    if _END.unpack_from(tail, start)[5] > _MAX_DIRECTORY_BYTES or _ZIP64_LOCATOR in tail[:start]:
        raise ArchiveError("it holds too many files")


def read_entry(archive: zipfile.ZipFile, name: str, count: int) -> bytes:
    """Return the first bytes of an entry. Raises `DAMAGED`, KeyError, RuntimeError for an encrypted entry."""
    try:
        with archive.open(name) as file:
            return file.read(count)
    except ValueError as exc:  # an offset beyond every file
        raise zipfile.BadZipFile(str(exc)) from exc


def entry_path(info: zipfile.ZipInfo) -> str:
    """Return an entry's name as its user knows it, with slashes.

    `zip` and macOS write UTF-8 without its flag, and Python reads that as code page 437; Windows PowerShell
    writes backslashes. On other systems a backslash is a character of the name.
    """
    name = info.filename
    if not info.flag_bits & _UTF8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name.replace("\\", "/") if info.create_system == _WINDOWS else name


class ZipByPath(zipfile.ZipFile):
    """A zip that is read by the paths of its entries, see `entry_path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.entries = {entry_path(info): info for info in self.infolist()}

    def getinfo(self, name: str) -> zipfile.ZipInfo:
        """Return the entry with a path. Raises KeyError."""
        return self.entries[name]


def leaves_archive(info: zipfile.ZipInfo) -> bool:
    """Return whether an entry's name points outside the folder that it would be unpacked to."""
    path = entry_path(info).replace("\\", "/")
    return path.startswith("/") or ".." in path.split("/") or re.match("[A-Za-z]:", path) is not None


def check_entries(archive: zipfile.ZipFile) -> None:
    """Raise ArchiveError for entries outside the archive, links, encrypted or repeated entries, zip bombs."""
    infos = archive.infolist()
    for info in infos:
        if reason := _hostile(info, archive.start_dir):
            raise ArchiveError(f"entry {info.filename!r} {reason}")
    name, times = Counter(map(entry_path, infos)).most_common(1)[0] if infos else ("", 0)
    if times > 1:
        raise ArchiveError(f"entry {name!r} is in it {times} times")
    if sum(info.file_size for info in infos) > MAX_UNPACKED_BYTES:
        raise ArchiveError(f"it unpacks to more than {MAX_UNPACKED_BYTES >> 20} MiB")


def _hostile(info: zipfile.ZipInfo, end: int) -> str | None:
    if not 0 <= info.header_offset < end:
        return "lies outside the file"
    if leaves_archive(info):
        return "points outside the archive"
    if info.external_attr >> 16 & _FILE_TYPE == _SYMLINK:
        return "is a symbolic link"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in a way this program doesn't read"
    return None
