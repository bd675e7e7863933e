"""Pictures for imports, and an embedder that counts them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image

from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.system.testing import ColourEmbedder

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


class CountingEmbedder(ColourEmbedder):
    """Embeds the mean colour; `embedded` counts the pictures. Raises EmbeddingError for a black one."""

    def __init__(self, space: str = "colours") -> None:
        self.space = space
        self.embedded = 0

    def embed(self, image: Image) -> Vector:
        """Return the unit vector of the mean colour."""
        self.embedded += 1
        if not image.any():
            raise EmbeddingError("the picture is black")
        return super().embed(image)


def noise(seed: int, width: int = 40, height: int = 30) -> PIL.Image.Image:
    """Return a picture that differs by seed."""
    return PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8))


def save(path: Path, picture: PIL.Image.Image) -> Path:
    """Save a picture and make its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


def write_tree(root: Path, counts: dict[str, int]) -> Path:
    """Write a folder of label folders, each with the given number of different PNG files."""
    seed = 0
    for label, count in counts.items():
        for number in range(count):
            seed += 1
            save(root / label / f"{number}.png", noise(seed))
    return root
