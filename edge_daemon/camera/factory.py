"""Frame sources by `camera.type`. A new source needs a file and a case here.

Only the file of the configured source is imported.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

from edge_daemon.config.camera import (
    BrowserOptions,
    PicameraOptions,
    ReplayOptions,
    StreamOptions,
    SyntheticOptions,
    V4l2Options,
)
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import Clock, FrameSource

if TYPE_CHECKING:
    from edge_daemon.system.picture_slot import PictureSlot

CameraOptions: TypeAlias = (
    PicameraOptions | V4l2Options | StreamOptions | BrowserOptions | ReplayOptions | SyntheticOptions
)


def import_library(options: CameraOptions) -> None:
    """Import the library of the source for these options; no device is opened. Raises CameraError."""
    match options:
        case PicameraOptions():
            from edge_daemon.camera.picamera import import_picamera2

            import_picamera2()
        case V4l2Options():
            from edge_daemon.camera.opencv import import_opencv

            import_opencv()
        case StreamOptions(url=url) if url.startswith("rtsp:"):
            from edge_daemon.camera.opencv import import_opencv

            import_opencv()


def missing_library(options: CameraOptions) -> str | None:
    """Return the remedy for a library that is not installed.

    An installed one is not imported, which can open devices.
    """
    if find_spec("picamera2" if isinstance(options, PicameraOptions) else "cv2") is None:
        try:
            import_library(options)
        except CameraError as exc:
            return str(exc)
    return None


def open_camera(
    options: CameraOptions, clock: Clock, slot: PictureSlot | None = None, min_scale: float = 1.0
) -> FrameSource:
    """Return the source for these options. It opens no device before its `open`.

    `slot` is the one for the pictures of a browser's camera. `min_scale` is the smallest scale that the
    pipeline needs of a frame, with which a Pi camera delivers a second stream.
    """
    match options:
        case PicameraOptions():
            from edge_daemon.camera.picamera import PicameraSource

            return PicameraSource(options, clock, min_scale)
        case V4l2Options():
            from edge_daemon.camera.v4l2 import V4l2Source

            return V4l2Source(options, clock)
        case StreamOptions():
            from edge_daemon.camera.stream import StreamSource

            return StreamSource(options, clock)
        case BrowserOptions():
            from edge_daemon.camera.browser import BrowserSource, no_pictures

            return BrowserSource(clock, slot or no_pictures())
        case ReplayOptions():
            from edge_daemon.camera.replay import ReplaySource

            return ReplaySource(options, clock)
        case SyntheticOptions():
            from edge_daemon.camera.simulator.source import SyntheticSource

            return SyntheticSource(options, clock)
