"""The Raspberry Pi camera through picamera2."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from edge_daemon.camera.field_of_view import (
    Dimensions,
    FieldOfView,
    Rectangle,
    largest_crop,
    on_sensor,
    sensor_sizes,
    shows_all,
)
from edge_daemon.camera.frames import make_frame, sensor_size
from edge_daemon.camera.tuning_file import tuning_arguments
from edge_daemon.config.camera import PicameraOptions
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame

log = logging.getLogger(__name__)

STALL_S = 5.0
"""Without a frame for so long (or three frames, when they are slower) the camera counts as lost."""

BUFFERS = 4
"""Of the main stream."""

# What libcamera's bindings and picamera2 raise; a missed deadline is an OSError too.
_FAULTS = (RuntimeError, OSError, ValueError)

_KEYS = {
    "ExposureTime": "exposure_us",
    "AnalogueGain": "gain",
    "ColourGains": "colour_gains",
    "AeFlickerPeriod": "flicker_period_us",
    "LensPosition": "focus_dioptres",
    "AfMode": "focus_mode",
    "AfWindows": "focus_window",
}
"""libcamera's controls and the keys of `camera.controls` that need them."""


class PicameraSource:
    """Frames from libcamera's ISP; fulfils interfaces.FrameSource. Needs picamera2 0.3.19 or newer."""

    lossless = False

    def __init__(self, options: PicameraOptions, clock: Clock) -> None:
        self.options = options
        self._clock = clock
        self._camera: Any = None
        self.models: tuple[str, ...] = ()
        """Of every camera that libcamera found at the last `open`, by index."""
        self._next_seq = 0
        frame_us = max(int(1e6 / options.fps), options.controls.exposure_us or 0)
        self._frame_limits_us = (frame_us, frame_us)
        self._stall_s = max(STALL_S, 3 * frame_us / 1e6)
        self.view: FieldOfView | None = None
        """What the camera delivers; None before the first `open`."""

    def open(self) -> None:
        """Claim and start the camera. Raises CameraError with a hint when it is missing or busy."""
        if self._camera is not None:
            return
        self._camera = self._claim()
        try:
            self._configure(self._camera)
            self._camera.start()
        except _FAULTS as exc:
            self.close()
            raise CameraError(f"camera {self.options.index} refuses its settings: {exc}") from exc
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
            text = f"camera {self.options.index} sent no frame for {self._stall_s:g} s; check its cable"
            raise CameraError(text) from exc
        except _FAULTS as exc:
            raise CameraError(f"camera {self.options.index} failed: {exc}") from exc

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
            log.warning("camera %d did not close cleanly: %s", self.options.index, exc)

    def _claim(self) -> Any:
        index = self.options.index
        camera_class, allocator_class = import_picamera2()
        try:
            with tuning_arguments(camera_class, self.options.tuning_file) as tuning:
                found = camera_class.global_camera_info()
                if index >= len(found):
                    raise CameraError(_missing(index, found))
                self.models = tuple(str(each.get("Model", "?")) for each in found)
                # The allocator first: without it picamera2 would claim the camera, fail, and never let it go.
                return camera_class(index, allocator=allocator_class(), **tuning)
        except _FAULTS as exc:
            raise CameraError(
                f"camera {index} can't be opened ({exc}); another program may hold it, "
                "or the user isn't in group 'video'"
            ) from exc

    def _configure(self, camera: Any) -> None:
        """Configure the camera with its whole field of view where libcamera lets a crop be set."""
        if "ScalerCrop" in camera.camera_controls:
            self._use_whole_view(camera)
        else:
            camera.configure(self._configuration(camera, {}))
            self.view = FieldOfView(self.models[self.options.index])
        log.info("camera %d: %s", self.options.index, self.view)

    def _use_whole_view(self, camera: Any) -> None:
        """Take the smallest mode that reads the whole sensor, and its largest crop of the frame's shape.

        Modes are tried one by one: `sensor_modes` would try the largest too, for which a Zero 2 W lacks the
        memory (picamera2 issue 1358). The most that ScalerCrop can be is what the mode reads of the sensor.
        """
        sensor = _dimensions(camera.sensor_resolution)
        size = sensor_size(self.options.size, self.options.rotation)
        readout: Rectangle = (0, 0, *sensor)
        for mode in sensor_sizes(sensor, size):
            # No raw stream: its buffers would take memory for pictures that nobody reads.
            camera.configure(self._configuration(camera, {"sensor": {"output_size": mode}, "raw": None}))
            readout = _rectangle(camera.camera_controls["ScalerCrop"][1])
            if shows_all(readout, sensor):
                break
        crop = largest_crop(readout, size)
        camera.set_controls({"ScalerCrop": crop, **self._focus_window(crop)})
        chosen = (camera.camera_configuration().get("sensor") or {}).get("output_size")
        self.view = FieldOfView(
            self.models[self.options.index],
            sensor,
            _dimensions(chosen) if chosen else None,
            crop,
            self._most_fps(camera),
        )

    def _most_fps(self, camera: Any) -> float | None:
        """Return the fastest that the mode can go, and warn when that is too slow."""
        least_us = camera.camera_controls.get("FrameDurationLimits", (0,))[0]
        if not least_us:
            return None
        most_fps = 1e6 / least_us
        if most_fps < self.options.fps - 0.5:
            text = "camera %d gives at most %.0f frames/s with its whole view, not %g; lower camera.fps"
            log.warning(text, self.options.index, most_fps, self.options.fps)
        return float(most_fps)

    def _configuration(self, camera: Any, sensor: Mapping[str, object]) -> Any:
        from libcamera import Transform

        upside_down = self.options.rotation == 180
        return camera.create_video_configuration(
            # libcamera names formats from the high byte down: its BGR888 is R, G, B in memory.
            main={"format": "BGR888", "size": sensor_size(self.options.size, self.options.rotation)},
            controls=self._controls(camera.camera_controls),
            transform=Transform(hflip=upside_down, vflip=upside_down),
            buffer_count=BUFFERS,
            # Hold no finished frame back: a press must get one that was exposed after it.
            queue=False,
            **sensor,
        )

    def _controls(self, offered: Any) -> dict[str, object]:
        """Return libcamera's controls. Fixing one of exposure, gain, colour or focus stops its automatic."""
        wanted = self.options.controls
        values = {control: getattr(wanted, key) for control, key in _KEYS.items()}
        values = {control: value for control, value in values.items() if value is not None}
        if missing := [control for control in values if control not in offered]:
            model = f"camera {self.options.index}"
            keys = ", ".join(f"camera.controls.{_KEYS[control]}" for control in missing)
            raise CameraError(f"{model} has no control {', '.join(missing)}; leave {keys} out")
        controls: dict[str, object] = {
            control: value for control, value in values.items() if not control.startswith("Af")
        }
        if wanted.flicker_period_us is not None:
            from libcamera import controls as libcamera_controls

            controls["AeFlickerMode"] = libcamera_controls.AeFlickerModeEnum.Manual
        if "AfMode" in offered:
            controls |= self._focus()
        if "FrameDurationLimits" in offered:
            controls["FrameDurationLimits"] = self._frame_limits_us
        return controls

    def _focus(self) -> dict[str, object]:
        from libcamera import controls as libcamera_controls

        wanted, modes = self.options.controls, libcamera_controls.AfModeEnum
        mode = wanted.focus_mode or ("continuous" if wanted.focus_dioptres is None else "manual")
        if mode == "auto":
            return {"AfMode": modes.Auto, "AfTrigger": libcamera_controls.AfTriggerEnum.Start}
        return {"AfMode": modes.Continuous if mode == "continuous" else modes.Manual}

    def _focus_window(self, crop: tuple[int, int, int, int]) -> dict[str, object]:
        window = self.options.controls.focus_window
        if window is None:
            return {}
        from libcamera import controls as libcamera_controls

        return {
            "AfMetering": libcamera_controls.AfMeteringEnum.Windows,
            "AfWindows": [on_sensor(window, crop, self.options.rotation)],
        }

    def _frame(self, request: Any) -> Frame:
        """Copy a request's picture. Half turns are the ISP's work, quarter turns ours."""
        rotation = 0 if self.options.rotation == 180 else self.options.rotation
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


def _missing(index: int, found: list[Mapping[str, object]]) -> str:
    """Say which cameras there are instead; a Pi 5 has two connectors."""
    others = ", ".join(f"{number} {each.get('Model', '?')}" for number, each in enumerate(found))
    return (
        f"no camera {index}: libcamera finds {len(found)}; check the ribbon cable and "
        f"`rpicam-hello --list-cameras`{f', or set camera.index ({others})' if others else ''}"
    )


def _dimensions(value: Any) -> Dimensions:
    width, height = value
    return int(width), int(height)


def _rectangle(value: Any) -> Rectangle:
    x, y, width, height = value
    return int(x), int(y), int(width), int(height)
