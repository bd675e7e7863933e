"""Reading of files that users name: no pipe, socket or device, a size limit, no byte-order mark."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

_MAX_UNDECLARED = 1 << 16  # a file of /proc has the size 0


def require_regular(path: Path) -> None:
    """Raise OSError for a pipe, socket or device, without opening it: reading could block or never end."""
    kind = _SPECIAL.get(stat.S_IFMT(os.stat(path).st_mode))
    if kind is not None:
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises OSError, at once for a pipe, socket or device."""
    require_regular(path)
    return path.open("rb")


def read_regular(path: Path, limit: int) -> bytes:
    """Return a regular file's content. Raises OSError, also when it has more than `limit` bytes."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= limit:
            content = file.read(size)  # `read` allocates the size that it is given
            content += file.read(_MAX_UNDECLARED)
            size = len(content)
    if size > limit:
        raise OSError(errno.EFBIG, f"it has {_shown(size)}; at most {_shown(limit)}", str(path))
    return content


def _shown(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 10 << 20 else f"{size} bytes"


def without_bom(content: bytes) -> bytes:
    """Return text as UTF-8 without a byte-order mark; text with a mark of UTF-16 is decoded.

    Raises UnicodeDecodeError for text that is not in the encoding of its mark.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16").encode()
    return content.removeprefix(codecs.BOM_UTF8)
