"""Choice of the camera for `edge-daemon try`: the first that delivers a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edge_daemon.camera.factory import CameraOptions, open_camera
from edge_daemon.config.camera import PicameraOptions, V4l2Options
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import Clock, FrameSource
from edge_daemon.system.pip_hint import install_opencv

_SYSFS = Path("/sys/class/video4linux")


@dataclass(frozen=True)
class CameraChoice:
    """The camera that works, or None; `faults` has a line for each camera that doesn't."""

    options: PicameraOptions | V4l2Options | None
    faults: tuple[str, ...] = ()


def find_cameras(sysfs: Path = _SYSFS) -> list[PicameraOptions | V4l2Options]:
    """Return the cameras to try in order: a module of a Raspberry Pi, then USB cameras by their number.

    A camera's further devices, such as that of its metadata, have an `index` other than 0. The devices of a
    board's own camera interface are left to libcamera.
    """
    module: list[PicameraOptions | V4l2Options] = [PicameraOptions()] if find_spec("picamera2") else []
    devices = sorted(sysfs.glob("video*"), key=lambda path: int(path.name.removeprefix("video")))
    return module + [V4l2Options(device=f"/dev/{path.name}") for path in devices if _is_camera(path)]


def choose_camera(
    cameras: Iterable[PicameraOptions | V4l2Options],
    clock: Clock,
    open_source: Callable[[CameraOptions, Clock], FrameSource] = open_camera,
) -> CameraChoice:
    """Open the cameras in order, and return the first that delivers a frame. It is closed again."""
    faults = []
    for options in cameras:
        if isinstance(options, V4l2Options) and find_spec("cv2") is None:
            faults.append(f"{options.device} needs OpenCV; run {install_opencv()}")
            continue
        source = open_source(options, clock)
        try:
            source.open()
            source.read()
        except CameraError as exc:
            faults.append(str(exc))
        else:
            return CameraChoice(options, tuple(faults))
        finally:
            source.close()
    return CameraChoice(None, tuple(faults))


def _is_camera(path: Path) -> bool:
    where = str(path.resolve())
    try:
        first = (path / "index").read_text().strip() == "0"
    except OSError:  # unplugged meanwhile
        return False
    return first and ("/usb" in where or "/virtual/" in where)
