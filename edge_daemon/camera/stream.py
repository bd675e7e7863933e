"""Frame source for network cameras: RTSP, MJPEG over HTTP, and single pictures over HTTP."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from edge_daemon.camera.decoder_process import DecoderProcess
from edge_daemon.camera.frames import FramePacer, make_frame, sensor_size
from edge_daemon.camera.stream_settings import StreamSettings
from edge_daemon.config.camera import StreamOptions
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame
from edge_daemon.system.secrets import SecretKind, read_secret

CAMERA_PASSWORD = SecretKind("camera", "password", "EDGE_DAEMON_CAMERA_PASSWORD", CameraError)
_NEXT = b"n"
_DECODER = "edge_daemon.camera.stream_decoder"


class StreamSource:
    """The latest picture of a network camera; implements interfaces.FrameSource.

    A child process receives the stream and decodes it. It drops what was not asked for, so that no frame is
    older than the network makes it.
    """

    lossless = False

    def __init__(
        self,
        options: StreamOptions,
        clock: Clock,
        *,
        environ: Mapping[str, str] = os.environ,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options
        self._clock = clock
        self._environ = environ
        self._name = shown_url(options.url)
        self._pacer = FramePacer(options.fps, clock, sleep)
        self._process: DecoderProcess | None = None
        self._shape: tuple[int, ...] | None = None
        self._next_seq = 0

    def open(self) -> None:
        """Start to connect. Raises CameraError for a password that can't be read."""
        if self._process is not None:
            return
        options = self._options
        settings = StreamSettings(
            url=options.url,
            name=self._name,
            username=options.username,
            password=read_password(options, self._environ),
            size=None if options.size is None else sensor_size(options.size, options.rotation),
            every_s=options.every_s,
        )
        remedy = "choose another stream of the camera, with a smaller picture"
        process = DecoderProcess(_DECODER, [], self._name, remedy)
        try:
            process.send(settings.encode())
        except CameraError:
            process.close()
            raise
        self._process, self._shape = process, None

    def read(self) -> Frame:
        """Wait for a picture newer than the last. Raises CameraError with the reason why none comes."""
        if self._process is None:
            raise CameraError(f"{self._name} is closed; open it before reading")
        self._pacer.wait()
        self._process.send(_NEXT)
        found = self._process.read()
        if found is None:
            raise CameraError(f"{self._name} ended the stream")
        stamp_s, pixels = found
        if self._shape not in (None, pixels.shape):
            height, width = pixels.shape[:2]
            raise CameraError(
                f"{self._name} changed the size of its picture to {width}x{height}; opened again"
            )
        self._shape = pixels.shape
        seq = self._next_seq
        self._next_seq += 1
        rotation = self._options.rotation
        return make_frame(pixels, seq, self._clock, rotation=rotation, stamp_s=stamp_s, owned=True)

    def close(self) -> None:
        """End the connection; no effect if it is not open."""
        if self._process is not None:
            self._process.close()
        self._process = None


def read_password(options: StreamOptions, environ: Mapping[str, str]) -> str | None:
    """Return the password; None without a user name. Raises CameraError for a file that can't be read."""
    if options.username is None:
        return None
    secret = read_secret(CAMERA_PASSWORD, options.password_file, options.credential, environ)
    return None if secret is None else secret.text.strip("\r\n")


def shown_url(url: str) -> str:
    """Return a URL for messages, without its query, which may hold a password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{'?…' if parts.query else ''}"
