"""Draw small displays of digits: what a camera of 640x480 sees of a meter two metres away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFilter

from edge_daemon.imaging.regions import Box, crop

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

WIDTH, HEIGHT = 8, 10
"""A digit's region, in pixels; the digit itself is 5 x 7."""

_PITCH = 9.5
_LEFT, _TOP = 300.5, 200.5
_FINE = 8
_AREA = (290, 192, 352, 220)

# Segments a to g as lines in a digit 1 wide and 1 high, and which digits light them.
_SEGMENTS = {
    "a": ((0, 0), (1, 0)), "b": ((1, 0), (1, 0.5)), "c": ((1, 0.5), (1, 1)), "d": ((0, 1), (1, 1)),
    "e": ((0, 0.5), (0, 1)), "f": ((0, 0), (0, 0.5)), "g": ((0, 0.5), (1, 0.5)),
}  # fmt: skip
_LIT = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")

# Strokes of printed digits; four numbers are an ellipse (x0, y0, x1, y1), points the corners of a line.
_Corners: TypeAlias = tuple[tuple[float, float], ...]
_Ellipse: TypeAlias = tuple[float, float, float, float]
_PRINTED: tuple[tuple[_Corners | _Ellipse, ...], ...] = (
    ((0.0, 0.0, 1.0, 1.0),),
    (((0.2, 0.25), (0.6, 0.0), (0.6, 1.0)),),
    (((0.0, 0.25), (0.2, 0.0), (0.8, 0.0), (1.0, 0.25), (0.9, 0.5), (0.0, 1.0), (1.0, 1.0)),),
    (((0.0, 0.0), (1.0, 0.0), (0.45, 0.4), (0.9, 0.5), (1.0, 0.75), (0.8, 1.0), (0.2, 1.0), (0.0, 0.85)),),
    (((0.75, 1.0), (0.75, 0.0), (0.0, 0.7), (1.0, 0.7)),),
    (((0.95, 0.0), (0.1, 0.0), (0.05, 0.45), (0.7, 0.4), (1.0, 0.7), (0.7, 1.0), (0.0, 0.95)),),
    ((0.0, 0.4, 1.0, 1.0), ((0.8, 0.0), (0.3, 0.25), (0.0, 0.7))),
    (((0.0, 0.0), (1.0, 0.0), (0.35, 1.0)),),
    ((0.1, 0.0, 0.9, 0.45), (0.0, 0.45, 1.0, 1.0)),
    ((0.0, 0.0, 1.0, 0.6), ((1.0, 0.3), (0.7, 0.75), (0.2, 1.0))),
)


@dataclass(frozen=True, slots=True)
class Light:
    """Lighting and blur of a picture; pixel values 0 to 255, lengths in pixels. `shift` moves the display."""

    gain: float = 1.0
    slope: float = 0.0
    noise: float = 4.0
    blur: float = 0.5
    shift: tuple[float, float] = (0.0, 0.0)


STYLES = {"lcd": (150, 45), "led": (25, 210), "printed": (215, 40)}
"""Background and ink of each kind of display."""


def boxes(count: int) -> list[Box]:
    """Return the regions of a display's digits, each placed to half a pixel."""
    return [Box(_LEFT + index * _PITCH, _TOP, WIDTH, HEIGHT) for index in range(count)]


def random_light(draw: np.random.Generator, reach: float) -> Light:
    """Return a light as it changes over a day, the display up to `reach` pixels off its place."""
    shift = draw.uniform(-reach, reach, 2)
    return Light(
        gain=draw.uniform(0.7, 1.15),
        slope=draw.uniform(-0.4, 0.4),
        noise=draw.uniform(3, 8),
        blur=draw.uniform(0.3, 0.8),
        shift=(float(shift[0]), float(shift[1])),
    )


def draw_frame(style: str, text: str, light: Light, draw: np.random.Generator) -> Image:
    """Return a frame of 640x480 that shows `text`, RGB uint8."""
    ground, ink = STYLES[style]
    picture = Pillow.new("L", ((_AREA[2] - _AREA[0]) * _FINE, (_AREA[3] - _AREA[1]) * _FINE), ground)
    pen = ImageDraw.Draw(picture)
    for index, digit in enumerate(text):
        left = _LEFT - _AREA[0] + index * _PITCH + 1.5 + light.shift[0]
        top = _TOP - _AREA[1] + 1.5 + light.shift[1]
        _draw_digit(pen, style, int(digit), left * _FINE, top * _FINE, ink)
    frame = np.full((480, 640, 3), 90, np.uint8)
    frame[_AREA[1] : _AREA[3], _AREA[0] : _AREA[2]] = _photograph(picture, light, draw)
    return frame


def _draw_digit(pen: ImageDraw.ImageDraw, style: str, digit: int, left: float, top: float, ink: int) -> None:
    wide, high, thick = 5 * _FINE, 7 * _FINE, round(1.1 * _FINE)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x * wide, top + y * high

    if style != "printed":
        for segment in _LIT[digit]:
            pen.line([place(*end) for end in _SEGMENTS[segment]], fill=ink, width=thick)
        return
    for stroke in _PRINTED[digit]:
        if isinstance(stroke[0], tuple):
            pen.line([place(*corner) for corner in stroke], fill=ink, width=thick, joint="curve")
        else:
            x0, y0, x1, y1 = stroke
            pen.ellipse([place(x0, y0), place(x1, y1)], outline=ink, width=thick)


def _photograph(picture: Pillow.Image, light: Light, draw: np.random.Generator) -> Image:
    """Shrink to camera pixels, blur, light and add the sensor's noise."""
    small = picture.resize((picture.width // _FINE, picture.height // _FINE), Pillow.Resampling.BOX)
    pixels = np.asarray(small.filter(ImageFilter.GaussianBlur(light.blur)), np.float64)
    lit = pixels * (light.gain * (1 + light.slope * np.linspace(-0.5, 0.5, pixels.shape[1])))
    noisy = lit[:, :, None] + draw.normal(0, light.noise, (*lit.shape, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def draw_folders(root: Path, shots: int) -> Path:
    """Draw regions of an LCD's ten digits into label folders, the display a little off its place."""
    draw = np.random.default_rng(3)
    for shot in range(shots):
        for digit in "0123456789":
            frame = draw_frame("lcd", digit, random_light(draw, 0.75), draw)
            (root / digit).mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(crop(frame, boxes(1)[0])).save(root / digit / f"{shot}.png")
    return root
