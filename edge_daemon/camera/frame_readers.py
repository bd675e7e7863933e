"""Readers of frames from files: image sequences, videos, animations and raw frames, chosen by content."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_daemon.board.digits import read_digits
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import CameraError, ImageError
from edge_daemon.system.regular_file import open_regular

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edge_daemon.domain.types import Image
    from edge_daemon.imaging.image_io import Animation

log = logging.getLogger(__name__)

_RAW_START = b"\x93NUMPY"
_RAW_SUFFIX = ".npy"
_JPEG_START = b"\xff\xd8\xff"
# Some cameras pad the buffer behind the end of a picture with zeros.
_NEXT_JPEG = re.compile(rb"\xff\xd9\0*\xff\xd8\xff")
_JPEG_GROUP = b"MPF\0"
_MAX_HEADER_BYTES = 256 << 10
_MAX_JPEG_BYTES = 32 << 20
_MAX_PATH = 4096


class FrameReader(Protocol):
    """Pictures in order, RGB uint8 HWC. `read` returns None at the end; `rewind` starts over."""

    def read(self) -> Image | None: ...
    def rewind(self) -> None: ...
    def close(self) -> None: ...


class ImageSequence:
    """Image files; each is decoded when it is read."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._next = 0

    @property
    def ended(self) -> bool:
        """True after the last picture."""
        return self._next >= len(self._paths)

    def read(self) -> Image | None:
        from edge_daemon.imaging.image_io import read_image

        if self.ended:
            return None
        path = self._paths[self._next]
        self._next += 1
        try:
            return read_image(path)
        except ImageError as exc:
            raise CameraError(str(exc)) from exc

    def rewind(self) -> None:
        self._next = 0

    def close(self) -> None:
        """Do nothing: no file is open between two pictures."""


class _VideoReader:
    """A video file, decoded in another process."""

    def __init__(self, path: Path) -> None:
        from edge_daemon.camera.video_decoder import VideoDecoder

        self._decoder = VideoDecoder(path)
        self._first: Image | None = None
        try:
            self._first = self._decoder.read()
        except CameraError:
            self.close()
            raise

    def read(self) -> Image | None:
        if self._first is not None:
            pixels, self._first = self._first, None
            return pixels
        return self._decoder.read()

    def rewind(self) -> None:
        self._decoder.rewind()

    def close(self) -> None:
        self._decoder.close()


class _AnimationReader:
    """An animated image file."""

    def __init__(self, animation: Animation) -> None:
        self._animation = animation

    def read(self) -> Image | None:
        try:
            return self._animation.read()
        except ImageError as exc:
            raise CameraError(str(exc)) from exc

    def rewind(self) -> None:
        self._animation.rewind()

    def close(self) -> None:
        self._animation.close()


class _RawFrameReader:
    """A numpy file of frames, memory-mapped."""

    def __init__(self, path: Path) -> None:
        self._frames = _map_frames(path)
        self._shown = 0

    def read(self) -> Image | None:
        if self._shown == len(self._frames):
            return None
        self._shown += 1
        frame: Image = self._frames[self._shown - 1]
        return frame

    def rewind(self) -> None:
        self._shown = 0

    def close(self) -> None:
        """Do nothing: the memory map ends with its last reference."""


def _map_frames(path: Path) -> npt.NDArray[np.uint8]:
    """Return the memory-mapped frames of a file, number x height x width x 3. Raises CameraError."""
    import numpy as np

    try:
        frames = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as exc:
        raise CameraError(f"{path} can't be read as raw frames: {' '.join(str(exc).split())}") from exc
    if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or frames.shape[-1] != 3 or 0 in frames.shape:
        raise CameraError(
            f"{path} holds {frames.dtype} of shape {frames.shape}; "
            "raw frames are uint8, (number x) height x width x 3, RGB"
        )
    sequence: npt.NDArray[np.uint8] = frames.reshape(-1, *frames.shape[-3:])
    return sequence


def open_reader(path: Path) -> FrameReader | None:
    """Open a file with several frames, by its content; None for a single picture.

    Raises CameraError and OSError.
    """
    with open_regular(path) as file:
        start = file.read(_MAX_HEADER_BYTES)
    if start.startswith(_JPEG_START):
        return _VideoReader(path) if is_motion_jpeg(path) else None
    if start.startswith(_RAW_START) or path.suffix.lower() == _RAW_SUFFIX:
        return _RawFrameReader(path)
    # Late, as raw frames need no Pillow.
    from edge_daemon.imaging.image_io import is_image, open_animation

    if not is_image(path):
        return _VideoReader(path)
    animation = open_animation(path)
    return _AnimationReader(animation) if animation else None


def is_motion_jpeg(path: Path) -> bool:
    """Return whether a file is a series of JPEG pictures. Raises OSError.

    A photo with a second picture for other displays or for the other eye is none.
    """
    with open_regular(path) as file:
        start = file.read(_MAX_HEADER_BYTES)
        if not start.startswith(_JPEG_START) or _JPEG_GROUP in start:
            return False
        return _NEXT_JPEG.search(start + file.read(_MAX_JPEG_BYTES)) is not None


def open_images(path: Path, recursive: bool) -> ImageSequence:
    """Open the images of a folder in natural order, or one image file. Raises CameraError, OSError."""
    from edge_daemon.imaging.image_files import find_images, first_names

    if not path.is_dir():
        return ImageSequence([path])
    found = find_images(path, recursive=recursive)
    if not found.images:
        hint = "" if recursive else "; `recursive: true` searches its subfolders too"
        raise CameraError(f"{path} holds no images{hint}")
    if files := [other for other in found.others if not other.is_dir()]:
        log.warning("%s: %s skipped (%s)", path, counted(len(files), "other file"), first_names(files))
    return ImageSequence(sorted(found.images, key=_natural_order))


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that puts frame2 before frame10."""
    parts = re.split(r"([0-9]+)", path.as_posix())
    numbers = (read_digits(part, _MAX_PATH) for part in parts)
    return [
        (-1, part) if number is None else (number, "") for part, number in zip(parts, numbers, strict=True)
    ]
