"""Image files and JPEG bytes to arrays and back: the one place that trusts Pillow with foreign bytes."""

from __future__ import annotations

import importlib
import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import PIL.ImageOps

from edge_daemon.errors import ImageError

if TYPE_CHECKING:
    from edge_daemon.types import Image

MAX_PIXELS = 64_000_000
"""Larger pictures are refused by their header, before memory is taken for them."""

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"))
"""The file names (lower case) that a folder is searched for."""

# How files begin, and who reads them. Pillow's other readers start programs (EPS) or parse formats no camera
# writes; of these one is loaded, when a file of its kind comes: all take 20 ms and 3.5 MB at the start.
_READERS = {
    rb"\xff\xd8\xff": "Jpeg",
    rb"\x89PNG\r\n\x1a\n": "Png",
    rb"RIFF....WEBP": "WebP",
    rb"BM": "Bmp",
    rb"GIF8[79]a": "Gif",
    rb"MM[\0*][\0*+]|II[\0*+][\0*]": "Tiff",
    rb"P[0-6fy]": "Ppm",
}
_HEADER_BYTES = 16

# What Pillow's readers raise on bytes that aren't what their header claims.
_UNREADABLE = (
    PIL.Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError,
    TypeError, IndexError, KeyError, OverflowError, AttributeError,
)  # fmt: skip


def read_image(source: str | Path | bytes) -> Image:
    """Read an image file, or the bytes of one, as RGB uint8 HWC, read-only.

    Turned upright by its EXIF orientation; transparency is laid on white; 16-bit grey is scaled to
    8 bits; of an animation the first picture counts. Raises ImageError naming the file.
    """
    name = f"image data of {len(source)} bytes" if isinstance(source, bytes) else str(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size limits and EXIF complaints
            pixels = _decode(io.BytesIO(source) if isinstance(source, bytes) else Path(source))
    except _UNREADABLE as exc:
        raise ImageError(f"{name} {_complaint(exc)}") from exc
    pixels.setflags(write=False)
    return pixels


def encode_jpeg(image: Image, size: int | None = None, quality: int = 85) -> bytes:
    """Encode as JPEG; with `size` the longer side is scaled down to that many pixels, never up."""
    picture = PIL.Image.fromarray(image) if size is None else _thumbnail(image, size)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def shrink(image: Image, size: int) -> Image:
    """Return the read-only picture that `encode_jpeg` makes of it; of that one it makes the same bytes."""
    return np.asarray(_thumbnail(image, size))


def _thumbnail(image: Image, size: int) -> PIL.Image.Image:
    picture = PIL.Image.fromarray(image)
    # Averaging whole blocks first costs a level of 255 and saves a third of the time of a press.
    picture.thumbnail((size, size), PIL.Image.Resampling.BILINEAR, reducing_gap=1.0)
    return picture


def _decode(source: io.BytesIO | Path) -> Image:
    with PIL.Image.open(source, formats=(_format_of(source),)) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise PIL.Image.DecompressionBombError
        picture.load()
        return np.array(_to_rgb(_upright(picture)), dtype=np.uint8)


def _format_of(source: io.BytesIO | Path) -> str:
    """Return Pillow's name of a file's format and have its reader loaded."""
    header = source.getvalue()[:_HEADER_BYTES] if isinstance(source, io.BytesIO) else _header_of(source)
    for beginning, reader in _READERS.items():
        if re.match(beginning, header, re.DOTALL):
            importlib.import_module(f"PIL.{reader}ImagePlugin")
            return reader.upper()
    raise PIL.UnidentifiedImageError


def _header_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADER_BYTES)


def _complaint(error: Exception) -> str:
    match error:
        case PIL.Image.DecompressionBombError():
            return f"has more than {MAX_PIXELS // 1_000_000} megapixels; scale it down"
        case PIL.UnidentifiedImageError():
            return "is not an image this program reads (JPEG, PNG, WebP, BMP, GIF, TIFF)"
        case FileNotFoundError():
            return "does not exist"
        case IsADirectoryError():
            return "is a folder, not an image"
        case PermissionError():
            return "may not be read by this user"
    return f"is damaged: {error}"


def _upright(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Apply the EXIF orientation; a damaged EXIF block costs the turn, not the picture."""
    try:
        return PIL.ImageOps.exif_transpose(picture)
    except _UNREADABLE:
        return picture


def _to_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if picture.mode.startswith("I"):
        # convert() would clip at 255; 16-bit grey comes as "I;16" or, from older Pillows, as "I".
        wide = np.asarray(picture).astype(np.int64)
        return PIL.Image.fromarray((wide.clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if "A" in picture.getbands() or "transparency" in picture.info:
        opaque = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", opaque.size, "white")
        return PIL.Image.alpha_composite(white, opaque).convert("RGB")
    return picture.convert("RGB")
