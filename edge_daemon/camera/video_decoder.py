"""Video decoding in a child process: a crash of the decoder ends the source, not the daemon.

The child's standard output: a header, then a picture's bytes or an error's text. Its standard input:
`REWIND` after the end of the video. The end of the input ends the child.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import resource
import select
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edge_daemon.camera.opencv import MAX_PIXELS, VideoStream, open_video
from edge_daemon.domain.errors import CameraError, DecoderCrashError
from edge_daemon.system.child_process import module_command

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

STALL_S = 30.0
"""Time without a byte after which the decoder counts as lost; its start takes seconds on a Pi."""

_HEADER = struct.Struct("<cII")  # kind, then height and width of a picture, or the length of an error's text
_PICTURE, _END, _ERROR = b"P", b"E", b"X"
_REWIND = b"r"
_MAX_MEMORY = 1 << 30
_PIPE_BYTES = 1 << 20  # Linux allows every user this size; with the default size decoding took twice as long
_MAX_ERROR_BYTES = 64 << 10


class DecoderProcess:
    """Decoder of one video file in a child process. Used from one thread; close it when done."""

    def __init__(self, path: Path) -> None:
        """Start the child process. Raises CameraError when it can't be started."""
        self._path = path
        command = module_command(__name__, str(path.absolute()))
        try:
            self._child = subprocess.Popen(
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as exc:
            raise CameraError(f"{path}: no process can be started to decode it ({exc.strerror})") from exc
        assert self._child.stdout is not None
        self._output = self._child.stdout.fileno()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def read(self) -> Image | None:
        """Return the next picture, RGB uint8 HWC; None at the end.

        Raises CameraError when the file can't be decoded, or the decoder crashed or stalled.
        """
        import numpy as np

        header = bytearray(_HEADER.size)
        self._fill(memoryview(header))
        kind, first, second = _HEADER.unpack(header)
        if kind == _END:
            return None
        if kind == _ERROR and first <= _MAX_ERROR_BYTES:
            text = bytearray(first)
            self._fill(memoryview(text))
            raise CameraError(text.decode(errors="replace"))
        if kind != _PICTURE or not 0 < first * second <= MAX_PIXELS:
            self._child.kill()  # its memory is corrupted, though it still runs
            raise self._crash_error("invalid data instead of pictures")
        pixels = np.empty((first, second, 3), np.uint8)
        self._fill(pixels.data.cast("B"))
        return pixels

    def rewind(self) -> None:
        """Start over, after the end. Raises CameraError when the decoder has ended."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(_REWIND)
        except OSError as exc:
            raise self._end_error() from exc

    def close(self) -> None:
        """End the child; no effect if it has ended."""
        self._child.kill()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        self._child.wait()

    def _fill(self, buffer: memoryview) -> None:
        """Read until the buffer is full."""
        ready = select.poll()
        ready.register(self._output, select.POLLIN)
        while buffer:
            if not ready.poll(STALL_S * 1000):
                raise CameraError(f"{self._path}: its decoder sent nothing for {STALL_S:.0f} s; convert it")
            count = os.readv(self._output, [buffer])
            if count == 0:
                raise self._end_error()
            buffer = buffer[count:]

    def _end_error(self) -> CameraError:
        code = self._child.wait()
        if code in (-signal.SIGKILL, 0) or code > 0:
            how = "was killed, perhaps as memory ran out" if code < 0 else f"ended with code {code}"
            return CameraError(f"{self._path}: the video decoder {how}")
        return self._crash_error(signal.Signals(-code).name)

    def _crash_error(self, how: str) -> DecoderCrashError:
        return DecoderCrashError(
            f"{self._path} makes the video decoder crash ({how}); "
            "convert it, for example with `ffmpeg -i FILE -c:v libx264 NEW.mp4`"
        )


def main() -> None:
    """Decode a video for the parent, again for each `REWIND`."""
    name = sys.argv[1]
    output = _claim_output()
    _confine()
    rewinds: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_follow_parent, args=(rewinds,), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        try:
            while True:
                _decode(open_video(Path(name)), name, output)
                rewinds.get()
        except (CameraError, OSError) as exc:
            text = (str(exc) or type(exc).__name__).encode(errors="replace")
            output.write(_HEADER.pack(_ERROR, len(text), 0) + text)


def _decode(stream: VideoStream, name: str, output: BinaryIO) -> None:
    count = 0
    while (pixels := stream.read()) is not None:
        height, width, _ = pixels.shape
        output.write(_HEADER.pack(_PICTURE, height, width))
        output.write(pixels.data)
        output.flush()
        count += 1
    stream.close()
    if count == 0:
        raise CameraError(f"{name} is neither a picture nor a video that this program can decode")
    output.write(_HEADER.pack(_END, 0, 0))
    output.flush()


def _claim_output() -> BinaryIO:
    """Return the pipe to the parent; output of libraries is redirected to standard error."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output


def _confine() -> None:
    """Limit memory, and ignore the signals that end the daemon's process group: the parent handles them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (_MAX_MEMORY, _MAX_MEMORY))
    # When memory runs out, the kernel ends this process before the daemon.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _follow_parent(rewinds: queue.Queue[bytes]) -> None:
    """Queue the parent's commands; end the process with the parent, even while the decoder hangs."""
    while command := os.read(0, 1):
        rewinds.put(command)
    os._exit(0)


if __name__ == "__main__":
    main()
