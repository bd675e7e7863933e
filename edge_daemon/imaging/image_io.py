"""Decoding and encoding of image files. The only file that passes foreign bytes to Pillow."""

from __future__ import annotations

import importlib
import io
import re
import struct
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import PIL.Image

from edge_daemon.domain.errors import ImageError
from edge_daemon.system.regular_file import open_regular, require_regular

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

    SizeFor: TypeAlias = Callable[[tuple[int, int]], tuple[int, int]]

MAX_PIXELS = 64_000_000
"""Limit of width x height. Larger pictures are refused by their header, before any allocation."""

THUMBNAIL_PX = 224
"""Default length of the longer side: the input size of most image models."""

MAX_THUMBNAIL_BYTES = 1_000_000
"""Largest imported thumbnail; real ones are far smaller."""

JPEG_START = b"\xff\xd8\xff"
_JFIF_START = b"\xff\xd8\xff\xe0"

# First bytes of a file, and Pillow's reader. Its other readers start programs (EPS) or parse formats that no
# camera writes. A reader is loaded with the first file of its format: all together take 20 ms and 3.5 MB.
_READERS = {
    rb"\xff\xd8\xff": "Jpeg",
    rb"\x89PNG\r\n\x1a\n": "Png",
    rb"RIFF....WEBP": "WebP",
    rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0": "Bmp",
    rb"GIF8[79]a": "Gif",
    rb"MM[\0*][\0*+]|II[\0*+][\0*]": "Tiff",
    rb"P[1-6f]\s|P(0CMYK|yCMYK|yRGBA|yP)": "Ppm",
    rb"....ftyp(avi[fs]|m[is]f1.*avi[fs])": "Avif",
    rb"....ftyp(hei[cxms]|hev[cxms]|m[is]f1)": "Heif",
}
_UNSUPPORTED = {
    rb"\xff\x0a|\0\0\0\x0cJXL ": "a JPEG XL picture",
    rb"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
}
HEADER_BYTES = 48
_ANIMATED = frozenset(("GIF", "PNG", "WEBP", "AVIF"))  # several pictures in a TIFF or MPO are no animation

_ORIENTATION = 0x0112
"""EXIF's tag of the orientation."""

_TURNS: Mapping[object, PIL.Image.Transpose] = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""Operations that make a picture upright, by its orientation."""

_QUARTER_TURNS = tuple(_TURNS[orientation] for orientation in (5, 6, 7, 8))

_JPEG_DIVISORS = (8, 4, 2)
"""Divisors of both sides with which libjpeg decodes."""

_SUFFIXES = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".heic",
        ".heif", ".avif", ".jxl", ".jp2",
    )
)  # fmt: skip

# Exceptions of Pillow's readers for damaged files.
_UNREADABLE = (
    PIL.Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError,
    ArithmeticError, AttributeError, RuntimeError, struct.error,
)  # fmt: skip


def read_image(source: str | Path | bytes, name: str = "", max_pixels: int = MAX_PIXELS) -> Image:
    """Read an image file, or the bytes of one called `name`, as RGB uint8 HWC, read-only.

    A picture of more than `max_pixels` is refused. The EXIF orientation is applied; transparency is
    composited on white; 16-bit grey is scaled to 8 bits; of an animation the first picture is read. Raises
    ImageError that names the file.
    """
    name = name or (f"image data of {len(source)} bytes" if isinstance(source, bytes) else str(source))
    return _read(source, name, max_pixels, None)


def read_scaled(content: bytes, name: str, size_for: SizeFor, max_pixels: int = MAX_PIXELS) -> Image:
    """Read the bytes of a picture as `read_image`, at the size that `size_for` returns for its full size.

    Both are width and height of the upright picture. A JPEG is decoded at 1/2, 1/4 or 1/8 where that is
    large enough, which skips a part of the work. Raises ImageError, and what `size_for` raises.
    """
    return _read(content, name, max_pixels, size_for)


def is_image(source: Path | bytes) -> bool:
    """Return whether a file, or its first HEADER_BYTES, begins as a known picture format, readable or not.

    Raises OSError.
    """
    header = source if isinstance(source, bytes) else _header_of(source)
    return any(re.match(start, header, re.DOTALL) for start in (*_READERS, *_UNSUPPORTED))


def named_as_image(path: Path) -> bool:
    """Return whether a file name has the suffix of a picture."""
    return path.suffix.lower() in _SUFFIXES


class Animation:
    """Reader of the pictures of an animated GIF, PNG, WebP or AVIF. Close it when done."""

    def __init__(self, picture: PIL.Image.Image, name: str) -> None:
        self._picture = picture
        self._name = name
        self._next = 0

    def read(self) -> Image | None:
        """Return the next picture, RGB uint8 HWC; None after the last. Raises ImageError."""
        if self._next == getattr(self._picture, "n_frames", 1):
            return None
        self._next += 1
        try:
            self._picture.seek(self._next - 1)
            return np.array(_to_rgb(self._picture), dtype=np.uint8)
        except _UNREADABLE as exc:
            raise ImageError(f"{self._name} {_error_text(exc)}") from exc

    def rewind(self) -> None:
        """Start over."""
        self._next = 0

    def close(self) -> None:
        """Close the file."""
        self._picture.close()


def open_animation(path: Path) -> Animation | None:
    """Open an animated picture file; None for any other file, readable or not."""
    with suppress(*_UNREADABLE), warnings.catch_warnings(), ExitStack() as opened:
        warnings.simplefilter("ignore")
        picture = opened.enter_context(_open(path))
        if picture.format in _ANIMATED and getattr(picture, "n_frames", 1) > 1:
            opened.pop_all()
            return Animation(picture, str(path))
    return None


def encode_jpeg(image: Image, size: int | None = None, quality: int = 85, comment: bytes = b"") -> bytes:
    """Encode as JPEG. `size` limits the longer side in pixels; smaller pictures are not enlarged."""
    picture = PIL.Image.fromarray(image) if size is None else _thumbnail(image, size)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, **({"comment": comment} if comment else {}))
    return buffer.getvalue()


def encode_png(image: Image) -> bytes:
    """Encode without loss, as PNG."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def resize_image(image: Image, size: tuple[int, int]) -> Image:
    """Return the picture scaled to `size`, width and height."""
    return np.asarray(_resized(PIL.Image.fromarray(image), size))


def scale_down(image: Image, size: int) -> Image:
    """Return the picture scaled down as by `encode_jpeg`, read-only; its JPEG has the same bytes."""
    return np.asarray(_thumbnail(image, size))


def _thumbnail(image: Image, size: int) -> PIL.Image.Image:
    picture = PIL.Image.fromarray(image)
    # Averaging whole blocks first changes pixels by one level of 255 and saves a third of a press's time.
    picture.thumbnail((size, size), PIL.Image.Resampling.BILINEAR, reducing_gap=1.0)
    return picture


def _read(source: str | Path | bytes, name: str, max_pixels: int, size_for: SizeFor | None) -> Image:
    file = io.BytesIO(source) if isinstance(source, bytes) else Path(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size limits and EXIF complaints
            pixels = _decode(file, max_pixels, size_for)
    except _UNREADABLE as exc:
        raise ImageError(f"{name} {_error_text(exc, max_pixels)}") from exc
    pixels.setflags(write=False)
    return pixels


def _decode(source: io.BytesIO | Path, max_pixels: int, size_for: SizeFor | None) -> Image:
    with _open(source, max_pixels) as picture:
        size = None
        if size_for is not None:
            size = size_for(_upright_size(picture))
            divisor = next((each for each in _JPEG_DIVISORS if _is_enough(picture.size, each, size)), 1)
            picture.draft(None, (max(picture.width // divisor, 1), max(picture.height // divisor, 1)))
        picture.load()
        whole = _to_rgb(_upright(picture))
        return np.array(whole if size in (None, whole.size) else _resized(whole, size), dtype=np.uint8)


def _is_enough(size: tuple[int, int], divisor: int, wanted: tuple[int, int]) -> bool:
    """Return whether a picture of `size`, upright or not, is as large as `wanted` with its sides divided."""
    divided = sorted(-(-side // divisor) for side in size)
    return all(side >= least for side, least in zip(divided, sorted(wanted), strict=True))


def _resized(picture: PIL.Image.Image, size: tuple[int, int]) -> PIL.Image.Image:
    return picture.resize(size, PIL.Image.Resampling.BILINEAR, reducing_gap=1.0)


def _open(source: io.BytesIO | Path, max_pixels: int = MAX_PIXELS) -> PIL.Image.Image:
    if isinstance(source, Path):
        require_regular(source)
    kind = _format_of(source)
    try:
        picture = PIL.Image.open(source, formats=(kind,))
    except PIL.UnidentifiedImageError as exc:
        raise ValueError(f"it begins as {kind}, and the rest is not") from exc
    if picture.width * picture.height > max_pixels:
        picture.close()
        raise PIL.Image.DecompressionBombError
    return picture


def _format_of(source: io.BytesIO | Path) -> str:
    """Return Pillow's name of a file's format and load its reader."""
    header = source.getvalue()[:HEADER_BYTES] if isinstance(source, io.BytesIO) else _header_of(source)
    for start, reader in _READERS.items():
        if re.match(start, header, re.DOTALL):
            _load_reader(reader)
            return reader.upper()
    for start, name in _UNSUPPORTED.items():
        if re.match(start, header, re.DOTALL):
            raise _UnsupportedFormat(f"is {name}, which this program does not read; save it as JPEG")
    raise PIL.UnidentifiedImageError


class _UnsupportedFormat(PIL.UnidentifiedImageError):
    """A known format without a reader; the text describes the remedy."""


def _load_reader(reader: str) -> None:
    """Load the reader of a format, from Pillow or a plug-in."""
    if reader == "Heif":
        try:
            import pillow_heif
        except ImportError as exc:
            from edge_daemon.system.pip_hint import pip_install

            raise _UnsupportedFormat(
                f"is a HEIC picture; run {pip_install('heic')}, or save it as JPEG"
            ) from exc
        pillow_heif.register_heif_opener()
        return
    try:
        plugin = importlib.import_module(f"PIL.{reader}ImagePlugin")
    except ImportError:
        plugin = None
    if plugin is None or not getattr(plugin, "SUPPORTED", True):
        raise _UnsupportedFormat("is an AVIF picture, which needs Pillow 11.3 or later; save it as JPEG")


def _header_of(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(HEADER_BYTES)


def _error_text(error: Exception, max_pixels: int = MAX_PIXELS) -> str:
    match error:
        case PIL.Image.DecompressionBombError():
            return f"has more than {max_pixels // 1_000_000} megapixels; scale it down"
        case _UnsupportedFormat():
            return str(error)
        case PIL.UnidentifiedImageError():
            return "is not an image this program reads (JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, HEIC)"
        case FileNotFoundError():
            return "does not exist"
        case IsADirectoryError():
            return "is a folder, not an image; name the pictures in it"
        case PermissionError():
            return "may not be read by this user"
        case OSError(errno=number, strerror=text) if number is not None:
            return f"can't be read: {text}"
    return f"is damaged: {' '.join(str(error).split())}"


def _turn_of(picture: PIL.Image.Image) -> PIL.Image.Transpose | None:
    """Return what the EXIF orientation asks for. A damaged EXIF block is ignored."""
    try:
        return _TURNS.get(picture.getexif().get(_ORIENTATION))
    except _UNREADABLE:
        return None


def _upright_size(picture: PIL.Image.Image) -> tuple[int, int]:
    """Return width and height after the EXIF orientation."""
    size = picture.size
    return (size[1], size[0]) if _turn_of(picture) in _QUARTER_TURNS else size


def _upright(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Apply the EXIF orientation."""
    turn = _turn_of(picture)
    return picture if turn is None else picture.transpose(turn)


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
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def thumbnail_of(content: bytes, image: Image, size: int = THUMBNAIL_PX) -> bytes:
    """Return the thumbnail of an image file's `content`, which was read as `image`.

    A file with a thumbnail's size and format is returned unchanged, so that an exported thumbnail is
    recognised at its import. A file with EXIF, which may hold an orientation or a location, is encoded again.
    """
    plain = content.startswith(_JFIF_START) and b"Exif\0" not in content
    if plain and max(image.shape[:2]) <= size and len(content) <= MAX_THUMBNAIL_BYTES:
        return content
    return encode_jpeg(image, size)
