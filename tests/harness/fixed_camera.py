"""Pictures of a drawn scene before a fixed camera, with objects, shadows, other light and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image

from edge_daemon.imaging.scene_reference import SceneReference

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

Thing: TypeAlias = Literal[
    "disc", "square", "half", "all", "camouflage", "soft shadow", "grey disc", "ring", "dim disc"
]

Floats: TypeAlias = npt.NDArray[np.float64]

Shape: TypeAlias = npt.NDArray[np.bool_]

Light: TypeAlias = float | tuple[float, float, float]
"""A gain, for each channel if there are three."""

MARGIN_PX = 64

RED = (190, 40, 40)


class FixedCamera:
    """Draws one textured scene; `shapes` gives the true mask of a thing."""

    def __init__(self, seed: int, size: tuple[int, int] = (320, 240), exposure: float = 1.0) -> None:
        self._random = np.random.default_rng(seed)
        self.width, self.height = size
        blocks = self._random.integers(30, 200, (9, 12, 3), np.uint8)
        large = (self.width + 2 * MARGIN_PX, self.height + 2 * MARGIN_PX)
        resized = PIL.Image.fromarray(blocks).resize(large, PIL.Image.Resampling.BICUBIC)
        self._surroundings: Floats = np.asarray(resized).astype(np.float64)
        self._exposure = exposure

    def picture(
        self,
        *things: Thing,
        light: Light = 1.0,
        shift: tuple[int, int] = (0, 0),
        noise: float = 3.0,
    ) -> Image:
        """Return a picture; `shift` is in pixels."""
        surroundings = self._surroundings.copy()
        scene = surroundings[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
        for thing in things:
            self._draw(scene, thing)
        top, left = MARGIN_PX - shift[0], MARGIN_PX - shift[1]
        scene = surroundings[top : top + self.height, left : left + self.width] * light * self._exposure
        scene += self._random.normal(0, noise, scene.shape)
        return scene.clip(0, 255).astype(np.uint8)

    def reference(self) -> SceneReference:
        """Return the reference of twelve pictures without a thing."""
        return SceneReference.from_frames([self.picture() for _ in range(12)])

    def shape(self, thing: Thing) -> Shape:
        """Return the pixels that a thing covers."""
        y, x = np.mgrid[: self.height, : self.width]
        x, y = x / self.width, y / self.height
        shapes: dict[str, Shape] = {
            "all": x >= 0,
            "half": (x > 0.25) & (x < 0.85) & (y > 0.1) & (y < 0.9),
            "square": (np.abs(x - 0.3) < 0.1) & (np.abs(y - 0.4) < 0.12),
            "soft shadow": ((x - 0.75) / 0.2) ** 2 + ((y - 0.55) / 0.25) ** 2 < 1,
        }
        if thing == "ring":
            distance = ((x - 0.45) / 0.26) ** 2 + ((y - 0.5) / 0.36) ** 2
            ring: Shape = np.abs(distance - 1) < 0.12
            return ring
        disc: Shape = ((x - 0.45) / 0.13) ** 2 + ((y - 0.5) / 0.18) ** 2 < 1
        return shapes.get(thing, disc)

    def _draw(self, scene: Floats, thing: Thing) -> None:
        y, x = np.mgrid[: self.height, : self.width]
        covered = self.shape(thing)
        match thing:
            case "soft shadow":
                distance = ((x / self.width - 0.75) / 0.2) ** 2 + ((y / self.height - 0.55) / 0.25) ** 2
                scene *= 1 - 0.4 * np.clip(1.2 - distance, 0, 1)[..., None]
            case "camouflage":
                scene[covered] += 3
            case "dim disc":
                distance = ((x / self.width - 0.45) / 0.2) ** 2 + ((y / self.height - 0.5) / 0.28) ** 2
                spots = np.sin(x / self.width * 45) * np.sin(y / self.height * 32) > 0.85
                shade = 1 - 0.4 * np.clip(1.2 - distance, 0, 1)
                scene *= np.where(spots & (distance < 0.9), 0.25, shade)[..., None]
            case "grey disc":
                scene[covered] = 90
            case _:
                stripes = 25 * np.sin(x / self.width * 60)[..., None]
                scene[covered] = (np.array(RED) + stripes)[covered]
