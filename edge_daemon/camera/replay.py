"""An image, a folder of images, a video or raw frames, shown as a camera would."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from edge_daemon.camera.framing import make_frame
from edge_daemon.camera.opencv import VideoStream, open_video
from edge_daemon.camera.pace import Pace
from edge_daemon.errors import CameraError, ImageError
from edge_daemon.options import FilePath, FramesPerSecond, Options
from edge_daemon.ports import Clock
from edge_daemon.types import Frame

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edge_daemon.types import Image

VIDEO_SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mjpeg"))


RAW_SUFFIX = ".npy"


class ReplayOptions(Options, frozen=True, tag_field="type", tag="replay"):
    """`camera:` with `type: replay`. Without `fps` every frame comes as fast as it is consumed.

    A `.npy` file holds raw frames: uint8, one picture of height x width x 3 (RGB) or a number of them.
    """

    path: FilePath
    fps: FramesPerSecond | None = None
    loop: bool = False
    recursive: bool = False
    """Search a folder's folders too."""
    rotation: Literal[0, 90, 180, 270] = 0


class _Reel(Protocol):
    """Pictures in their order; `next` returns None at the end, `rewind` starts over."""

    def next(self) -> Image | None: ...
    def rewind(self) -> None: ...
    def close(self) -> None: ...


class ReplaySource:
    """Frames from files; fulfils ports.FrameSource. Lossless when no rate is set.

    A file that can't be read raises CameraError naming it; reading on shows the next one. Opened
    again before its end, a folder goes on where it was; a video or raw frames start over.
    """

    def __init__(
        self, options: ReplayOptions, clock: Clock, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.lossless = options.fps is None
        self._options = options
        self._clock = clock
        self._pace = Pace(options.fps, clock, sleep)
        self._reel: _Reel | None = None
        self._stills: _Stills | None = None
        self._next_seq = 0

    def open(self) -> None:
        """Find the files. Raises CameraError when there are none, or the video can't be decoded."""
        if self._reel is not None:
            return
        path = Path(self._options.path)
        if not path.exists():
            raise CameraError(f"{path} does not exist; camera.path must name an image, a folder or a video")
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            self._reel = _Video(path)
            return
        if path.suffix.lower() == RAW_SUFFIX and path.is_file():
            self._reel = _RawFrames(path)
            return
        if self._stills is None or self._stills.ended:
            self._stills = _Stills(_find_images(path, self._options.recursive))
        self._reel = self._stills

    def read(self) -> Frame | None:
        """Show the next picture; None after the last. Raises CameraError naming an unreadable file."""
        if self._reel is None:
            raise CameraError(f"{self._options.path} is closed; open it before reading")
        pixels = self._reel.next()
        if pixels is None and self._options.loop:
            self._reel.rewind()
            pixels = self._reel.next()
        if pixels is None:
            return None
        self._pace.wait()
        seq = self._next_seq
        self._next_seq += 1
        return make_frame(pixels, seq, self._clock, rotation=self._options.rotation)

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
        from edge_daemon.vision.images import read_image

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
    """A video file, decoded picture by picture."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: VideoStream = open_video(path)
        self._shown = 0

    def next(self) -> Image | None:
        pixels = self._stream.read()
        if pixels is None and self._shown == 0:
            raise CameraError(f"{self._path} holds no picture that can be decoded")
        self._shown += 1
        return pixels

    def rewind(self) -> None:
        self._stream.close()
        self._stream = open_video(self._path)
        self._shown = 0

    def close(self) -> None:
        self._stream.close()


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


def _find_images(path: Path, recursive: bool) -> list[Path]:
    """Return the images of a folder in natural order, or the file itself."""
    from edge_daemon.vision.images import IMAGE_SUFFIXES

    if not path.is_dir():
        return [path]
    files = path.glob("**/*" if recursive else "*")
    found = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        hint = "" if recursive else "; `recursive: true` searches its folders too"
        raise CameraError(f"{path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}){hint}")
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts frame2 before frame10."""
    parts = re.split(r"([0-9]+)", path.as_posix())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
