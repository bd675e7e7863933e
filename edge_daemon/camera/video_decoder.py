"""Pictures of video files, decoded in a child process."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edge_daemon.camera.decoder_process import Commands, DecoderProcess, PictureWriter, serve_parent
from edge_daemon.camera.opencv import VideoStream, open_video
from edge_daemon.domain.errors import CameraError

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

_REWIND = b"r"
_WORKING_EVERY_S = 1.0
_ROUNDING_S = 0.001
_MAX_STUCK = 25
"""Pictures in a row whose time does not advance, after which the film counts as one without times."""


class VideoDecoder:
    """Decoder of every picture of one video file. Used from one thread; close it when done."""

    def __init__(self, path: Path) -> None:
        """Start the child process. Raises CameraError when it can't be started."""
        self._process = _start(path, 0.0)

    def read(self) -> Image | None:
        """Return the next picture, RGB uint8 HWC; None at the end.

        Raises CameraError when the file can't be decoded, or the decoder crashed or stalled.
        """
        found = self._process.read()
        return None if found is None else found[1]

    def rewind(self) -> None:
        """Start over, after the end. Raises CameraError when the decoder has ended."""
        self._process.send(_REWIND)

    def close(self) -> None:
        """End the child; no effect if it has ended."""
        self._process.close()


def film_frames(path: Path, every_s: float) -> Iterator[tuple[float, Image]]:
    """Yield the first frame and then the first one after each `every_s` seconds, with their times.

    Times are seconds of the film's own clock; images are RGB uint8 HWC. Raises CameraError when the film
    can't be decoded or has no times, or the decoder crashed or stalled.
    """
    process = _start(path, every_s)
    try:
        while (found := process.read()) is not None:
            yield found
    finally:
        process.close()


def _start(path: Path, every_s: float) -> DecoderProcess:
    """Start the decoder; with `every_s` 0 it sends every picture, else those of `film_frames`."""
    remedy = "convert it, for example with `ffmpeg -i FILE -c:v libx264 NEW.mp4`"
    return DecoderProcess(__name__, [str(path.absolute()), repr(every_s)], str(path), remedy)


def main() -> None:
    """Decode a video for the parent, again for each `_REWIND`."""
    name, every_s = sys.argv[1], float(sys.argv[2])

    def decode(writer: PictureWriter, commands: Commands) -> None:
        while True:
            stream = open_video(Path(name))
            count = _send_film(stream, name, every_s, writer) if every_s else _send_all(stream, writer)
            stream.close()
            if count == 0:
                raise CameraError(f"{name} is neither a picture nor a video that this program can decode")
            writer.write_end()
            commands.get()

    serve_parent(decode)


def _send_all(stream: VideoStream, writer: PictureWriter) -> int:
    """Send every picture; return their number."""
    count = 0
    while (pixels := stream.read()) is not None:
        writer.write_picture(pixels)
        count += 1
    return count


def _send_film(stream: VideoStream, name: str, every_s: float, writer: PictureWriter) -> int:
    """Send the first picture after each `every_s` seconds; return the number of all pictures."""
    due_s, sent_s, last_s, stuck, count = 0.0, time.monotonic(), -1.0, 0, 0
    while (pixels := stream.read()) is not None:
        stamp_s = max(stream.stamp_s, 0.0)
        stuck = stuck + 1 if stamp_s <= last_s else 0
        if stuck > _MAX_STUCK:
            raise CameraError(f"{name}: its pictures have no times; convert it, for example to .mp4")
        count, last_s = count + 1, max(last_s, stamp_s)
        if stamp_s + _ROUNDING_S >= due_s or count == 1:
            due_s = (stamp_s + _ROUNDING_S) // every_s * every_s + every_s
            writer.write_picture(pixels, stamp_s)
        elif time.monotonic() - sent_s < _WORKING_EVERY_S:
            continue
        else:
            writer.write_working()
        sent_s = time.monotonic()
    return count


if __name__ == "__main__":
    main()
