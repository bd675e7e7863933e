"""Frame source for the Raspberry Pi camera. The only file that imports picamera2."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edge_daemon.board.identity import read_board
from edge_daemon.camera.field_of_view import (
    Dimensions,
    FieldOfView,
    Rectangle,
    as_dimensions,
    as_rectangle,
    largest_crop,
    sensor_sizes,
    shows_all,
)
from edge_daemon.camera.frames import make_frame, sensor_size
from edge_daemon.camera.held_requests import MAX_HELD, REQUEST_FAULTS, HeldRequest, HeldRequests
from edge_daemon.camera.libcamera_controls import (
    build_controls,
    focus_window_controls,
    full_range_colours,
    sensor_transform,
)
from edge_daemon.camera.second_stream import SmallStream, agrees, small_stream
from edge_daemon.camera.tuning_file import tuning_arguments
from edge_daemon.config.camera import PicameraOptions
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.lazy_picture import LazyPicture
from edge_daemon.domain.types import Frame

if TYPE_CHECKING:
    from edge_daemon.camera.automatic_controls import AutomaticControls
    from edge_daemon.camera.control_lock import ControlLock, Values
    from edge_daemon.domain.types import Image

log = logging.getLogger(__name__)

STALL_S = 5.0
"""Time without a frame after which the camera counts as lost; at least three frame intervals."""

BUFFERS = 4
"""Number of buffers that the camera always has, in addition to those of frames that are held."""

CHECK_EVERY = 15
"""Number of frames between two comparisons of the streams, until one shows enough detail."""

_FAULTS = (*REQUEST_FAULTS, LookupError)


class PicameraSource:
    """Frames from libcamera's ISP; implements interfaces.FrameSource. Needs picamera2 0.3.19 or newer.

    `min_scale` is the smallest scale that the pipeline needs of a frame. If it is small enough, the ISP
    delivers a second stream of that size, and the large picture is copied only for those who ask for it.
    """

    lossless = False

    def __init__(self, options: PicameraOptions, clock: Clock, min_scale: float = 1.0) -> None:
        self.options = options
        self._clock = clock
        self._camera: Any = None
        self.models: tuple[str, ...] = ()
        """Models of the cameras that libcamera found at the last `open`, by index."""
        self._next_seq = 0
        frame_us = max(int(1e6 / options.fps), options.controls.exposure_us or 0)
        self._frame_limits_us = (frame_us, frame_us)
        self._stall_s = max(STALL_S, 3 * frame_us / 1e6)
        self.view: FieldOfView | None = None
        """Field of view of the open camera; None before the first `open`."""
        self.automatic: AutomaticControls | None = None
        """Controls of the open camera that are locked after they have settled; None if there are none."""
        self._lock: ControlLock | None = None
        self._metadata: Mapping[str, Any] = {}
        self._min_scale = min_scale
        self._small: SmallStream | None = None
        """The second stream of the open camera; None without one."""
        self._is_compared = False
        self._held = HeldRequests()
        self._last: LazyPicture | None = None

    def open(self) -> None:
        """Acquire and start the camera. Raises CameraError with a hint when it is missing or busy."""
        if self._camera is not None:
            return
        self._camera = self._acquire()
        try:
            self._configure(self._camera)
            self.automatic = self._automatic_controls(self._camera) if self.options.lock else None
            self._camera.start()
        except _FAULTS as exc:
            self.close()
            raise CameraError(f"camera {self.options.index} refuses its settings: {exc}") from exc
        except CameraError:
            self.close()
            raise

    def read(self) -> Frame:
        """Wait for the next exposure and return a copy. Raises CameraError when none arrives."""
        if self._camera is None:
            raise CameraError("the camera is closed; open it before reading")
        try:
            self._held.release_unused()
            request = self._camera.capture_request(wait=self._stall_s)
            if self._small is not None:
                return self._make_frame(self._hold(request, self._small), request)
            try:
                return self._make_frame(request.make_array("main"), request)
            finally:
                request.release()
        except TimeoutError as exc:
            text = f"camera {self.options.index} sent no frame for {self._stall_s:g} s; check its cable"
            raise CameraError(text) from exc
        except _FAULTS as exc:
            raise CameraError(f"camera {self.options.index} failed: {exc}") from exc

    def close(self) -> None:
        """Stop and release the camera. A fault is logged, not raised."""
        camera, self._camera, self._last = self._camera, None, None
        self._held.release_all()
        if camera is None:
            return
        try:
            # A capture that timed out is still queued; close() would wait for it without end.
            camera.cancel_all_and_flush()
            camera.close()
        except _FAULTS as exc:
            log.warning("camera %d did not close cleanly: %s", self.options.index, exc)

    @property
    def values(self) -> Values:
        """Control values of the last frame."""
        from edge_daemon.camera.libcamera_lock import control_values

        return control_values(self._metadata)

    def _acquire(self) -> Any:
        index = self.options.index
        camera_class, allocator_class = import_picamera2()
        try:
            with tuning_arguments(camera_class, self.options.tuning_file) as tuning:
                found = camera_class.global_camera_info()
                if index >= len(found):
                    raise CameraError(_missing(index, found))
                self.models = tuple(str(each.get("Model", "?")) for each in found)
                # The allocator comes first: without it picamera2 would acquire the camera, fail, and keep it.
                return camera_class(index, allocator=allocator_class(), **tuning)
        except _FAULTS as exc:
            raise CameraError(
                f"camera {index} can't be opened ({exc}); another program may hold it, "
                "or the user isn't in group 'video'"
            ) from exc

    def _configure(self, camera: Any) -> None:
        """Configure the camera with its whole field of view, if libcamera can set a crop.

        Such a camera has an ISP, which can deliver a second stream.
        """
        self._small, self._is_compared = None, False
        if "ScalerCrop" not in camera.camera_controls:
            camera.configure(self._configuration(camera, {}))
            self.view = FieldOfView(self.models[self.options.index])
        elif (small := self._small_stream(camera)) is None or not self._configure_two(camera, small):
            self._configure_full_view(camera)
        log.info("camera %d: %s", self.options.index, self.view)

    def _small_stream(self, camera: Any) -> SmallStream | None:
        """Return the second stream to ask for; None where it is switched off or no gain."""
        if not self.options.second_stream:
            return None
        # Only the Pi 5 and later scale the second stream to RGB.
        has_rgb = getattr(getattr(camera, "platform", None), "name", "") == "PISP"
        large = sensor_size(self.options.size, self.options.rotation)
        return small_stream(large, self._min_scale, BUFFERS + MAX_HELD, has_rgb=has_rgb)

    def _configure_two(self, camera: Any, small: SmallStream) -> bool:
        """Configure both streams; return False for a camera that refuses the second one."""
        self._small = small
        try:
            self._configure_full_view(camera)
            found = camera.camera_configuration()["lores"]
            if (found["format"], as_dimensions(found["size"])) != (small.format, small.size):
                raise ValueError(f"it is {found['format']} of {found['size']}")
        except _FAULTS as exc:
            log.info("camera %d has no second stream (%s)", self.options.index, exc)
            self._small = None
        return self._small is not None

    def _configure_full_view(self, camera: Any) -> None:
        """Configure the smallest mode with the whole view, and its largest crop of the frame's shape."""
        sensor = as_dimensions(camera.sensor_resolution)
        size = sensor_size(self.options.size, self.options.rotation)
        crop = largest_crop(self._select_mode(camera, sensor, size), size)
        controls: dict[str, object] = {"ScalerCrop": crop, **focus_window_controls(self.options, crop)}
        if "ScalerCrops" in camera.camera_controls:  # where each stream has its own, which takes precedence
            controls["ScalerCrops"] = [crop] * (1 if self._small is None else 2)
        camera.set_controls(controls)
        mode = (camera.camera_configuration().get("sensor") or {}).get("output_size")
        self.view = FieldOfView(
            self.models[self.options.index],
            sensor,
            as_dimensions(mode) if mode else None,
            crop,
            self._max_fps(camera),
        )

    def _select_mode(self, camera: Any, sensor: Dimensions, size: Dimensions) -> Rectangle:
        """Configure the smallest mode that reads the whole sensor; return the part that the mode reads.

        Modes are tried one by one: `sensor_modes` would try the largest too, for which a Zero 2 W lacks the
        memory (picamera2 issue 1358). ScalerCrop's maximum is the part of the sensor that the mode reads.
        """
        readout: Rectangle = (0, 0, *sensor)
        for mode in sensor_sizes(sensor, size):
            # No raw stream: nothing reads its pictures, and its buffers would take memory.
            camera.configure(self._configuration(camera, {"sensor": {"output_size": mode}, "raw": None}))
            readout = as_rectangle(camera.camera_controls["ScalerCrop"][1])
            if shows_all(readout, sensor):
                break
        return readout

    def _max_fps(self, camera: Any) -> float | None:
        """Return the mode's highest frame rate; log a warning if it is below the configured one."""
        min_frame_us = camera.camera_controls.get("FrameDurationLimits", (0,))[0]
        if not min_frame_us:
            return None
        max_fps = 1e6 / min_frame_us
        if max_fps < self.options.fps - 0.5:
            text = "camera %d gives at most %.0f frames/s with its whole view, not %g; lower camera.fps"
            log.warning(text, self.options.index, max_fps, self.options.fps)
        return float(max_fps)

    def _configuration(self, camera: Any, more: Mapping[str, object]) -> Any:
        if (small := self._small) is not None:
            streams = {"lores": {"format": small.format, "size": small.size}}
            more = {**more, **streams, "colour_space": full_range_colours()}
        return camera.create_video_configuration(
            # libcamera names formats from the high byte down: its BGR888 is R, G, B in memory.
            main={"format": "BGR888", "size": sensor_size(self.options.size, self.options.rotation)},
            controls=build_controls(self.options, camera.camera_controls, self._frame_limits_us),
            transform=sensor_transform(self.options.rotation),
            buffer_count=BUFFERS if small is None else BUFFERS + MAX_HELD,
            # Queue no finished frame: a press needs one that was exposed after it.
            queue=False,
            **more,
        )

    @property
    def _rotation(self) -> int:
        """Clockwise rotation that is left to this program: the ISP does half turns."""
        return 0 if self.options.rotation == 180 else self.options.rotation

    def _hold(self, request: Any, small: SmallStream) -> LazyPicture:
        """Return a request's picture, of which the scales that were asked of the last one are copied."""
        held = self._held.hold(request, self._rotation, small)
        wide, high = sensor_size(self.options.size, self.options.rotation)
        small_scale = min(small.size[0] / wide, small.size[1] / high)
        expected = {small_scale} if self._last is None else self._last.expected_next()

        def load(scale: float, larger: Image | None) -> Image | None:
            return held.copy_large() if scale == 1 else held.copy_small()

        picture = LazyPicture(self.options.size, (small_scale, 1.0), load, expected)
        picture.preload()
        self._last = picture
        if not self._is_compared and self._next_seq % CHECK_EVERY == 0:
            self._compare(held)
        return picture

    def _compare(self, held: HeldRequest) -> None:
        """Use the large picture alone from the next frame on, if the small one is not the same, reduced."""
        large, small = held.copy_large(), held.copy_small()
        verdict = None if large is None or small is None else agrees(large, small)
        self._is_compared = verdict is not None
        if verdict is False:
            self._small = None
            log.warning(
                "camera %d: its second stream is not its picture, reduced; it is not used", self.options.index
            )

    def _make_frame(self, pixels: Image | LazyPicture, request: Any) -> Frame:
        """Return the frame of a request's picture."""
        metadata = request.get_metadata()
        stamp_ns = metadata.get("SensorTimestamp")
        seq = self._next_seq
        self._next_seq += 1
        frame = make_frame(
            pixels,
            seq,
            self._clock,
            rotation=self._rotation,
            owned=True,
            stamp_s=stamp_ns / 1e9 if stamp_ns else None,
        )
        self._metadata = metadata
        if self.automatic is not None:
            self.automatic.watch(frame, metadata)
        return frame

    def _automatic_controls(self, camera: Any) -> AutomaticControls | None:
        """Return the controls to lock, if any. They settle again, to former values in the same light."""
        from edge_daemon.camera.control_lock import ControlLock
        from edge_daemon.camera.libcamera_lock import automatic_controls

        self._lock = self._lock or ControlLock()
        self._lock.restart()
        return automatic_controls(camera, self.options, self._lock)


def import_picamera2() -> tuple[Any, Any]:
    """Return picamera2's classes of the camera and of its buffers' allocator. Raises CameraError."""
    # Late: importing picamera2 opens libcamera's devices.
    try:
        from picamera2 import Picamera2
        from picamera2.allocators import DmaAllocator
    except ModuleNotFoundError as exc:
        if exc.name == "picamera2" and "Raspberry Pi" not in read_board().name:
            raise CameraError(
                "picamera2 is missing; only a Raspberry Pi has it, for its camera module. For a USB camera "
                "set camera.type to v4l2, in the configuration or with --set camera.type=v4l2"
            ) from exc
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
    """Return the error for a missing camera, with the cameras found; a Pi 5 has two connectors."""
    others = ", ".join(f"{number} {each.get('Model', '?')}" for number, each in enumerate(found))
    return (
        f"no camera {index}: libcamera finds {len(found)}; check the ribbon cable and "
        f"`rpicam-hello --list-cameras`{f', or set camera.index ({others})' if others else ''}"
    )
