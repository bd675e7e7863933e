"""Augmented copies of session frames, embedded once for all plans that press the same frame."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.evaluation.session_set import SessionFrame
from edge_daemon.imaging.augment import augmented_copy
from edge_daemon.imaging.image_io import read_image, scale_down
from edge_daemon.learning.open_set.augmented_copies import COPIES, COPY_SIDE_PX

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


class FrameCopies:
    """Makes the copies of a frame as the daemon does for a press: as many, of a picture of the same size."""

    def __init__(self, embed: Callable[[Image], Vector]) -> None:
        self._embed = embed
        self._copies: dict[Path, Sequence[Vector]] = {}

    def __call__(self, frame: SessionFrame) -> Sequence[Vector]:
        """Return the embeddings; a copy that the model can't embed is left out. Raises ImageError."""
        if frame.path not in self._copies:
            self._copies[frame.path] = self._make(frame.path)
        return self._copies[frame.path]

    def _make(self, path: Path) -> Sequence[Vector]:
        image = scale_down(read_image(path), COPY_SIDE_PX)
        rng = np.random.default_rng(zlib.crc32(str(path.name).encode()))
        embeddings = []
        for _ in range(COPIES):
            with suppress(EmbeddingError):
                embeddings.append(self._embed(augmented_copy(image, rng)))
        return embeddings
