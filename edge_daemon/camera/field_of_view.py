"""Geometry of a sensor's modes and crops: pure functions of sizes and rectangles.

A rectangle is (x, y, width, height) in pixels of the whole sensor, like libcamera's ScalerCrop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

Dimensions: TypeAlias = tuple[int, int]
Rectangle: TypeAlias = tuple[int, int, int, int]

BINNINGS = (4, 2, 1)
"""Divisors of the sensor's size for which sensors have modes with the whole view, cheapest first."""

_FULL_SHARE = 0.99
"""Least share of both sides that counts as the whole view: some drivers leave out a margin."""


def as_dimensions(value: Iterable[int]) -> Dimensions:
    """Return a size of libcamera's as numbers."""
    width, height = value
    return int(width), int(height)


def as_rectangle(value: Iterable[int]) -> Rectangle:
    """Return a rectangle of libcamera's as numbers."""
    x, y, width, height = value
    return int(x), int(y), int(width), int(height)


def sensor_sizes(sensor: Dimensions, size: Dimensions) -> Iterator[Dimensions]:
    """Yield mode sizes to try for a picture of `size`: at least as large, or the whole sensor.

    An imx219 reads 640x480 from its middle 1280x960 of 3280x2464 pixels, but 1640x1232 from all of them
    (`rpicam-hello --list-cameras`, raspberrypi/documentation pull request 2587).
    """
    for binning in BINNINGS:
        width, height = sensor[0] // binning, sensor[1] // binning
        if binning == 1 or (width >= size[0] and height >= size[1]):
            yield width, height


def shows_all(readout: Rectangle, sensor: Dimensions) -> bool:
    """Return whether `readout` covers the sensor except for a margin."""
    return readout[2] >= _FULL_SHARE * sensor[0] and readout[3] >= _FULL_SHARE * sensor[1]


def largest_crop(readout: Rectangle, size: Dimensions) -> Rectangle:
    """Return the largest centred part of `readout` with the aspect ratio of `size`."""
    x, y, width, height = readout
    if width * size[1] >= height * size[0]:
        wide, high = height * size[0] // size[1], height
    else:
        wide, high = width, width * size[1] // size[0]
    return x + (width - wide) // 2, y + (height - high) // 2, wide, high


def on_sensor(box: tuple[float, float, float, float], crop: Rectangle, rotation: int) -> Rectangle:
    """Map a box of the rotated picture, in fractions, to the sensor.

    The sensor applies half turns itself, so only quarter turns are undone.
    """
    left, top, wide, high = box
    if rotation == 90:
        left, top, wide, high = top, 1 - left - wide, high, wide
    elif rotation == 270:
        left, top, wide, high = 1 - top - high, left, high, wide
    x, y, width, height = crop
    return x + round(left * width), y + round(top * height), round(wide * width), round(high * height)


@dataclass(frozen=True, slots=True)
class FieldOfView:
    """Field of view of an open camera; None for values that libcamera doesn't report.

    `sensor` and `mode` are sizes in pixels, `crop` is the part of the sensor in the frame, and
    `max_fps` is the mode's highest frame rate.
    """

    model: str
    sensor: Dimensions | None = None
    mode: Dimensions | None = None
    crop: Rectangle | None = None
    max_fps: float | None = None

    @property
    def share(self) -> float:
        """Share of the sensor's pixels in the picture; 1 if unknown."""
        if self.crop is None or self.sensor is None:
            return 1.0
        return min(1.0, self.crop[2] * self.crop[3] / (self.sensor[0] * self.sensor[1]))

    def __str__(self) -> str:
        parts = [self.model]
        if self.mode is not None:
            parts.append(f"mode {self.mode[0]}x{self.mode[1]}")
        if self.crop is not None and self.sensor is not None:
            x, y, width, height = self.crop
            parts.append(f"crop {width}x{height} at {x},{y} of {self.sensor[0]}x{self.sensor[1]}")
        return ", ".join(parts)


def full_view_size(sensor: Dimensions, size: Dimensions, rotation: int) -> Dimensions:
    """Return a size for the rotated picture with the sensor's shape and the longer side of `size`."""
    wide, high = sensor if rotation % 180 == 0 else (sensor[1], sensor[0])
    scale = max(size) / max(wide, high)
    return round(wide * scale / 2) * 2, round(high * scale / 2) * 2
