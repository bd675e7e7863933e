"""A picamera2 and libcamera for machines without a Pi: what their API does that matters to us.

Modelled on picamera2 0.3.3x: frames live in a ring of buffers that the camera fills again once
released; an array is a copy of its buffer; formats are named from the high byte down; unknown controls, odd
sizes and a second owner are refused; a capture that timed out stays queued and blocks `close` until it is
flushed; a camera whose allocator fails when it was claimed already stays claimed; a second stream is no
larger than the main one, and YUV before the Pi 5. The sensor mode is the one that libcamera scores nearest to
the size asked for, which is that of the main picture if no other is named. The tuning file is read when the
cameras are first listed. Exposure, white balance and focus follow the scene, as libcamera's
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
from PIL import Image as Pillow

from tests.harness.fake_isp import CONTROL_DELAY, IMX219, Isp, Sensor, Size

SCENE_TOP_LEFT = (200, 40, 10)
"""RGB of the upper left quarter; the rest of the scene is black."""


@dataclass
class Rig:
    """The hardware behind the fake: what a test may do to it, and what was asked of it."""

    cameras: int = 1
    sensor: Sensor = IMX219
    platform: str = "VC4"
    """The image processor: VC4, whose second stream is YUV, or PISP (Pi 5)."""
    refuses_second_stream: bool = False
    pads_rows_to: int = 64
    """Multiple of which a row of the second stream's buffer has its length."""
    scaling: str = "mean"
    """Filter of the second stream: `mean` of the pixels, or `nearest`."""
    copies: list[str] = field(default_factory=list)
    """Streams whose buffers were copied."""
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
    second_streams: list[dict[str, Any]] = field(default_factory=list)
    """Second streams that were configured."""
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
    libcamera.ColorSpace = SimpleNamespace(Sycc=lambda: "sYCC")  # type: ignore[attr-defined]
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
        self.platform = SimpleNamespace(name=self.rig.platform)
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
        lores: dict[str, Any] | None = None,
        colour_space: str = "Smpte170m",
    ) -> dict[str, Any]:
        return {
            "main": _even_stream(main),
            "lores": None if lores is None else _even_stream(lores),
            "colour_space": colour_space,
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
        if configuration["lores"] is not None:
            self._check_second_stream(configuration["lores"], (width, height))
            self.rig.second_streams.append(configuration["lores"])
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

    def _check_second_stream(self, lores: dict[str, Any], main: Size) -> None:
        if self.rig.refuses_second_stream:
            raise RuntimeError("Invalid camera configuration")
        if lores["size"][0] > main[0] or lores["size"][1] > main[1]:
            raise RuntimeError("lores stream dimensions may not exceed main stream")
        if self.rig.platform == "VC4" and lores["format"] != "YUV420":
            raise RuntimeError("lores stream must be YUV")
        if self.rig.platform == "PISP":
            self.camera_controls["ScalerCrops"] = ((0, 0, 64, 64), (0, 0, 64, 64), None)

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
        assert self._buffer is not None, "the request was released"
        rig = self._camera.rig
        rig.copies.append(name)
        if name == "main":
            return self._buffer.copy()
        stream = rig.configuration[name]
        small = _scaled(self._buffer, stream["size"], rig.scaling)
        if stream["format"] != "YUV420":
            return small
        assert rig.configuration["colour_space"] == "sYCC", "YUV in the range that is converted"
        return _yuv420(small, rig.pads_rows_to)

    def get_metadata(self) -> dict[str, object]:
        assert self._buffer is not None, "the request was released"
        rig = self._camera.rig
        return {"SensorTimestamp": int(rig.stamp_s * 1e9), **rig.isp.metadata(rig.controls)}

    def release(self) -> None:
        assert self._buffer is not None, "the request was released twice"
        self._camera.recycle(self._buffer)
        self._buffer = None


def _even_stream(stream: dict[str, Any]) -> dict[str, Any]:
    if unknown := set(stream) - {"format", "size"}:
        raise ValueError(f"Bad key {unknown}: valid stream configuration keys are ('format', 'size')")
    width, height = stream["size"]
    return {**stream, "size": (width - width % 2, height - height % 2)}


def _scaled(picture: npt.NDArray[np.uint8], size: Size, filter_: str) -> npt.NDArray[np.uint8]:
    resampling = Pillow.Resampling.BOX if filter_ == "mean" else Pillow.Resampling.NEAREST
    return np.array(Pillow.fromarray(picture).resize(size, resampling))


def _yuv420(picture: npt.NDArray[np.uint8], multiple: int) -> npt.NDArray[np.uint8]:
    """Return the buffer of a picture: rows of Y padded to a multiple, then U and V with rows of half that."""
    planes = [Pillow.fromarray(picture).convert("YCbCr").getchannel(number) for number in range(3)]
    stride = -(-picture.shape[1] // multiple) * multiple
    padded = []
    for plane, reduction in zip(planes, (1, 2, 2), strict=True):
        row = np.asarray(plane.reduce(reduction))
        padding = stride // reduction - row.shape[1]
        padded.append(np.pad(row, ((0, 0), (0, padding)), constant_values=255).ravel())
    return np.concatenate(padded).reshape(-1, stride)
