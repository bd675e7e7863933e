"""The page's own files, read once at the start and served by name, never by a path on the disk.

Not starlette's StaticFiles, which is no shorter to use: it needs a subclass for Cache-Control, makes the
ETag of the file's modification time, and reads the disk in another thread for each request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """The content of a file, its media type, and the hash of the content as ETag."""

    content: bytes
    media_type: str
    etag: str


def etag_of(content: bytes) -> str:
    """Return the strong ETag of some content."""
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def read_static_files() -> Mapping[str, StaticFile]:
    """Return every file of `static/` by its name."""
    folder = resources.files("edge_daemon.web") / "static"
    found = {}
    for entry in folder.iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        if suffix in _TYPES:
            content = entry.read_bytes()
            found[entry.name] = StaticFile(content, _TYPES[suffix], etag_of(content))
    return found
