"""The child process of a stream: receives it, and sends the parent the latest picture when it asks.

A thread follows the stream; the main thread decodes single pictures, scales and sends. Another thread sends
single pictures again, at another scale.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from edge_daemon.camera.decoder_process import Commands, PictureWriter, serve_parent
from edge_daemon.camera.kept_pictures import KeptPictures
from edge_daemon.camera.reduced_pictures import reduced_size
from edge_daemon.camera.stream_faults import TIMEOUT_S, connection_errors, rtsp_fault
from edge_daemon.camera.stream_settings import StreamSettings
from edge_daemon.config.base import MIN_FRAMES_PER_S
from edge_daemon.domain.errors import CameraError, ImageError

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

FIRST_S = 15.0
"""Time for the first picture: a video stream can be decoded from its next whole picture on."""

NEXT_S = 4.5
"""Time for each further picture. The pipeline counts a camera as lost after five seconds or more."""

OPEN_S = 10.0
MAX_LAG_S = 3.0
_CLOCK_DRIFT = 0.001
_MAX_STRETCH = 1.02


class LatestPicture:
    """A latest-wins slot between two threads, for a decoded picture or the bytes of an encoded one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._content: Image | bytes | None = None
        self._time_s = 0.0
        self._error: Exception | None = None
        self.is_awaited = False
        """True while the other thread waits for a picture."""

    def put(self, content: Image | bytes, time_s: float) -> None:
        """Replace the picture; `time_s` is its time on the monotonic clock."""
        with self._changed:
            self._content, self._time_s = content, time_s
            self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        """Raise this error in the thread that waits, now or later."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def pop(self, timeout_s: float) -> tuple[float, Image | bytes] | None:
        """Wait for a picture and remove it, with its time; None after the timeout. Raises the error."""
        with self._changed:
            self.is_awaited = True
            self._changed.wait_for(lambda: self._content is not None or self._error is not None, timeout_s)
            self.is_awaited = False
            content, self._content = self._content, None
            if content is not None:
                return self._time_s, content
            if self._error is not None:
                raise self._error
            return None


class LagMeter:
    """Measures by how much the decoder is behind a stream: the stream's clock against this machine's.

    A slow drift between the clocks is no lag, and neither is a stream without times.
    """

    def __init__(self) -> None:
        self._least_s: float | None = None
        self._last_s = (0.0, 0.0)

    def update(self, now_s: float, stamp_s: float) -> float:
        """Return the lag in seconds after a picture with the time `stamp_s` came at `now_s`."""
        offset_s = now_s - stamp_s
        (last_now_s, last_stamp_s), self._last_s = self._last_s, (now_s, stamp_s)
        if self._least_s is None or stamp_s <= last_stamp_s:
            self._least_s = offset_s
        self._least_s = min(offset_s, self._least_s + _CLOCK_DRIFT * (now_s - last_now_s))
        return offset_s - self._least_s


def main() -> None:
    """Follow a stream for the parent, which sends its settings and then a digit for each picture.

    The digit divides the sides of a single picture; a video's are sent in full. The argument is the number of
    the connection by which the parent loads single pictures again.
    """
    connection = socket.socket(fileno=int(sys.argv[1]))
    serve_parent(lambda writer, commands: _decode(writer, commands, connection))


def _decode(writer: PictureWriter, commands: Commands, connection: socket.socket) -> None:
    settings = msgspec.json.decode(b"".join(iter(commands.get, b"\n")), type=StreamSettings)
    latest, reader = LatestPicture(), _PictureReader(settings)
    kept = KeptPictures(reader.read)
    threading.Thread(target=_follow, args=(settings, latest), daemon=True).start()
    threading.Thread(target=kept.serve, args=(connection,), daemon=True).start()
    limit_s = FIRST_S
    while True:
        time_s, content, pixels = _next_picture(latest, reader, int(commands.get()), limit_s)
        kept.add(content)
        writer.write_picture(pixels, time_s)
        limit_s = NEXT_S


def _follow(settings: StreamSettings, latest: LatestPicture) -> None:
    """Put the stream's pictures into the slot until it ends; the reason of its end is put there, too."""
    try:
        if urlsplit(settings.url).scheme == "rtsp":
            _follow_rtsp(settings, latest)
        else:
            from edge_daemon.camera.http_pictures import follow_http

            follow_http(settings, latest.put)
    except Exception as exc:  # handed to the main thread, which ends with it
        latest.fail(exc)


class _PictureReader:
    """Reads a stream's pictures at the size that is set. Any thread may use it after the first picture."""

    def __init__(self, settings: StreamSettings) -> None:
        self.name = settings.name
        self._settings = settings
        self._size: tuple[int, int] | None = None

    def read(self, encoded: bytes, reduction: int = 1) -> Image:
        """Decode a single picture, with its sides divided. Raises ImageError; CameraError as `scale`."""
        from edge_daemon.imaging.image_io import read_scaled

        return read_scaled(
            encoded, f"the picture of {self.name}", lambda size: reduced_size(self._fit(size), reduction)
        )

    def scale(self, pixels: Image) -> Image:
        """Scale a decoded picture. Raises CameraError if that would distort it, or after another size."""
        height, width = pixels.shape[:2]
        size = self._fit((width, height))
        if size == (width, height):
            return pixels
        from edge_daemon.imaging.image_io import resize_image

        return resize_image(pixels, size)

    def _fit(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the width and height of the frame for a picture of `size`, the same for each picture."""
        width, height = wanted = self._settings.size or size
        stretch = width * size[1] / (height * size[0])
        if not 1 / _MAX_STRETCH <= stretch <= _MAX_STRETCH:
            raise CameraError(
                f"{self.name} sends {size[0]}x{size[1]}, which camera.size would distort; leave it out, or "
                f"write {[width, round(width * size[1] / size[0])]} (turned, if the camera is rotated)"
            )
        if self._size not in (None, wanted):
            raise CameraError(
                f"{self.name} changed the size of its picture to {width}x{height}; opened again"
            )
        self._size = wanted
        return wanted


def _next_picture(
    latest: LatestPicture, reader: _PictureReader, reduction: int, limit_s: float
) -> tuple[float, bytes, Image]:
    """Wait for a picture that can be decoded; damaged ones are skipped.

    Return its time, its encoded content, empty for a video's, and its pixels.
    """
    slowest = f"; it must send one at least every {1 / MIN_FRAMES_PER_S:g} s" if limit_s == NEXT_S else ""
    reason = f"{reader.name} sent no picture for {limit_s:g} s{slowest}"
    end_s = time.monotonic() + limit_s
    while (found := latest.pop(max(end_s - time.monotonic(), 0.0))) is not None:
        time_s, content = found
        if not isinstance(content, bytes):
            return time_s, b"", reader.scale(content)
        try:
            return time_s, content, reader.read(content, reduction)
        except ImageError as exc:
            reason = str(exc)
    raise CameraError(reason)


def _follow_rtsp(settings: StreamSettings, latest: LatestPicture) -> None:
    from edge_daemon.camera.opencv import import_opencv, open_rtsp

    import_opencv()
    parts = urlsplit(settings.url)
    assert parts.hostname is not None
    with connection_errors(settings.name):
        socket.create_connection((parts.hostname, parts.port or 554), TIMEOUT_S).close()
    with _standard_error() as log:
        stream = open_rtsp(settings.rtsp_url(), OPEN_S)
        if stream is None:
            raise CameraError(f"{settings.name} {rtsp_fault(log.read(), settings.username)}")
    lag = LagMeter()
    while stream.grab():
        now_s = time.monotonic()
        if lag.update(now_s, stream.stamp_s) > MAX_LAG_S:
            raise CameraError(
                f"{settings.name} comes faster than it is decoded, and its picture was {MAX_LAG_S:.0f} s "
                "old; choose a stream of the camera with a smaller picture or fewer frames"
            )
        if latest.is_awaited and (pixels := stream.retrieve()) is not None:
            latest.put(pixels, now_s)
    raise CameraError(f"{settings.name} stopped sending, or ended the stream")


class _ErrorLog:
    """Text that libraries wrote to standard error, in a temporary file."""

    def __init__(self, file: int) -> None:
        self._file = file

    def read(self) -> str:
        """Return the text so far."""
        return os.pread(self._file, 64 << 10, 0).decode(errors="replace")


@contextlib.contextmanager
def _standard_error() -> Iterator[_ErrorLog]:
    """Collect what libraries write to standard error; afterwards it is dropped."""
    with tempfile.TemporaryFile() as file, open(os.devnull, "wb") as nowhere:
        os.dup2(file.fileno(), 2)
        try:
            yield _ErrorLog(file.fileno())
        finally:
            os.dup2(nowhere.fileno(), 2)


if __name__ == "__main__":
    main()
