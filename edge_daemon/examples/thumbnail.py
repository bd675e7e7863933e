"""The small picture that stands with each example: to look at, and to embed again with another model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_daemon.vision.images import encode_jpeg

if TYPE_CHECKING:
    from edge_daemon.types import Image

THUMBNAIL_PX = 224
"""The longer side by default: what most image models take in."""

MAX_THUMBNAIL_BYTES = 1_000_000
"""Far above any thumbnail; an imported one beyond it is refused."""

JPEG_START = b"\xff\xd8\xff"
_JFIF_START = b"\xff\xd8\xff\xe0"


def thumbnail_of(content: bytes, image: Image, size: int = THUMBNAIL_PX) -> bytes:
    """Return the thumbnail of an image file's `content` that was read as `image`.

    A file that could have been a thumbnail stays as it is, byte for byte: so one that was exported and
    is imported again is recognised. EXIF may hold a turn or a place, so such a file is encoded anew.
    """
    plain = content.startswith(_JFIF_START) and b"Exif\0" not in content
    if plain and max(image.shape[:2]) <= size and len(content) <= MAX_THUMBNAIL_BYTES:
        return content
    return encode_jpeg(image, size)
