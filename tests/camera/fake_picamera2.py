"""A picamera2 and libcamera for machines without a Pi: what their API does that matters to us.

Modelled on picamera2 0.3.3x: frames live in a ring of buffers that the camera fills again once
released; formats are named from the high byte down; unknown controls, odd sizes and a second owner
are refused; a capture that timed out stays queued and blocks `close` until it is flushed; a camera whose
allocator fails when it was claimed already stays claimed for ever.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

SCENE_TOP_LEFT = (200, 40, 10)
"""RGB of the upper left quarter; the rest of the scene is black."""


@dataclass
class Rig:
    """The hardware behind the fake: what a test may do to it, and what was asked of it."""

    cameras: int = 1
    held_by_another: bool = False
    no_memory: bool = False
    """The heap that frames lie in can't be opened."""
    stalled: bool = False
    unplugged: bool = False
    stamp_s: float = 0.0
    controls: tuple[str, ...] = ("ExposureTime", "AnalogueGain", "ColourGains", "FrameDurationLimits")
    owner: Any = None
    configuration: Any = None
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
    libcamera.controls = SimpleNamespace(AfModeEnum=modes)  # type: ignore[attr-defined]
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
        return [{"Model": "imx219", "Num": number} for number in range(cls.rig.cameras)]

    def __init__(self, camera_num: int = 0, allocator: _DmaAllocator | None = None) -> None:
        if self.rig.held_by_another or self.rig.owner is not None:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.rig.owner = self
        self.camera_controls = dict.fromkeys(self.rig.controls, (0, 100, 1))
        self._started = False
        self._queued_jobs = 0
        self._free: list[npt.NDArray[np.uint8]] = []
        if allocator is None and self.rig.no_memory:
            raise RuntimeError("Could not open any dmaHeap device")

    def create_video_configuration(
        self,
        main: dict[str, Any],
        controls: dict[str, Any],
        transform: Any,
        buffer_count: int = 6,
        queue: bool = True,
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
        }

    def configure(self, configuration: dict[str, Any]) -> None:
        for name in configuration["controls"]:
            if name not in self.camera_controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        width, height = configuration["main"]["size"]
        count = configuration["buffer_count"]
        self._free = [np.zeros((height, width, 3), np.uint8) for _ in range(count)]
        self.rig.configuration = configuration

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
        assert self._queued_jobs == 0, "the real close() would wait for ever"
        self._started = False
        self.rig.owner = None

    def _expose(self, buffer: npt.NDArray[np.uint8]) -> None:
        in_memory = {"BGR888": SCENE_TOP_LEFT, "RGB888": SCENE_TOP_LEFT[::-1]}
        configuration = self.rig.configuration
        height, width = buffer.shape[:2]
        buffer[:] = 0
        buffer[: height // 2, : width // 2] = in_memory[configuration["main"]["format"]]
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
        return {"SensorTimestamp": int(self._camera.rig.stamp_s * 1e9)}

    def release(self) -> None:
        assert self._buffer is not None, "the request was released twice"
        self._camera.recycle(self._buffer)
        self._buffer = None
