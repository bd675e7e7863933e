"""Frame source for image files, folders, videos and raw frames."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_daemon.camera.frame_readers import FrameReader, ImageSequence, open_images, open_reader
from edge_daemon.camera.frames import FramePacer, make_frame
from edge_daemon.config.camera import ReplayOptions
from edge_daemon.domain.errors import CameraError, DecoderCrashError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


class ReplaySource:
    """Frames from files; implements interfaces.FrameSource. Lossless if no frame rate is set.

    An unreadable file raises CameraError that names it; the next `read` continues with the next file. If the
    source is opened again before its end, a folder resumes, and a video or raw frames start over.
    """

    def __init__(
        self, options: ReplayOptions, clock: Clock, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.lossless = options.fps is None
        self._options = options
        self._clock = clock
        self._pacer = FramePacer(options.fps, clock, sleep)
        self._reader: FrameReader | None = None
        self._images: ImageSequence | None = None
        self._next_seq = 0
        self._crash: tuple[int, DecoderCrashError] | None = None

    def open(self) -> None:
        """Find the files. Raises CameraError when there are none, or the video can't be decoded."""
        if self._reader is not None:
            return
        path = Path(self._options.path)
        try:
            if not path.exists():
                text = f"{path} does not exist; camera.path must name an image, a folder or a video"
                raise CameraError(text)
            self._check_crash(path)
            self._reader = (None if path.is_dir() else open_reader(path)) or self._open_images(path)
        except DecoderCrashError as exc:
            self._remember_crash(exc)
            raise
        except OSError as exc:
            raise CameraError(f"{exc.filename or path} can't be read: {exc.strerror}") from exc

    def _check_crash(self, path: Path) -> None:
        """Raise the last decoder crash again for an unchanged file, instead of a crash every second."""
        if self._crash is not None and self._crash[0] == path.stat().st_mtime_ns:
            raise CameraError(str(self._crash[1]))

    def _remember_crash(self, exc: DecoderCrashError) -> None:
        self._crash = (Path(self._options.path).stat().st_mtime_ns, exc)

    def _open_images(self, path: Path) -> ImageSequence:
        if self._images is None or self._images.ended:
            self._images = open_images(path, self._options.recursive)
        return self._images

    def read(self) -> Frame | None:
        """Return the next picture; None after the last. Raises CameraError that names an unreadable file."""
        if self._reader is None:
            raise CameraError(f"{self._options.path} is closed; open it before reading")
        try:
            pixels = self._next_pixels(self._reader)
        except DecoderCrashError as exc:
            self._remember_crash(exc)
            raise
        if pixels is None:
            return None
        self._pacer.wait()
        seq = self._next_seq
        self._next_seq += 1
        return make_frame(pixels, seq, self._clock, rotation=self._options.rotation)

    def _next_pixels(self, reader: FrameReader) -> Image | None:
        pixels = reader.read()
        if pixels is None and self._options.loop:
            reader.rewind()
            pixels = reader.read()
        return pixels

    def close(self) -> None:
        """Close the video; harmless when not open."""
        if self._reader is not None:
            self._reader.close()
        self._reader = None
