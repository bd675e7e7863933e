"""Frame source for USB cameras through Video4Linux and OpenCV."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from edge_daemon.camera.frames import make_frame, sensor_size
from edge_daemon.camera.jpeg_pictures import JpegPictures
from edge_daemon.camera.opencv import STALL_S, DeviceSettings, VideoStream, open_device
from edge_daemon.config.camera import V4l2Options
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame

if TYPE_CHECKING:
    from edge_daemon.camera.automatic_controls import AutomaticControls
    from edge_daemon.camera.control_lock import ControlLock, Values
    from edge_daemon.domain.lazy_picture import LazyPicture
    from edge_daemon.domain.types import Image

OpenDevice: TypeAlias = Callable[[str, DeviceSettings], VideoStream]


class V4l2Source:
    """Frames from a USB camera; implements interfaces.FrameSource."""

    lossless = False

    def __init__(self, options: V4l2Options, clock: Clock, open_stream: OpenDevice = open_device) -> None:
        self.options = options
        self._clock = clock
        self._open_stream = open_stream
        self._stream: VideoStream | None = None
        self._pictures: JpegPictures | None = None
        self._next_seq = 0
        self.automatic: AutomaticControls | None = None
        """Controls of the open camera that are locked after they have settled; None if there are none."""
        self._lock: ControlLock | None = None

    @property
    def values(self) -> Values:
        """Values of the open camera's controls."""
        return {} if self._stream is None else self._stream.values

    def open(self) -> None:
        """Open the device. Raises CameraError when it is missing, busy or not accessible."""
        if self._stream is not None:
            return
        _check_device(self.options.device)
        controls = self.options.controls
        settings = DeviceSettings(
            size=sensor_size(self.options.size, self.options.rotation),
            fps=self.options.fps,
            fourcc=self.options.fourcc,
            exposure_us=controls.exposure_us,
            gain=controls.gain,
            white_balance_k=controls.white_balance_k,
            automatic=self.options.lock,
        )
        self._stream = self._open_stream(self.options.device, settings)
        self._pictures = None
        if self._stream.sends_jpeg:
            self._pictures = JpegPictures(self.options.device, self.options.rotation)
        self.automatic = self._automatic_controls(self._stream) if self._stream.is_lockable else None

    def read(self) -> Frame:
        """Wait for the next picture. Raises CameraError when the camera stalls or is unplugged."""
        if self._stream is None:
            raise CameraError(f"{self.options.device} is closed; open it before reading")
        pixels = self._read_picture(self._stream)
        if pixels is None:
            device = self.options.device
            raise CameraError(f"{device} sent no frame for {STALL_S} s or was unplugged; check its cable")
        seq = self._next_seq
        self._next_seq += 1
        frame = make_frame(
            pixels,
            seq,
            self._clock,
            rotation=self.options.rotation,
            stamp_s=self._stream.stamp_s,
            owned=True,
        )
        if self.automatic is not None:
            self.automatic.watch(frame)
        return frame

    def _read_picture(self, stream: VideoStream) -> Image | LazyPicture | None:
        """Wait for the next picture; None after a stall. One that was sent as JPEG is decoded lazily."""
        if self._pictures is not None:
            jpeg = stream.read_jpeg()
            if jpeg is not None:
                return self._pictures.add(jpeg)
            if stream.sends_jpeg:
                return None
            self._pictures = None
        return stream.read()

    def close(self) -> None:
        """Release the device; no effect if it is not open."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        # The camera keeps its settings after the program's end; other programs expect automatic ones.
        with contextlib.suppress(CameraError):
            stream.set_automatic(True)
        stream.close()

    def _automatic_controls(self, stream: VideoStream) -> AutomaticControls:
        """Return the controls to lock. Drivers report no values with a frame."""
        from edge_daemon.camera.automatic_controls import AutomaticControls
        from edge_daemon.camera.control_lock import ControlLock

        self._lock = self._lock or ControlLock()
        self._lock.restart()
        device = self.options.device
        return AutomaticControls(device, (), lambda values: stream.set_automatic(values is None), self._lock)


def _check_device(device: str) -> None:
    """Raise CameraError with the reason; OpenCV reports only that it can't open a device."""
    try:
        mode = os.stat(device).st_mode
    except OSError as exc:
        text = f"no camera at {device}; is it plugged in? `ls /dev/video*` lists the devices"
        raise CameraError(text) from exc
    if not stat.S_ISCHR(mode):
        raise CameraError(f"{device} is not a video device; set camera.device to one such as /dev/video0")
    if not os.access(device, os.R_OK | os.W_OK):
        raise CameraError(f"{device} may not be opened by this user; add the user to group 'video'")
