"""The Raspberry Pi camera through picamera2."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, Any, Literal

from msgspec import Meta

from edge_daemon.camera.framing import make_frame, sensor_size
from edge_daemon.errors import CameraError
from edge_daemon.options import FramesPerSecond, Options, Size
from edge_daemon.ports import Clock
from edge_daemon.types import Frame

log = logging.getLogger(__name__)

STALL_S = 5.0
"""Without a frame for so long (or three frames, when they are slower) the camera counts as lost."""

_BUFFERS = 4

# What libcamera's bindings and picamera2 raise; a missed deadline is an OSError too.
_FAULTS = (RuntimeError, OSError, ValueError)

ColourGain = Annotated[float, Meta(ge=0, le=32)]


class PicameraControls(Options, frozen=True):
    """Fixed camera controls; None leaves the camera's own automatic."""

    exposure_us: Annotated[int, Meta(ge=1, le=200_000_000)] | None = None
    gain: Annotated[float, Meta(ge=1, le=64)] | None = None
    colour_gains: tuple[ColourGain, ColourGain] | None = None
    """Of red and blue."""
    focus_dioptres: Annotated[float, Meta(ge=0, le=32)] | None = None
    """1 / distance in metres, for cameras with a motor; None focuses continuously."""


class PicameraOptions(Options, frozen=True, tag_field="type", tag="picamera2"):
    """`camera:` with `type: picamera2`. `size` is that of the frame after rotation (clockwise)."""

    size: Size = (640, 480)
    fps: FramesPerSecond = 15.0
    rotation: Literal[0, 90, 180, 270] = 0
    index: Annotated[int, Meta(ge=0, le=7)] = 0
    controls: PicameraControls = PicameraControls()


class PicameraSource:
    """Frames from libcamera's ISP; fulfils ports.FrameSource. Needs picamera2 0.3.19 or newer."""

    lossless = False

    def __init__(self, options: PicameraOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._camera: Any = None
        self._next_seq = 0
        frame_us = max(int(1e6 / options.fps), options.controls.exposure_us or 0)
        self._frame_limits_us = (frame_us, frame_us)
        self._stall_s = max(STALL_S, 3 * frame_us / 1e6)

    def open(self) -> None:
        """Claim and start the camera. Raises CameraError with a hint when it is missing or busy."""
        if self._camera is not None:
            return
        self._camera = self._claim()
        try:
            self._camera.configure(self._configuration(self._camera))
            self._camera.start()
        except _FAULTS as exc:
            self.close()
            raise CameraError(f"camera {self._options.index} refuses its settings: {exc}") from exc
        except CameraError:
            self.close()
            raise

    def read(self) -> Frame:
        """Wait for the next exposure and copy it out. Raises CameraError when none comes."""
        if self._camera is None:
            raise CameraError("the camera is closed; open it before reading")
        try:
            request = self._camera.capture_request(wait=self._stall_s)
            try:
                return self._frame(request)
            finally:
                request.release()
        except TimeoutError as exc:
            text = f"camera {self._options.index} sent no frame for {self._stall_s:g} s; check its cable"
            raise CameraError(text) from exc
        except _FAULTS as exc:
            raise CameraError(f"camera {self._options.index} failed: {exc}") from exc

    def close(self) -> None:
        """Stop and release the camera; a fault on the way is logged, for there is no more to do."""
        camera, self._camera = self._camera, None
        if camera is None:
            return
        try:
            # A capture that timed out is still queued, and close() would wait behind it for ever.
            camera.cancel_all_and_flush()
            camera.close()
        except _FAULTS as exc:
            log.warning("camera %d did not close cleanly: %s", self._options.index, exc)

    def _claim(self) -> Any:
        index = self._options.index
        camera_class, allocator_class = import_picamera2()
        try:
            found = len(camera_class.global_camera_info())
            if index >= found:
                raise CameraError(
                    f"no camera {index}: libcamera finds {found}; check the ribbon cable and "
                    "`rpicam-hello --list-cameras`"
                )
            # The allocator first: without it picamera2 would claim the camera, fail, and never let it go.
            return camera_class(index, allocator=allocator_class())
        except _FAULTS as exc:
            raise CameraError(
                f"camera {index} can't be opened ({exc}); another program may hold it, "
                "or the user isn't in group 'video'"
            ) from exc

    def _configuration(self, camera: Any) -> Any:
        from libcamera import Transform

        upside_down = self._options.rotation == 180
        return camera.create_video_configuration(
            # libcamera names formats from the high byte down: its BGR888 is R, G, B in memory.
            main={"format": "BGR888", "size": sensor_size(self._options.size, self._options.rotation)},
            controls=self._controls(camera.camera_controls),
            transform=Transform(hflip=upside_down, vflip=upside_down),
            buffer_count=_BUFFERS,
            # Hold no finished frame back: a press must get one that was exposed after it.
            queue=False,
        )

    def _controls(self, offered: Any) -> dict[str, object]:
        """Return libcamera's controls. Fixing one of exposure, gain, colour or focus stops its automatic."""
        wanted = self._options.controls
        fixed = {
            "ExposureTime": wanted.exposure_us,
            "AnalogueGain": wanted.gain,
            "ColourGains": wanted.colour_gains,
            "LensPosition": wanted.focus_dioptres,
        }
        controls: dict[str, object] = {name: value for name, value in fixed.items() if value is not None}
        if missing := [name for name in controls if name not in offered]:
            raise CameraError(f"camera {self._options.index} has no control {', '.join(missing)}")
        if "AfMode" in offered:
            from libcamera import controls as libcamera_controls

            modes = libcamera_controls.AfModeEnum
            controls["AfMode"] = modes.Continuous if wanted.focus_dioptres is None else modes.Manual
        if "FrameDurationLimits" in offered:
            controls["FrameDurationLimits"] = self._frame_limits_us
        return controls

    def _frame(self, request: Any) -> Frame:
        """Copy a request's picture. Half turns are the ISP's work, quarter turns ours."""
        rotation = 0 if self._options.rotation == 180 else self._options.rotation
        stamp_ns = request.get_metadata().get("SensorTimestamp")
        seq = self._next_seq
        self._next_seq += 1
        return make_frame(
            request.make_array("main"),
            seq,
            self._clock,
            rotation=rotation,
            stamp_s=stamp_ns / 1e9 if stamp_ns else None,
        )


def import_picamera2() -> tuple[Any, Any]:
    """Return the classes of the camera and of the memory its frames lie in. Raises CameraError."""
    # Late: importing picamera2 opens libcamera's devices.
    try:
        from picamera2 import Picamera2
        from picamera2.allocators import DmaAllocator
    except ModuleNotFoundError as exc:
        raise CameraError(
            f"picamera2 can't be imported ({exc}); run `sudo apt install python3-picamera2` "
            "and use a virtual environment made with --system-site-packages"
        ) from exc
    except (ImportError, ValueError, OSError) as exc:  # a numpy of another ABI is one of the first two
        numpy = sys.modules.get("numpy")
        found = f"numpy {numpy.__version__} of {numpy.__path__[0]}" if numpy else "none"
        raise CameraError(
            f"picamera2 can't be imported ({' '.join(str(exc).split())}). It is compiled for apt's numpy; "
            f"imported here is {found}. If that is another, `sudo scripts/install` (in a source tree "
            "scripts/run) leaves apt's in its place"
        ) from exc
    return Picamera2, DmaAllocator
