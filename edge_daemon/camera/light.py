"""Light of a picture: brightness of its cells and share of its clipped values, from a sample of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

CELL_ROWS, CELL_COLUMNS = 4, 6
_SAMPLES = 4
"""Number of pixels per cell in each direction."""

CLIPPED = 250
"""Value from which a channel of a pixel counts as clipped."""


@dataclass(frozen=True, slots=True)
class Light:
    """Light of one picture. `cells`: float32, mean of each cell's pixels, 0 to 255, row by row."""

    cells: Vector
    clipped: float
    """Share of the channel values at their maximum."""

    @property
    def brightness(self) -> float:
        """Mean of the picture, 0 to 255."""
        return float(self.cells.mean())


def measure_light(image: Image) -> Light:
    """Measure a picture (RGB uint8 HWC) by a grid of 384 pixels: some 40 microseconds."""
    import numpy as np

    rows, columns = CELL_ROWS * _SAMPLES, CELL_COLUMNS * _SAMPLES
    if image.shape[0] < rows or image.shape[1] < columns:
        image = image.repeat(rows, axis=0).repeat(columns, axis=1)
    down, right = image.shape[0] // rows, image.shape[1] // columns
    sample = image[down // 2 :: down, right // 2 :: right][:rows, :columns]
    cells = sample.reshape(CELL_ROWS, _SAMPLES, CELL_COLUMNS, -1).mean(axis=(1, 3), dtype=np.float32)
    return Light(cells.ravel(), np.count_nonzero(sample >= CLIPPED) / sample.size)
