"""An image, a folder of images, a video or raw frames in a camera's place; known by their content."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_daemon.camera.frames import FramePacer, make_frame
from edge_daemon.config.camera import ReplayOptions
from edge_daemon.domain.errors import CameraError, DecoderCrashError, ImageError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame
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
# Some cameras fill up a buffer behind the end of a picture.
_NEXT_JPEG = re.compile(rb"\xff\xd9\0*\xff\xd8\xff")
_JPEG_GROUP = b"MPF\0"
_MAX_HEADER_BYTES = 256 << 10
_MAX_JPEG_BYTES = 32 << 20


class _FrameIterator(Protocol):
    """Pictures in their order; `next` returns None at the end, `rewind` starts over."""

    def next(self) -> Image | None: ...
    def rewind(self) -> None: ...
    def close(self) -> None: ...


class ReplaySource:
    """Frames from files; fulfils interfaces.FrameSource. Lossless when no rate is set.

    A file that can't be read raises CameraError naming it; reading on shows the next one. Opened
    again before its end, a folder goes on where it was; a video or raw frames start over.
    """

    def __init__(
        self, options: ReplayOptions, clock: Clock, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.lossless = options.fps is None
        self._options = options
        self._clock = clock
        self._pace = FramePacer(options.fps, clock, sleep)
        self._reel: _FrameIterator | None = None
        self._stills: _Stills | None = None
        self._next_seq = 0
        self._crash: tuple[int, DecoderCrashError] | None = None

    def open(self) -> None:
        """Find the files. Raises CameraError when there are none, or the video can't be decoded."""
        if self._reel is not None:
            return
        path = Path(self._options.path)
        if not path.exists():
            raise CameraError(f"{path} does not exist; camera.path must name an image, a folder or a video")
        try:
            self._refuse_crashing(path)
            self._reel = (None if path.is_dir() else _open_film(path)) or self._open_stills(path)
        except DecoderCrashError as exc:
            self._note_crash(exc)
            raise
        except OSError as exc:
            raise CameraError(f"{exc.filename or path} can't be read: {exc.strerror}") from exc

    def _refuse_crashing(self, path: Path) -> None:
        """Raise a film's crash again as long as its file is the same, instead of another crash a second."""
        if self._crash is not None and self._crash[0] == path.stat().st_mtime_ns:
            raise CameraError(str(self._crash[1]))

    def _note_crash(self, exc: DecoderCrashError) -> None:
        self._crash = (Path(self._options.path).stat().st_mtime_ns, exc)

    def _open_stills(self, path: Path) -> _Stills:
        if self._stills is None or self._stills.ended:
            self._stills = _Stills(_find_images(path, self._options.recursive))
        return self._stills

    def read(self) -> Frame | None:
        """Show the next picture; None after the last. Raises CameraError naming an unreadable file."""
        if self._reel is None:
            raise CameraError(f"{self._options.path} is closed; open it before reading")
        try:
            pixels = self._next_pixels(self._reel)
        except DecoderCrashError as exc:
            self._note_crash(exc)
            raise
        if pixels is None:
            return None
        self._pace.wait()
        seq = self._next_seq
        self._next_seq += 1
        return make_frame(pixels, seq, self._clock, rotation=self._options.rotation)

    def _next_pixels(self, reel: _FrameIterator) -> Image | None:
        pixels = reel.next()
        if pixels is None and self._options.loop:
            reel.rewind()
            pixels = reel.next()
        return pixels

    def close(self) -> None:
        """Close the video; harmless when not open."""
        if self._reel is not None:
            self._reel.close()
        self._reel = None


class _Stills:
    """Image files, each read when its turn comes."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._next = 0

    @property
    def ended(self) -> bool:
        return self._next >= len(self._paths)

    def next(self) -> Image | None:
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
        """Nothing is held open between two pictures."""


class _Video:
    """A video file, decoded picture by picture in another process."""

    def __init__(self, path: Path) -> None:
        from edge_daemon.camera.video_decoder import DecoderProcess

        self._decoder = DecoderProcess(path)
        self._first: Image | None = None
        try:
            self._first = self._decoder.read()
        except CameraError:
            self.close()
            raise

    def next(self) -> Image | None:
        if self._first is not None:
            pixels, self._first = self._first, None
            return pixels
        return self._decoder.read()

    def rewind(self) -> None:
        self._decoder.rewind()

    def close(self) -> None:
        self._decoder.close()


class _Animation:
    """An image file with moving pictures."""

    def __init__(self, animation: Animation) -> None:
        self._animation = animation

    def next(self) -> Image | None:
        try:
            return self._animation.read()
        except ImageError as exc:
            raise CameraError(str(exc)) from exc

    def rewind(self) -> None:
        self._animation.rewind()

    def close(self) -> None:
        self._animation.close()


class _RawFrames:
    """Pictures as numpy keeps them, one after another in a file that is mapped, not read."""

    def __init__(self, path: Path) -> None:
        self._frames = _map_frames(path)
        self._shown = 0

    def next(self) -> Image | None:
        if self._shown == len(self._frames):
            return None
        self._shown += 1
        frame: Image = self._frames[self._shown - 1]
        return frame

    def rewind(self) -> None:
        self._shown = 0

    def close(self) -> None:
        """The map of the file goes with its last reader."""


def _map_frames(path: Path) -> npt.NDArray[np.uint8]:
    """Return the frames of a file, number x height x width x 3. Raises CameraError."""
    import numpy as np

    try:
        frames = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as exc:
        raise CameraError(f"{path} can't be read as raw frames: {' '.join(str(exc).split())}") from exc
    if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or frames.shape[-1] != 3 or 0 in frames.shape:
        raise CameraError(
            f"{path} holds {frames.dtype} of shape {frames.shape}; "
            "raw frames are uint8, height x width x 3 (RGB), or a number of those"
        )
    whole: npt.NDArray[np.uint8] = frames.reshape(-1, *frames.shape[-3:])
    return whole


def _open_film(path: Path) -> _FrameIterator | None:
    """Open what holds many frames; None for a picture. Raises CameraError, OSError."""
    from edge_daemon.imaging.image_io import is_image, open_animation

    with open_regular(path) as file:
        start = file.read(_MAX_HEADER_BYTES)
        if start.startswith(_JPEG_START):
            # A photo with a second one for other displays, or for the other eye, is no film.
            film = _JPEG_GROUP not in start and _NEXT_JPEG.search(start + file.read(_MAX_JPEG_BYTES))
            return _Video(path) if film else None
    if start.startswith(_RAW_START) or path.suffix.lower() == _RAW_SUFFIX:
        return _RawFrames(path)
    if not is_image(path):
        return _Video(path)
    animation = open_animation(path)
    return _Animation(animation) if animation else None


def _find_images(path: Path, recursive: bool) -> list[Path]:
    """Return the images of a folder in natural order, or the file itself. Raises CameraError, OSError."""
    from edge_daemon.imaging.image_files import find_images, named

    if not path.is_dir():
        return [path]
    found = find_images(path, recursive=recursive)
    if not found.images:
        hint = "" if recursive else "; `recursive: true` searches its folders too"
        raise CameraError(f"{path} holds no images{hint}")
    if files := [other for other in found.others if not other.is_dir()]:
        log.warning("%s: %d other files passed over (%s)", path, len(files), named(files))
    return sorted(found.images, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts frame2 before frame10."""
    parts = re.split(r"([0-9]+)", path.as_posix())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
