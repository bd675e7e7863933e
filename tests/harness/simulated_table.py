"""A table before a fixed camera, drawn by the simulator: the tray, lamp and object are set by the test."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.camera.simulator.lighting import Light
from edge_daemon.camera.simulator.renderer import Appearance, Renderer, random_appearance

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

SIZE = (160, 120)


class SimulatedTable:
    """Renders frames with sensor noise and flicker. Attributes may be set between frames."""

    def __init__(self, tray: str = "wood", *, seed: int = 3, size: tuple[int, int] = SIZE) -> None:
        self.renderer = Renderer(size, seed)
        self.tray = tray
        self.light = Light()
        self.exposure = 1.0
        self.offset = (0, 0)
        self.seq = 0

    def picture(
        self, kind: str | None = None, at: tuple[float, float] = (0.5, 0.5), variation: int = 1
    ) -> Image:
        """Return the next frame, with an object of this kind in the middle `at`, if any."""
        self.seq += 1
        table = self.renderer.table(self.tray, self.light).copy()
        if kind is not None:
            appearance: Appearance = replace(random_appearance(7, variation), light=self.light)
            width, height = self.renderer.size
            sprite = self.renderer.sprite(kind, appearance)
            self.renderer.paste(table, sprite, int(at[0] * width), int(at[1] * height))
        table = np.roll(table, self.offset, axis=(0, 1)) * self.exposure
        return self.renderer.expose(table, self.seq)
