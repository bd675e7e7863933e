"""The drawn table: which light, pose and background a variation has, and the picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.camera import backgrounds, objects
from edge_daemon.camera.backgrounds import Picture, Size
from edge_daemon.camera.lighting import Light, Pose, Sprite, light_up
from edge_daemon.camera.shapes import Relief

if TYPE_CHECKING:
    from edge_daemon.types import Image

Noise: TypeAlias = npt.NDArray[np.int16]

NOISE_SIGMA = 4.0
"""Standard deviation of the sensor's noise, in steps of 255."""

_FLICKER = 0.02
"""Standard deviation of the brightness from frame to frame."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that varies between two showings of the same kind."""

    pose: Pose
    light: Light
    tray: str


def setting(seed: int, variation: int) -> Setting:
    """Draw pose and light at random; the same numbers give the same setting.

    Backgrounds take turns, so that as many variations in a row as there are trays meet each of them.
    """
    random = np.random.default_rng((seed, variation))
    pose = Pose(
        angle=random.uniform(0, 2 * np.pi),
        scale=random.uniform(0.35, 0.42),
        tilt=random.uniform(0, 0.18),
        tilt_angle=random.uniform(0, np.pi),
        x=random.uniform(0.46, 0.54),
        y=random.uniform(0.46, 0.54),
    )
    light = Light(
        brightness=random.uniform(0.75, 1.2),
        warmth=random.uniform(-0.8, 0.8),
        azimuth=random.uniform(-np.pi, np.pi),
        elevation=random.uniform(0.7, 1.15),
        falloff=random.uniform(0, 0.6),
    )
    return Setting(pose, light, backgrounds.TRAYS[variation % len(backgrounds.TRAYS)])


class Painter:
    """Paints tables of one size; keeps what is dear to draw. Used from one thread."""

    def __init__(self, size: Size, seed: int) -> None:
        self.size = size
        self._seed = seed
        self._reliefs: dict[str, Relief] = {}
        self._tables: dict[str, Picture] = {}
        self._noise = _noise(size, seed)

    def sprite(self, kind: str, chosen: Setting) -> Sprite:
        """Light one object for this table."""
        if kind not in self._reliefs:
            self._reliefs[kind] = objects.carve(kind, min(max(self.size[1] * 4 // 5, 64), 768))
        return light_up(self._reliefs[kind], chosen.pose, chosen.light, self.size[1])

    def table(self, name: str, light: Light) -> Picture:
        """Light an empty tray of one material."""
        if name not in self._tables:
            random = np.random.default_rng((self._seed, backgrounds.TRAYS.index(name)))
            self._tables[name] = backgrounds.tray(name, self.size, random)
        return self._tables[name] * light.over(*self.size)

    def lay(self, picture: Picture, sprite: Sprite, x: int, y: int) -> None:
        """Lay a sprite on a picture, its middle at (x, y) in pixels; it may hang over the edges."""
        height, width = picture.shape[:2]
        left, top = x + sprite.left, y + sprite.top
        right, bottom = left + sprite.keep.shape[1], top + sprite.keep.shape[0]
        columns = slice(max(left, 0), min(right, width))
        rows = slice(max(top, 0), min(bottom, height))
        if columns.start >= columns.stop or rows.start >= rows.stop:
            return
        inside = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        patch = picture[rows, columns]
        patch *= sprite.keep[inside]
        patch += sprite.add[inside]

    def expose(self, picture: Picture, seq: int) -> Image:
        """Take the sensor's picture: flicker, noise, 8 bits. The result is new and read-only."""
        random = np.random.default_rng((self._seed, seq, 1))
        gain = np.float32(1 + random.normal(0, _FLICKER))
        down, right = random.integers(0, 64, 2)
        height, width = picture.shape[:2]
        noisy = picture * gain
        noisy += self._noise[down : down + height, right : right + width]
        frame = np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)
        frame.setflags(write=False)
        return frame


def _noise(size: Size, seed: int) -> Noise:
    """Draw a field of noise larger than the frame; each frame takes another part of it."""
    shape = (size[1] + 64, size[0] + 64, 3)
    drawn = np.random.default_rng((seed, 2)).standard_normal(shape, np.float32) * NOISE_SIGMA
    return drawn.astype(np.int16)
