"""Frame sources by `camera.type`. A new source needs a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from edge_daemon.camera.opencv import import_opencv
from edge_daemon.camera.picamera import PicameraSource, import_picamera2
from edge_daemon.camera.replay import ReplaySource
from edge_daemon.camera.simulator.source import SyntheticSource
from edge_daemon.camera.v4l2 import V4l2Source
from edge_daemon.config.camera import PicameraOptions, ReplayOptions, SyntheticOptions, V4l2Options
from edge_daemon.domain.interfaces import Clock, FrameSource

CameraOptions: TypeAlias = PicameraOptions | V4l2Options | ReplayOptions | SyntheticOptions

SOURCES: Mapping[type[CameraOptions], Callable[[Any, Clock], FrameSource]] = MappingProxyType(
    {
        PicameraOptions: PicameraSource,
        V4l2Options: V4l2Source,
        ReplayOptions: ReplaySource,
        SyntheticOptions: SyntheticSource,
    }
)

LIBRARIES: Mapping[type[CameraOptions], Callable[[], object]] = MappingProxyType(
    {PicameraOptions: import_picamera2, V4l2Options: import_opencv}
)
"""Import functions of the sources that need a library."""


def import_library(options: CameraOptions) -> None:
    """Import the library of the source for these options; no device is opened. Raises CameraError."""
    if type(options) in LIBRARIES:
        LIBRARIES[type(options)]()


def open_camera(options: CameraOptions, clock: Clock) -> FrameSource:
    """Return the source for these options. It opens no device before its `open`."""
    return SOURCES[type(options)](options, clock)
