"""OpenCV's video capture for USB cameras and video files. The only file that imports cv2."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from edge_daemon.camera.frames import MAX_PIXELS
from edge_daemon.domain.errors import CameraError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from edge_daemon.domain.types import Image

    Jpeg: TypeAlias = npt.NDArray[np.uint8]
    """The bytes of a JPEG file: uint8, one-dimensional."""

STALL_S = 5
"""Time without a frame after which a camera counts as lost."""


_JPEG_FORMATS = ("MJPG", "JPEG")
_JPEG_START = b"\xff\xd8"


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """Settings of a camera. `exposure_us`, `gain` and `white_balance_k` are automatic if None."""

    size: tuple[int, int]
    fps: float
    fourcc: str | None = None
    exposure_us: int | None = None
    gain: float | None = None
    white_balance_k: int | None = None
    automatic: bool = False
    """Switch the controls that are None to automatic, also if another program made them manual."""


@dataclass(frozen=True, slots=True)
class _AutomaticControl:
    """A switch between automatic and manual: its OpenCV property and values; of two, the first accepted."""

    fixed_by: str | None
    prop: str
    automatic: tuple[float, ...]
    manual: float


# Values of V4L2. Aperture priority (3) is the automatic exposure of nearly all USB cameras.
_AUTOMATIC_CONTROLS = (
    _AutomaticControl("exposure_us", "CAP_PROP_AUTO_EXPOSURE", (3.0, 0.0), 1.0),
    _AutomaticControl("white_balance_k", "CAP_PROP_AUTO_WB", (1.0,), 0.0),
    _AutomaticControl(None, "CAP_PROP_AUTOFOCUS", (1.0,), 0.0),
)
_VALUES = {
    "exposure_us": ("CAP_PROP_EXPOSURE", 100.0),
    "gain": ("CAP_PROP_GAIN", 1.0),
    "white_balance_k": ("CAP_PROP_WB_TEMPERATURE", 1.0),
    "focus": ("CAP_PROP_FOCUS", 1.0),
}
"""OpenCV's property of each value, and its unit."""


@dataclass(slots=True)
class VideoStream:
    """Pictures from an open cv2.VideoCapture. Close it when done."""

    _capture: Any = field(repr=False)
    _switches: tuple[tuple[int, float, float], ...] = ()
    sends_jpeg: bool = False
    """True if `read_jpeg` returns the camera's pictures as they were sent, instead of `read`."""

    @property
    def is_lockable(self) -> bool:
        """True if the camera has an automatic control that can be switched to manual."""
        return bool(self._switches)

    def set_automatic(self, automatic: bool) -> None:
        """Switch the automatic controls. A manual one keeps its present value. Raises CameraError."""
        for prop, on, off in self._switches:
            if not self._capture.set(prop, on if automatic else off):
                raise CameraError("the camera refuses to change its automatic controls")

    @property
    def values(self) -> dict[str, float]:
        """Values of the controls that the driver reports."""
        cv2 = _import()
        values: dict[str, float] = {}
        for name, (prop, unit) in _VALUES.items():
            value = float(self._capture.get(getattr(cv2, prop)))
            if value > 0:  # -1 for one that the driver lacks
                values[name] = value * unit
        return values

    def read(self) -> Image | None:
        """Wait for the next picture: RGB uint8 HWC, newly allocated; None at the end or after a stall.

        Raises CameraError for a picture that is not a colour picture.
        """
        return self.retrieve() if self.grab() else None

    def grab(self) -> bool:
        """Wait for the next picture; False at the end or after a stall."""
        return bool(self._capture.grab())

    def retrieve(self) -> Image | None:
        """Return the picture of the last `grab` as `read` does."""
        cv2 = _import()
        try:
            delivered, picture = self._capture.retrieve()
            rgb: Image | None = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if delivered else None
        except cv2.error as exc:
            raise CameraError(f"OpenCV can't decode the picture: {exc.err or exc}") from exc
        return rgb

    def read_jpeg(self) -> Jpeg | None:
        """Wait for the next picture and return its bytes; None after a stall.

        None, with `sends_jpeg` then False, also if the camera sends other bytes than its format says.
        """
        delivered, content = self._capture.retrieve() if self.grab() else (False, None)
        if not delivered or content is None:
            return None
        jpeg: Jpeg = content.ravel()
        if bytes(jpeg[:2]) != _JPEG_START:
            self.sends_jpeg = not self._capture.set(_import().CAP_PROP_CONVERT_RGB, 1)
            return None
        return jpeg

    @property
    def stamp_s(self) -> float:
        """Timestamp of the last picture on its device's or file's clock."""
        return float(self._capture.get(_import().CAP_PROP_POS_MSEC)) / 1000

    def close(self) -> None:
        """Release the device or file."""
        self._capture.release()


def open_video(path: Path) -> VideoStream:
    """Open a video file by its content. Raises CameraError when it can't be decoded."""
    # A playlist may refer to other files, but not to network addresses.
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")
    cv2 = _import()
    # FFmpeg trusts a name's suffix more than the content; a descriptor has no suffix. A format without a
    # signature, such as a bare MPEG-4 stream, is opened by its name.
    with path.open("rb") as file:
        names = (f"/proc/self/fd/{file.fileno()}", str(path))
        for name, decoder in itertools.product(names, (cv2.CAP_FFMPEG, cv2.CAP_GSTREAMER)):
            capture = cv2.VideoCapture(name, decoder)
            if capture.isOpened():
                _check_size(capture, cv2, path)
                return VideoStream(capture)
    raise CameraError(f"{path} is neither a picture nor a video that this program can decode")


def open_rtsp(url: str, timeout_s: float) -> VideoStream | None:
    """Open an RTSP stream; None when it can't be opened. FFmpeg writes the reason to standard error.

    `timeout_s` limits the time to open it, and that of each `grab`.
    """
    # A stream may refer to nothing but RTP; `prefer_tcp` uses UDP only for a camera without TCP.
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = (
        "protocol_whitelist;rtsp,rtp,tcp,udp|rtsp_flags;prefer_tcp|fflags;nobuffer|flags;low_delay"
    )
    cv2 = _import()
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
    capture = cv2.VideoCapture()
    options = [word for limit in limits for word in (limit, int(timeout_s * 1000))]
    return VideoStream(capture) if capture.open(url, cv2.CAP_FFMPEG, options) else None


def _check_size(capture: Any, cv2: Any, path: Path) -> None:
    width, height = (capture.get(prop) for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MAX_PIXELS:
        raise CameraError(f"{path} has pictures of {width:.0f}x{height:.0f}; scale it down")


def open_device(device: str, settings: DeviceSettings) -> VideoStream:
    """Open and configure a V4L2 camera. Raises CameraError when it is busy or lacks a setting."""
    cv2 = _import()
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    if not capture.isOpened():
        raise CameraError(f"{device} delivers no video: another program holds it, or it isn't a camera")
    try:
        _configure(cv2, capture, device, settings)
    except CameraError:
        capture.release()
        raise
    switches = _switch_to_automatic(cv2, capture, settings) if settings.automatic else ()
    formats = {cv2.VideoWriter.fourcc(*name) for name in _JPEG_FORMATS}
    sends_jpeg = int(capture.get(cv2.CAP_PROP_FOURCC)) in formats
    return VideoStream(capture, switches, sends_jpeg and bool(capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)))


def _switch_to_automatic(
    cv2: Any, capture: Any, settings: DeviceSettings
) -> tuple[tuple[int, float, float], ...]:
    """Switch the controls without a fixed value to automatic; return (property, automatic, manual)."""
    switches = []
    for control in _AUTOMATIC_CONTROLS:
        if control.fixed_by is not None and getattr(settings, control.fixed_by) is not None:
            continue
        prop = getattr(cv2, control.prop)
        accepted = next((value for value in control.automatic if capture.set(prop, value)), None)
        if accepted is not None:
            switches.append((prop, accepted, control.manual))
    return tuple(switches)


def _configure(cv2: Any, capture: Any, device: str, settings: DeviceSettings) -> None:
    if settings.fourcc is not None:
        _require(
            capture, device, cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*settings.fourcc), settings.fourcc
        )
    # The driver chooses its nearest size and rate; each frame has its real size.
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.size[0])
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.size[1])
    capture.set(cv2.CAP_PROP_FPS, settings.fps)
    if settings.exposure_us is not None:
        manual, unit_us = 1, 100  # V4L2_EXPOSURE_MANUAL; V4L2 counts exposure in 100 microseconds
        _require(capture, device, cv2.CAP_PROP_AUTO_EXPOSURE, manual, "manual exposure")
        _require(
            capture, device, cv2.CAP_PROP_EXPOSURE, max(settings.exposure_us // unit_us, 1), "exposure_us"
        )
    if settings.gain is not None:
        _require(capture, device, cv2.CAP_PROP_GAIN, settings.gain, "gain")
    if settings.white_balance_k is not None:
        _require(capture, device, cv2.CAP_PROP_AUTO_WB, 0, "manual white balance")
        _require(capture, device, cv2.CAP_PROP_WB_TEMPERATURE, settings.white_balance_k, "white_balance_k")


def _require(capture: Any, device: str, prop: int, value: float, name: str) -> None:
    if not capture.set(prop, value):
        raise CameraError(f"{device} doesn't accept {name} = {value:g}; leave it out or try another value")


def decode_jpeg(jpeg: Jpeg, reduction: int) -> Image | None:
    """Decode a JPEG at 1 / `reduction` of its width and height (1, 2, 4 or 8, rounded up); None if damaged.

    The result is RGB uint8 HWC. libjpeg reduces while it decodes: it skips high frequencies.
    """
    cv2 = _import()
    mode = cv2.IMREAD_COLOR if reduction == 1 else getattr(cv2, f"IMREAD_REDUCED_COLOR_{reduction}")
    try:
        picture = cv2.imdecode(jpeg, mode | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    rgb: Image | None = None if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return rgb


def reduce_image(image: Image, size: tuple[int, int]) -> Image:
    """Return the picture at a smaller size, width and height, by the mean of the pixels."""
    cv2 = _import()
    reduced: Image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return reduced


def _import() -> Any:
    # OpenCV reads its time limit at its import; a stalled camera blocks for 10 s by default.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(STALL_S))
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ImportError as exc:
        from edge_daemon.system.pip_hint import install_opencv

        raise CameraError(f"OpenCV can't be imported ({exc}); run {install_opencv()}") from exc
    return cv2


def import_opencv() -> None:
    """Import OpenCV without opening a device. Raises CameraError with the reason."""
    _import()
