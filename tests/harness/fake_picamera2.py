"""A picamera2 and libcamera for machines without a Pi: what their API does that matters to us.

Modelled on picamera2 0.3.3x: frames live in a ring of buffers that the camera fills again once
released; formats are named from the high byte down; unknown controls, odd sizes and a second owner
are refused; a capture that timed out stays queued and blocks `close` until it is flushed; a camera whose
allocator fails when it was claimed already stays claimed forever. The sensor mode is the one that libcamera
scores nearest to the size asked for, which is that of the main picture if no other is named. The tuning file
is read when the cameras are first listed. Exposure, white balance and focus follow the scene, as libcamera's
do on a Pi: a control acts some frames after it was set, an exposure or gain counts in manual mode only (since
libcamera 0.5; before, a value other than zero is manual), and the metadata is that of the frame.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

SCENE_TOP_LEFT = (200, 40, 10)
"""RGB of the upper left quarter; the rest of the scene is black."""


Size = tuple[int, int]
Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True)
class Sensor:
    """A camera module; `modes` give what each reads of the sensor and its most frames/s.

    Figures of `rpicam-hello --list-cameras`.
    """

    model: str
    size: Size
    modes: dict[Size, tuple[Rectangle, float]]


IMX219 = Sensor(
    "imx219",
    (3280, 2464),
    {
        (640, 480): ((1000, 752, 1280, 960), 206.65),
        (1640, 1232): ((0, 0, 3280, 2464), 41.85),
        (1920, 1080): ((680, 692, 1920, 1080), 47.57),
        (3280, 2464): ((0, 0, 3280, 2464), 21.19),
    },
)
IMX477 = Sensor(
    "imx477",
    (4056, 3040),
    {
        (1332, 990): ((696, 528, 2664, 1980), 120.05),
        (2028, 1080): ((0, 440, 4056, 2160), 50.03),
        (2028, 1520): ((0, 0, 4056, 3040), 40.01),
        (4056, 3040): ((0, 0, 4056, 3040), 10.0),
    },
)
IMX708 = Sensor(
    "imx708_noir",
    (4608, 2592),
    {
        (1536, 864): ((768, 432, 3072, 1728), 120.13),
        (2304, 1296): ((0, 0, 4608, 2592), 56.03),
        (4608, 2592): ((0, 0, 4608, 2592), 14.35),
    },
)
OV5647 = Sensor(
    "ov5647",
    (2592, 1944),
    {
        (640, 480): ((16, 0, 2560, 1920), 58.92),
        (1296, 972): ((0, 0, 2592, 1944), 43.25),
        (1920, 1080): ((348, 434, 1928, 1080), 30.62),
        (2592, 1944): ((0, 0, 2592, 1944), 15.63),
    },
)
IMX296 = Sensor("imx296_mono", (1456, 1088), {(1456, 1088): ((0, 0, 1456, 1088), 60.38)})


CONTROL_DELAY = 4
"""Number of frames until a control that was set has its effect."""


@dataclass
class Isp:
    """Exposure, white balance and focus, and the scene that they follow. At a light of 1.0 nothing moves."""

    light: float = 1.0
    colour: tuple[float, float] = (1.5, 1.8)
    """Gains of red and blue under which the scene is neutral."""
    distance_dioptres: float = 2.0
    hunting: float = 0.0
    """Amplitude by which the focus swings."""
    scene: npt.NDArray[np.uint8] | None = None
    """The picture at the right exposure; None is the coloured quarter."""
    exposure_us: float = 10_000.0
    gain: float = 1.0
    colour_gains: tuple[float, float] = (1.5, 1.8)
    lens: float = 2.0
    manual: dict[str, Any] = field(default_factory=dict)
    """Controls in manual mode by name."""
    frames: int = 0

    def expose(self) -> None:
        """Move the automatic controls towards the scene by one frame."""
        self.frames += 1
        wanted = min(max(10_000.0 / self.light, 50.0), 33_000.0 * 8)
        wanted = self.exposure_us * self.gain * (wanted / (self.exposure_us * self.gain)) ** 0.3
        gain = self.manual.get("AnalogueGain", 1.0)
        exposure_us = self.manual.get("ExposureTime") or min(wanted / gain, 33_000.0)
        self.gain = self.manual.get("AnalogueGain") or max(wanted / exposure_us, 1.0)
        self.exposure_us = exposure_us
        towards = [old + 0.1 * (new - old) for old, new in zip(self.colour_gains, self.colour, strict=True)]
        self.colour_gains = self.manual.get("ColourGains") or (towards[0], towards[1])
        swing = self.hunting * (-1) ** (self.frames // 5)
        self.lens = self.manual.get("LensPosition", self.distance_dioptres + swing)

    @property
    def level(self) -> float:
        """Brightness of the picture relative to the right exposure."""
        return self.light * self.exposure_us * self.gain / 10_000.0

    def set(self, controls: dict[str, Any], offered: tuple[str, ...]) -> None:
        """Apply controls, with the semantics of the modes that are offered."""
        modes = {"ExposureTime": "ExposureTimeMode", "AnalogueGain": "AnalogueGainMode"}
        for control, mode in modes.items():
            if controls.get(mode) == "auto" or (mode not in offered and controls.get(control) == 0):
                self.manual.pop(control, None)
            elif controls.get(mode) == "manual" or (mode not in offered and controls.get(control)):
                self.manual[control] = self.exposure_us if control == "ExposureTime" else self.gain
            if control in controls and control in self.manual:
                self.manual[control] = controls[control]
        if controls.get("AwbEnable") is True or controls.get("ColourGains") == (0.0, 0.0):
            self.manual.pop("ColourGains", None)
        elif "ColourGains" in controls:
            self.manual["ColourGains"] = controls["ColourGains"]
        if controls.get("AfMode") == "continuous":
            self.manual.pop("LensPosition", None)
        elif controls.get("AfMode") == "manual":
            self.manual["LensPosition"] = controls.get("LensPosition", self.lens)

    def metadata(self, offered: tuple[str, ...]) -> dict[str, object]:
        """Return the metadata of the frame."""
        settled = 0.97 < self.level < 1.03 or "ExposureTime" in self.manual
        values: dict[str, object] = {
            "ExposureTime": round(self.exposure_us),
            "AnalogueGain": self.gain,
            "DigitalGain": 1.0,
            "ColourGains": self.colour_gains,
        }
        values |= {"AeState": 2 if settled else 1} if "ExposureTimeMode" in offered else {"AeLocked": settled}
        if "LensPosition" in offered:
            values |= {"LensPosition": self.lens, "AfState": 1 if self.hunting else 2}
        return values


@dataclass
class Rig:
    """The hardware behind the fake: what a test may do to it, and what was asked of it."""

    cameras: int = 1
    sensor: Sensor = IMX219
    held_by_another: bool = False
    no_memory: bool = False
    """The heap that frames lie in can't be opened."""
    stalled: bool = False
    unplugged: bool = False
    stamp_s: float = 0.0
    isp: Isp = field(default_factory=Isp)
    controls: tuple[str, ...] = (
        "ExposureTime",
        "AnalogueGain",
        "ColourGains",
        "FrameDurationLimits",
        "ScalerCrop",
    )
    tunings: dict[str, object] = field(default_factory=dict)
    """Files in libcamera's own folder."""
    tuning: object = None
    """The tuning file that libcamera read when it listed the cameras."""
    listed: bool = False
    modes_tried: list[Size] = field(default_factory=list)
    owner: Any = None
    configuration: Any = None
    controls_set: dict[str, Any] = field(default_factory=dict)
    requests_out: int = 0


def install(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Put the fakes where `import picamera2` and `import libcamera` find them."""
    rig = Rig()
    picamera2, libcamera = ModuleType("picamera2"), ModuleType("libcamera")
    allocators = ModuleType("picamera2.allocators")
    allocators.DmaAllocator = type("DmaAllocator", (_DmaAllocator,), {"rig": rig})  # type: ignore[attr-defined]
    picamera2.Picamera2 = type("Picamera2", (_Picamera2,), {"rig": rig})  # type: ignore[attr-defined]
    libcamera.Transform = SimpleNamespace  # type: ignore[attr-defined]
    modes = SimpleNamespace(Manual="manual", Auto="auto", Continuous="continuous")
    switch = SimpleNamespace(Manual="manual", Auto="auto")
    libcamera.controls = SimpleNamespace(  # type: ignore[attr-defined]
        AfModeEnum=modes,
        ExposureTimeModeEnum=switch,
        AnalogueGainModeEnum=switch,
        AfTriggerEnum=SimpleNamespace(Start="start"),
        AfMeteringEnum=SimpleNamespace(Windows="windows"),
        AeFlickerModeEnum=SimpleNamespace(Manual="manual"),
    )
    monkeypatch.setitem(sys.modules, "picamera2", picamera2)
    monkeypatch.setitem(sys.modules, "picamera2.allocators", allocators)
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    return rig


class _DmaAllocator:
    rig: Rig

    def __init__(self) -> None:
        if self.rig.no_memory:
            raise RuntimeError("Could not open any dmaHeap device")


class _Picamera2:
    rig: Rig

    @classmethod
    def global_camera_info(cls) -> list[dict[str, object]]:
        if not cls.rig.listed:
            cls.rig.listed = True
            file = os.environ.get("LIBCAMERA_RPI_TUNING_FILE")
            cls.rig.tuning = json.loads(Path(file).read_text()) if file else None
        return [{"Model": cls.rig.sensor.model, "Num": number} for number in range(cls.rig.cameras)]

    @classmethod
    def load_tuning_file(cls, tuning_file: str, dir: str | None = None) -> object:
        if dir is None and tuning_file in cls.rig.tunings:
            return cls.rig.tunings[tuning_file]
        if dir is not None and (Path(dir) / tuning_file).is_file():
            return json.loads((Path(dir) / tuning_file).read_text())
        raise RuntimeError("Tuning file not found")

    def __init__(
        self, camera_num: int = 0, tuning: str | None = None, allocator: _DmaAllocator | None = None
    ) -> None:
        if tuning is None:
            os.environ.pop("LIBCAMERA_RPI_TUNING_FILE", None)
        self.global_camera_info()
        if self.rig.held_by_another or self.rig.owner is not None:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.rig.owner = self
        self.sensor_resolution = self.rig.sensor.size
        self.camera_controls: dict[str, tuple[Any, Any, Any]] = dict.fromkeys(self.rig.controls, (0, 100, 1))
        self._started = False
        self._queued_jobs = 0
        self._pending: list[tuple[int, dict[str, Any]]] = []
        self._free: list[npt.NDArray[np.uint8]] = []
        if allocator is None and self.rig.no_memory:
            raise RuntimeError("Could not open any dmaHeap device")

    def create_video_configuration(
        self,
        main: dict[str, Any],
        controls: dict[str, Any],
        transform: Any,
        raw: dict[str, Any] | None = None,
        buffer_count: int = 6,
        queue: bool = True,
        sensor: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        if unknown := set(main) - {"format", "size"}:
            raise ValueError(f"Bad key {unknown}: valid stream configuration keys are ('format', 'size')")
        width, height = main["size"]
        even = {**main, "size": (width - width % 2, height - height % 2)}
        return {
            "main": even,
            "controls": controls,
            "transform": transform,
            "buffer_count": buffer_count,
            "queue": queue,
            "raw": raw,
            "sensor": sensor,
        }

    def configure(self, configuration: dict[str, Any]) -> None:
        assert not self._started
        for name in configuration["controls"]:
            if name not in self.camera_controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        width, height = configuration["main"]["size"]
        count = configuration["buffer_count"]
        self._free = [np.zeros((height, width, 3), np.uint8) for _ in range(count)]
        mode = self._nearest_mode((configuration["sensor"] or {}).get("output_size", (width, height)))
        readout, fps = self.rig.sensor.modes[mode]
        self.rig.modes_tried.append(mode)
        if "ScalerCrop" in self.camera_controls:
            self.camera_controls["ScalerCrop"] = ((0, 0, 64, 64), readout, readout)
        if "FrameDurationLimits" in self.camera_controls:
            self.camera_controls["FrameDurationLimits"] = (round(1e6 / fps), 10_000_000, 33_333)
        self.rig.configuration = {**configuration, "sensor": {"output_size": mode, "bit_depth": 10}}
        self.rig.controls_set = dict(configuration["controls"])
        self._pending = [(0, dict(configuration["controls"]))]

    def _nearest_mode(self, wanted: Size) -> Size:
        """Score as picamera2 does (`_make_libcamera_config`), which copies libcamera; depths are equal."""

        def score(mode: Size) -> float:
            def part(desired: float, actual: float) -> float:
                return (actual - desired) / 4 if actual > desired else (desired - actual) * 2

            shape = part(wanted[0] / wanted[1], mode[0] / mode[1])
            return part(wanted[0], mode[0]) + part(wanted[1], mode[1]) + 1500 * shape

        return min(self.rig.sensor.modes, key=score)

    def set_controls(self, controls: dict[str, Any]) -> None:
        for name in controls:
            if name not in self.camera_controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        self.rig.controls_set |= controls
        self._pending.append((CONTROL_DELAY if self._started else 0, dict(controls)))

    def camera_configuration(self) -> dict[str, Any]:
        return dict(self.rig.configuration)

    def start(self) -> None:
        if self.rig.configuration is None:
            raise RuntimeError("Camera has not been configured")
        self._started = True

    def capture_request(self, wait: float) -> _Request:
        assert self._started
        assert isinstance(wait, float)
        if self.rig.unplugged:
            raise RuntimeError("Camera frontend has timed out!")
        if self.rig.stalled or not self._free:
            self._queued_jobs += 1
            raise TimeoutError
        buffer = self._free.pop(0)
        self._apply_pending()
        self._expose(buffer)
        self.rig.requests_out += 1
        return _Request(self, buffer)

    def recycle(self, buffer: npt.NDArray[np.uint8]) -> None:
        buffer[:] = 255
        self._free.append(buffer)
        self.rig.requests_out -= 1

    def cancel_all_and_flush(self) -> None:
        self._queued_jobs = 0

    def close(self) -> None:
        assert self._queued_jobs == 0, "the real close() would never return"
        self._started = False
        self.rig.owner = None
        self.rig.listed = False

    def _apply_pending(self) -> None:
        for delay, controls in self._pending:
            if delay == 0:
                self.rig.isp.set(controls, self.rig.controls)
        self._pending = [(delay - 1, controls) for delay, controls in self._pending if delay]
        self.rig.isp.expose()

    def _expose(self, buffer: npt.NDArray[np.uint8]) -> None:
        in_memory = {"BGR888": SCENE_TOP_LEFT, "RGB888": SCENE_TOP_LEFT[::-1]}
        configuration = self.rig.configuration
        height, width = buffer.shape[:2]
        buffer[:] = 0
        buffer[: height // 2, : width // 2] = in_memory[configuration["main"]["format"]]
        isp = self.rig.isp
        if isp.scene is not None:
            buffer[:] = (isp.scene * isp.level ** (1 / 2.2)).clip(0, 255)
        transform = configuration["transform"]
        buffer[:] = buffer[:: -1 if transform.vflip else 1, :: -1 if transform.hflip else 1].copy()


class _Request:
    def __init__(self, camera: _Picamera2, buffer: npt.NDArray[np.uint8]) -> None:
        self._camera = camera
        self._buffer: npt.NDArray[np.uint8] | None = buffer

    def make_array(self, name: str) -> npt.NDArray[np.uint8]:
        assert name == "main"
        assert self._buffer is not None, "the request was released"
        return self._buffer

    def get_metadata(self) -> dict[str, object]:
        assert self._buffer is not None, "the request was released"
        rig = self._camera.rig
        return {"SensorTimestamp": int(rig.stamp_s * 1e9), **rig.isp.metadata(rig.controls)}

    def release(self) -> None:
        assert self._buffer is not None, "the request was released twice"
        self._camera.recycle(self._buffer)
        self._buffer = None
