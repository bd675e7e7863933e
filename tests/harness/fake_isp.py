"""Camera modules, and the automatic controls of an image processor, as libcamera reports them on a Pi."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

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
