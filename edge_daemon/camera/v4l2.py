"""Frame source for USB cameras through Video4Linux and OpenCV."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import TypeAlias

from edge_daemon.camera.frames import make_frame, sensor_size
from edge_daemon.camera.opencv import STALL_S, DeviceSettings, VideoStream, open_device
from edge_daemon.config.camera import V4l2Options
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame

OpenDevice: TypeAlias = Callable[[str, DeviceSettings], VideoStream]


class V4l2Source:
    """Frames from a USB camera; implements interfaces.FrameSource."""

    lossless = False

    def __init__(self, options: V4l2Options, clock: Clock, open_stream: OpenDevice = open_device) -> None:
        self._options = options
        self._clock = clock
        self._open_stream = open_stream
        self._stream: VideoStream | None = None
        self._next_seq = 0

    def open(self) -> None:
        """Open the device. Raises CameraError when it is missing, busy or not accessible."""
        if self._stream is not None:
            return
        _check_device(self._options.device)
        controls = self._options.controls
        settings = DeviceSettings(
            size=sensor_size(self._options.size, self._options.rotation),
            fps=self._options.fps,
            fourcc=self._options.fourcc,
            exposure_us=controls.exposure_us,
            gain=controls.gain,
            white_balance_k=controls.white_balance_k,
        )
        self._stream = self._open_stream(self._options.device, settings)

    def read(self) -> Frame:
        """Wait for the next picture. Raises CameraError when the camera stalls or is unplugged."""
        if self._stream is None:
            raise CameraError(f"{self._options.device} is closed; open it before reading")
        pixels = self._stream.read()
        if pixels is None:
            device = self._options.device
            raise CameraError(f"{device} sent no frame for {STALL_S} s or was unplugged; check its cable")
        seq = self._next_seq
        self._next_seq += 1
        return make_frame(
            pixels, seq, self._clock, rotation=self._options.rotation, stamp_s=self._stream.stamp_s
        )

    def close(self) -> None:
        """Release the device; no effect if it is not open."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def _check_device(device: str) -> None:
    """Raise CameraError with the reason; OpenCV reports only that it can't open a device."""
    try:
        mode = os.stat(device).st_mode
    except OSError as exc:
        text = f"no camera at {device}; is it plugged in? `v4l2-ctl --list-devices` lists the cameras"
        raise CameraError(text) from exc
    if not stat.S_ISCHR(mode):
        raise CameraError(f"{device} is not a video device; set camera.device to one such as /dev/video0")
    if not os.access(device, os.R_OK | os.W_OK):
        raise CameraError(f"{device} may not be opened by this user; add the user to group 'video'")
