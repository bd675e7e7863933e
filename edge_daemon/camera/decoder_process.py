"""Decoding in a child process: a crash of the decoder ends the source, not the daemon.

The child's standard output: a header, then a picture's bytes or an error's text. Its standard input: the
parent's commands, one byte each. The end of the input ends the child.
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
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from edge_daemon.camera.frames import MAX_PIXELS
from edge_daemon.domain.errors import CameraError, DecoderCrashError
from edge_daemon.system.child_process import module_command

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

STALL_S = 30.0
"""Time without a byte after which the decoder counts as lost; its start takes seconds on a Pi."""

_HEADER = struct.Struct("<cdII")
"""Kind; a picture's time in seconds, height and width, or 0, the length of an error's text and 0."""

_PICTURE, _WORKING, _END, _ERROR = b"P", b"W", b"E", b"X"
_MAX_MEMORY = 1 << 30
_PIPE_BYTES = 1 << 20  # Linux allows every user this size; with the default size decoding took twice as long
_MAX_ERROR_BYTES = 64 << 10

Commands: TypeAlias = "queue.Queue[bytes]"


class DecoderProcess:
    """A child process that sends pictures. Used from one thread; close it when done.

    `module` is the child's program and `words` its arguments. `name` stands in the errors' texts, and
    `remedy` in those of a crash and a stall. The child inherits `files`.
    """

    def __init__(
        self, module: str, words: list[str], name: str, remedy: str, files: tuple[int, ...] = ()
    ) -> None:
        """Start the child process. Raises CameraError when it can't be started."""
        self._name = name
        self._remedy = remedy
        try:
            self._child = subprocess.Popen(
                module_command(module, *words),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=files,
            )
        except OSError as exc:
            raise CameraError(f"{name}: no process can be started to decode it ({exc.strerror})") from exc
        assert self._child.stdout is not None
        self._output = self._child.stdout.fileno()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def read(self) -> tuple[float, Image] | None:
        """Return the next picture, RGB uint8 HWC, and its time in seconds; None at the end.

        Raises CameraError with the child's reason, or when the decoder crashed or stalled.
        """
        import numpy as np

        while True:
            kind, time_s, first, second = _HEADER.unpack(self._receive(_HEADER.size))
            if kind == _PICTURE and 0 < first * second <= MAX_PIXELS:
                pixels = np.empty((first, second, 3), np.uint8)
                self._fill(pixels.data.cast("B"))
                return time_s, pixels
            if kind == _END:
                return None
            if kind == _ERROR and first <= _MAX_ERROR_BYTES:
                raise CameraError(self._receive(first).decode(errors="replace"))
            if kind != _WORKING:
                self._child.kill()  # its memory is corrupted, though it still runs
                raise self._crash_error("invalid data instead of pictures")

    def send(self, content: bytes) -> None:
        """Send commands to the child. Raises CameraError when it has ended."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(content)
        except OSError as exc:
            raise self._end_error() from exc

    def close(self) -> None:
        """End the child; no effect if it has ended."""
        self._child.kill()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        self._child.wait()

    def _receive(self, size: int) -> bytearray:
        content = bytearray(size)
        self._fill(memoryview(content))
        return content

    def _fill(self, buffer: memoryview) -> None:
        """Read until the buffer is full."""
        ready = select.poll()
        ready.register(self._output, select.POLLIN)
        while buffer:
            if not ready.poll(STALL_S * 1000):
                raise CameraError(
                    f"{self._name}: its decoder sent nothing for {STALL_S:.0f} s; {self._remedy}"
                )
            count = os.readv(self._output, [buffer])
            if count == 0:
                raise self._end_error()
            buffer = buffer[count:]

    def _end_error(self) -> CameraError:
        code = self._child.wait()
        if code >= 0:
            return CameraError(f"{self._name}: the decoder ended with code {code}")
        if code == -signal.SIGKILL:
            return CameraError(f"{self._name}: the decoder was killed, perhaps as memory ran out")
        return self._crash_error(signal.Signals(-code).name)

    def _crash_error(self, how: str) -> DecoderCrashError:
        return DecoderCrashError(f"{self._name} makes the decoder crash ({how}); {self._remedy}")


class PictureWriter:
    """The child's end of the pipe to the parent. Raises BrokenPipeError when the parent has closed it."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output

    def write_picture(self, pixels: Image, time_s: float = 0.0) -> None:
        """Send a picture, RGB uint8 HWC, and its time in seconds."""
        self._output.write(_HEADER.pack(_PICTURE, time_s, *pixels.shape[:2]))
        self._output.write(pixels.data)
        self._output.flush()

    def write_working(self) -> None:
        """Show that the decoder has not stalled."""
        self._write(_WORKING)

    def write_end(self) -> None:
        """Report the end of a finite source."""
        self._write(_END)

    def write_error(self, error: Exception) -> None:
        """Send the text of an error."""
        self._write(_ERROR, (str(error) or type(error).__name__).encode(errors="replace")[:_MAX_ERROR_BYTES])

    def _write(self, kind: bytes, text: bytes = b"") -> None:
        self._output.write(_HEADER.pack(kind, 0, len(text), 0) + text)
        self._output.flush()


def serve_parent(decode: Callable[[PictureWriter, Commands], None]) -> None:
    """Run `decode` in a child process, which ends with its parent. Its CameraError is sent to the parent."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries may print
    _confine()
    commands: Commands = queue.Queue()
    threading.Thread(target=_follow_parent, args=(commands,), daemon=True).start()
    writer = PictureWriter(output)
    with contextlib.suppress(BrokenPipeError):
        try:
            decode(writer, commands)
        except (CameraError, OSError) as exc:
            writer.write_error(exc)


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


def _follow_parent(commands: Commands) -> None:
    """Queue the parent's commands; end the process with the parent, even while the decoder hangs."""
    while command := os.read(0, 1):
        commands.put(command)
    os._exit(0)
