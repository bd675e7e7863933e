"""A fake embedder that sees colours, and pictures to show it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image

from edge_daemon.domain.errors import EmbeddingError

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


class ColourEmbedder:
    """The mean colour as a unit vector. `embedded` counts the pictures it was shown."""

    def __init__(self, space: str = "colours") -> None:
        self.space = space
        self.size = 3
        self.embedded = 0

    def embed(self, image: Image) -> Vector:
        """Embed; pure black has no colour."""
        self.embedded += 1
        mean = image.reshape(-1, 3).mean(axis=0)
        if not mean.any():
            raise EmbeddingError("the picture is black")
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)


def noise(seed: int, width: int = 40, height: int = 30) -> PIL.Image.Image:
    """A picture that differs by seed."""
    return PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8))


def save(path: Path, picture: PIL.Image.Image) -> Path:
    """Save with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


def write_tree(root: Path, counts: dict[str, int]) -> Path:
    """A folder of label folders with so many PNGs each, no two alike."""
    seed = 0
    for label, count in counts.items():
        for number in range(count):
            seed += 1
            save(root / label / f"{number}.png", noise(seed))
    return root
