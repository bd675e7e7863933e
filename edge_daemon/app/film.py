"""Frames of a film at regular times, decoded in a child process: a crash of the decoder ends the film only.

The child's standard output: a header, then a picture's bytes or an error's text. Between two pictures that
are looked at it sends `_WORKING` once a second. The end of its standard input ends the child.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edge_daemon.camera.opencv import MAX_PIXELS, VideoStream, open_video
from edge_daemon.domain.errors import CameraError, DecoderCrashError
from edge_daemon.system.child_process import module_command

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

STALL_S = 30.0
"""Time without a byte after which the decoder counts as lost; its start takes seconds on a Pi."""

_HEADER = struct.Struct("<cdII")
"""Kind; a picture's time in seconds, height and width, or 0, the length of an error's text and 0."""

_PICTURE, _WORKING, _END, _ERROR = b"P", b"W", b"E", b"X"
_WORKING_EVERY_S = 1.0
_MAX_MEMORY = 1 << 30
_MAX_ERROR_BYTES = 64 << 10
_ROUNDING_S = 0.001
_MAX_STUCK = 25
"""Pictures in a row whose time does not advance, after which the film counts as one without times."""


def film_frames(path: Path, every_s: float) -> Iterator[tuple[float, Image]]:
    """Yield the first frame and then the first one after each `every_s` seconds, with their times.

    Times are seconds of the film's own clock; images are RGB uint8 HWC. Raises CameraError when the film
    can't be decoded or has no times, or the decoder crashed or stalled.
    """
    try:
        child = subprocess.Popen(
            module_command(__name__, str(path.absolute()), repr(every_s)),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as exc:
        raise CameraError(f"{path}: no process can be started to decode it ({exc.strerror})") from exc
    try:
        yield from _received_frames(child, path)
    finally:
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        child.wait()


def _received_frames(child: subprocess.Popen[bytes], path: Path) -> Iterator[tuple[float, Image]]:
    import numpy as np

    while True:
        kind, time_s, first, second = _HEADER.unpack(_receive(child, _HEADER.size, path))
        if kind == _PICTURE and 0 < first * second <= MAX_PIXELS:
            pixels = np.frombuffer(_receive(child, first * second * 3, path), np.uint8)
            yield time_s, pixels.reshape(first, second, 3)
        elif kind == _ERROR and first <= _MAX_ERROR_BYTES:
            raise CameraError(_receive(child, first, path).decode(errors="replace"))
        elif kind == _END:
            return
        elif kind != _WORKING:
            raise _crash_error(path, "invalid data instead of pictures")


def _receive(child: subprocess.Popen[bytes], size: int, path: Path) -> bytearray:
    """Return exactly `size` bytes of the child's output."""
    assert child.stdout is not None
    output = child.stdout.fileno()
    content = bytearray(size)
    buffer = memoryview(content)
    ready = select.poll()
    ready.register(output, select.POLLIN)
    while buffer:
        if not ready.poll(STALL_S * 1000):
            raise CameraError(f"{path}: its decoder sent nothing for {STALL_S:.0f} s; convert it")
        if (count := os.readv(output, [buffer])) == 0:
            raise _end_error(child, path)
        buffer = buffer[count:]
    return content


def _end_error(child: subprocess.Popen[bytes], path: Path) -> CameraError:
    code = child.wait()
    if code >= 0:
        return CameraError(f"{path}: the video decoder ended with code {code}")
    if code == -signal.SIGKILL:
        return CameraError(f"{path}: the video decoder was killed, perhaps as memory ran out")
    return _crash_error(path, signal.Signals(-code).name)


def _crash_error(path: Path, how: str) -> DecoderCrashError:
    return DecoderCrashError(
        f"{path} makes the video decoder crash ({how}); "
        "convert it, for example with `ffmpeg -i FILE -c:v libx264 NEW.mp4`"
    )


def main() -> None:
    """Decode a film for the parent."""
    name, every_s = sys.argv[1], float(sys.argv[2])
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries may print
    _confine()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        try:
            _send_frames(open_video(Path(name)), name, every_s, output)
            output.write(_HEADER.pack(_END, 0, 0, 0))
        except (CameraError, OSError) as exc:
            text = (str(exc) or type(exc).__name__).encode(errors="replace")
            output.write(_HEADER.pack(_ERROR, 0, len(text), 0) + text)
        output.flush()


def _send_frames(stream: VideoStream, name: str, every_s: float, output: BinaryIO) -> None:
    due_s, said_s, last_s, stuck, count = 0.0, time.monotonic(), -1.0, 0, 0
    while (pixels := stream.read()) is not None:
        stamp_s = max(stream.stamp_s, 0.0)
        stuck = stuck + 1 if stamp_s <= last_s else 0
        if stuck > _MAX_STUCK:
            raise CameraError(f"{name}: its pictures have no times; convert it, for example to .mp4")
        count, last_s = count + 1, max(last_s, stamp_s)
        if stamp_s + _ROUNDING_S >= due_s or count == 1:
            due_s = (stamp_s + _ROUNDING_S) // every_s * every_s + every_s
            output.write(_HEADER.pack(_PICTURE, stamp_s, *pixels.shape[:2]))
            output.write(pixels.data)
        elif time.monotonic() - said_s < _WORKING_EVERY_S:
            continue
        else:
            output.write(_HEADER.pack(_WORKING, 0, 0, 0))
        said_s = time.monotonic()
        output.flush()
    if count == 0:
        raise CameraError(f"{name} is neither a picture nor a video that this program can decode")


def _confine() -> None:
    """Limit memory, and leave the terminal's signals to the parent."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (_MAX_MEMORY, _MAX_MEMORY))
    # When memory runs out, the kernel ends this process before the parent.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
