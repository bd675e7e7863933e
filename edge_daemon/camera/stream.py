"""Frame source for network cameras: RTSP, MJPEG over HTTP, and single pictures over HTTP."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from edge_daemon.camera.decoder_process import DecoderProcess
from edge_daemon.camera.frames import FramePacer, make_frame, rotated_copy, sensor_size
from edge_daemon.camera.kept_pictures import KeptPicturesClient
from edge_daemon.camera.reduced_pictures import ReducedPictures, reduce_image
from edge_daemon.camera.stream_settings import StreamSettings
from edge_daemon.config.camera import StreamOptions
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame
from edge_daemon.system.secrets import SecretKind, read_secret

if TYPE_CHECKING:
    from edge_daemon.domain.lazy_picture import LazyPicture
    from edge_daemon.domain.types import Image

CAMERA_PASSWORD = SecretKind("camera", "password", "EDGE_DAEMON_CAMERA_PASSWORD", CameraError)
_DECODER = "edge_daemon.camera.stream_decoder"


class StreamSource:
    """The latest picture of a network camera; implements interfaces.FrameSource.

    A child process receives the stream and decodes it. It drops what was not asked for, so that no frame is
    older than the network makes it. Single pictures are lazy: the child decodes them at the scales that are
    needed, and keeps the latest ones for those who need another scale later.
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
        self._kept: KeptPicturesClient | None = None
        self._pictures: _SentPictures | None = None
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
        ours, theirs = socket.socketpair()
        kept = KeptPicturesClient(ours)
        with theirs:
            file = theirs.fileno()
            try:
                process = DecoderProcess(_DECODER, [str(file)], self._name, remedy, (file,))
            except CameraError:
                kept.close()
                raise
        self._process, self._kept = process, kept
        is_video = urlsplit(options.url).scheme == "rtsp"
        self._pictures = None if is_video else _SentPictures(self._name, options.rotation, kept)
        try:
            process.send(settings.encode())
        except CameraError:
            self.close()
            raise

    def read(self) -> Frame:
        """Wait for a picture newer than the last. Raises CameraError with the reason why none comes."""
        if self._process is None:
            raise CameraError(f"{self._name} is closed; open it before reading")
        self._pacer.wait()
        pictures = self._pictures
        self._process.send(b"%d" % (1 if pictures is None else pictures.expect_next()))
        found = self._process.read()
        if found is None:
            raise CameraError(f"{self._name} ended the stream")
        stamp_s, pixels = found
        seq = self._next_seq
        self._next_seq += 1
        return make_frame(
            pixels if pictures is None else pictures.add(pixels),
            seq,
            self._clock,
            rotation=self._options.rotation,
            stamp_s=stamp_s,
            owned=True,
        )

    def close(self) -> None:
        """End the connection; no effect if it is not open."""
        if self._process is not None:
            self._process.close()
        if self._kept is not None:
            self._kept.close()
        self._process = self._kept = None


class _SentPicture(Struct, frozen=True):
    """A picture that the child sent, counted from 0: its pixels at 1 / `reduction` of its sides, rotated."""

    number: int
    reduction: int
    pixels: Image


class _SentPictures:
    """The lazy pictures of an open camera. The child keeps the latest. Owned by the capture thread."""

    def __init__(self, name: str, rotation: int, kept: KeptPicturesClient) -> None:
        self._rotation = rotation
        self._kept = kept
        self._pictures = ReducedPictures(name, self._load, reduce_image)
        self._expected = frozenset((1.0,))
        self._next = 0

    def expect_next(self) -> int:
        """Return the divisor of the sides at which the child has to send the next picture."""
        self._expected = self._pictures.expected()
        return round(1 / max(self._expected))

    def add(self, pixels: Image) -> LazyPicture:
        """Return the picture that the child has sent since `expect_next`."""
        sent = _SentPicture(self._next, round(1 / max(self._expected)), self._turned(pixels))
        self._next += 1
        return self._pictures.add(sent, self._expected)

    def _load(self, sent: _SentPicture, reduction: int) -> Image | None:
        if reduction == sent.reduction:
            return sent.pixels
        pixels = self._kept.load(sent.number, reduction)
        return None if pixels is None else self._turned(pixels)

    def _turned(self, pixels: Image) -> Image:
        return rotated_copy(pixels, self._rotation) if self._rotation else pixels


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
