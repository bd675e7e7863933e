"""The doctor's check of the camera: module, sensor mode, crop, and a picture."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.camera.automatic_controls import describe
from edge_daemon.camera.factory import import_library, open_camera
from edge_daemon.camera.field_of_view import full_view_size
from edge_daemon.camera.picamera import PicameraSource
from edge_daemon.camera.v4l2 import V4l2Source
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.camera import (
    BrowserOptions,
    PicameraOptions,
    ReplayOptions,
    StreamOptions,
    V4l2Options,
)
from edge_daemon.config.schema import Config
from edge_daemon.domain.counted import percent
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import FrameSource
from edge_daemon.domain.types import Frame
from edge_daemon.system.atomic_file import rewritten_file
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.file_owner import user_name

_CAMERA_HINT = "is the cable in? a running service holds the camera: `sudo systemctl stop edge-daemon`"

_TYPE_HINT = "for another camera than a Pi's module set camera.type: v4l2 (USB), stream, browser or replay"

PICTURE_MARK = b"edge-daemon doctor"
"""Comment in the picture; only an earlier picture of the doctor is replaced."""

SETTLING_FRAMES = 15
"""Number of frames until automatic controls have settled, for a camera that can't be locked."""

MAX_SETTLING_S = 8.0
"""Time to wait for a lock of the automatic controls."""

_FULL_VIEW = 0.95
"""Share of the sensor in the picture; a smaller one gets a hint."""


def camera_hint(config: Config) -> str:
    """Return the remedy for a camera that can't be used; empty where the error itself has it."""
    match config.camera:
        case ReplayOptions():
            return f"see camera.path in the configuration, and whether {user_name()} may read it"
        case PicameraOptions():
            return _CAMERA_HINT if _is_library_here(config) else _TYPE_HINT
        case V4l2Options():
            return _CAMERA_HINT if _is_library_here(config) else ""
    return ""


def _is_library_here(config: Config) -> bool:
    try:
        import_library(config.camera)
    except CameraError:
        return False
    return True


def check_camera(config: Config, picture: Path | None = None) -> Check:
    """Open the camera and read a frame; write it to `picture`. Raises CameraError, OutputError."""
    if isinstance(config.camera, BrowserOptions):
        return Check("camera", "ok", "the camera of a browser that shows the page")
    source = open_camera(config.camera, SystemClock())
    try:
        source.open()
        frame = _read_settled(source, unlocked=SETTLING_FRAMES if picture is not None else 0)
        controls = _controls(source)
    except CameraError as exc:
        if not isinstance(config.camera, StreamOptions):
            raise
        return Check("camera", "failed", str(exc))
    finally:
        source.close()
    if frame is None:
        return Check("camera", "failed", "the source has no frame", camera_hint(config))
    detail = ", ".join([_picture(frame), *controls, *_module(source)])
    if picture is not None:
        _write(frame, picture)
        detail += f"; see {picture}"
    if frame.image.mean() < 8:
        return Check(
            "camera",
            "warning",
            detail,
            "the picture is black: check the lens cap, the light and the exposure",
        )
    return Check("camera", "ok", detail, _view_hint(source, config))


def _read_settled(source: FrameSource, unlocked: int) -> Frame | None:
    """Return a frame after the automatic controls were locked; the first picture of a replay.

    `unlocked` is the number of further frames where nothing can be locked.
    """
    first = frame = source.read()
    automatic = source.automatic if isinstance(source, PicameraSource | V4l2Source) else None
    if automatic is None:
        for _ in range(0 if source.lossless else unlocked):
            frame = source.read()
        return frame
    while first and frame and automatic.settling and frame.captured_s - first.captured_s < MAX_SETTLING_S:
        frame = source.read()
    return frame


def _controls(source: FrameSource) -> list[str]:
    """Return exposure, white balance and focus, and whether they are locked; nothing if none is known."""
    if not isinstance(source, PicameraSource | V4l2Source):
        return []
    state = "fixed" if source.options.lock else "not locked"
    if source.automatic is not None:
        state = source.automatic.text
    values = describe(source.values)
    return [f"{values} ({state})"] if values else []


def _picture(frame: Frame) -> str:
    height, width = frame.image.shape[:2]
    return f"{width}x{height}, brightness {frame.image.mean():.0f} of 255"


def _module(source: FrameSource) -> list[str]:
    """Return the module as libcamera describes it, the tuning file, and the index among several cameras."""
    if not isinstance(source, PicameraSource) or source.view is None:
        return []
    models = source.models
    others = ", ".join(f"{number} {model}" for number, model in enumerate(models))
    tuning = source.options.tuning_file
    return [
        str(source.view),
        *([f"tuning {tuning}"] if tuning is not None else []),
        *([f"camera {source.options.index} of {len(models)} ({others})"] if len(models) > 1 else []),
    ]


def _view_hint(source: FrameSource, config: Config) -> str:
    """Return a hint with the size that shows the whole sensor; empty if little is cut off."""
    if not isinstance(source, PicameraSource) or source.view is None or source.view.sensor is None:
        return ""
    view, options = source.view, source.options
    if view.share >= _FULL_VIEW:
        return ""
    width, height = full_view_size(source.view.sensor, options.size, options.rotation)
    share = percent(view.share)
    return f"{share} of the sensor is in the picture; camera.size [{width}, {height}] shows all of it"


def _write(frame: Frame, path: Path) -> None:
    from edge_daemon.imaging.image_io import encode_jpeg

    with rewritten_file(path, PICTURE_MARK) as file:
        file.write(encode_jpeg(frame.image, comment=PICTURE_MARK))
