"""The training targets: the teachers' embeddings in shards, centred, partly whitened and of unit length.

A shard holds one view of `SHARD` photos. Shards are written one by one, so that the teachers can stop and go
on at will, and training starts with the shards that exist.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .measure import Floats, unit
from .photos import PhotoSet
from .teacher import Teachers
from .whitening import whitening

SHARD = 256

#: Shards of each set that the whitening is fitted on, once: a trained network depends on it.
FITTED = {"photos128": 24, "nette112": 5, "tiny64": 16}

#: Share of the teachers' time after which a set is complete: the sharp photos come first.
COMPLETE_AFTER = {"photos128": 0.5, "nette112": 0.6, "tiny64": 1.0}


@dataclass(frozen=True)
class Shard:
    """The teachers' embeddings of one view of the photos `rows`: float16 n x 2560, in `file`."""

    photos: PhotoSet
    view: int
    number: int
    folder: Path

    @property
    def rows(self) -> slice:
        return slice(self.number * SHARD, min((self.number + 1) * SHARD, len(self.photos.names)))

    @property
    def file(self) -> Path:
        return self.folder / f"{self.photos.name}.{self.view}.{self.number:03d}.npy"

    def write(self, teachers: Teachers) -> None:
        views = zip(self.photos.pixels[self.rows], self.photos.boxes[self.rows, self.view], strict=True)
        found = np.array([teachers.embed(photo, box) for photo, box in views], np.float16)
        fresh = self.file.with_suffix(".new")
        with fresh.open("wb") as file:
            np.save(file, found)
        fresh.replace(self.file)


def shards_of(photos: PhotoSet, folder: Path) -> list[Shard]:
    """Return the shards of a set, written or not: the first view of all photos, then the second."""
    views, numbers = photos.boxes.shape[1], -(-len(photos.names) // SHARD)
    return [Shard(photos, view, number, folder) for view in range(views) for number in range(numbers)]


def embed_all(sets: list[PhotoSet], folder: Path, teachers: Teachers, part: int, parts: int) -> None:
    """Write every `parts`-th missing shard of all sets, the sets in step with each other."""
    queue = []
    for photos in sets:
        shards = shards_of(photos, folder)
        share = COMPLETE_AFTER[photos.name] / len(shards)
        queue += [(index * share, shard) for index, shard in enumerate(shards)]
    for _, shard in sorted(queue, key=lambda entry: entry[0])[part::parts]:
        if not shard.file.exists():
            started = time.monotonic()
            shard.write(teachers)
            speed = SHARD / (time.monotonic() - started)
            print(f"teachers: {shard.file.name}, {speed:.0f} views/s", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Projection:
    """Projection of the teachers' embeddings to targets: centre, whiten partly, scale to unit length."""

    mean: Floats
    matrix: Floats

    def apply(self, rows: NDArray[np.float16]) -> NDArray[np.float16]:
        centred: Floats = rows.astype(np.float32) - self.mean
        projected: Floats = (centred @ self.matrix).astype(np.float32)
        return unit(projected).astype(np.float16)

    @classmethod
    def load_or_fit(cls, sets: list[PhotoSet], folder: Path, size: int) -> Projection:
        """Return the stored projection, or fit it on the first shards of each set, which must exist."""
        file = folder / "projection.npz"
        if not file.exists():
            first = [shard for photos in sets for shard in shards_of(photos, folder)[: FITTED[photos.name]]]
            rows = np.concatenate([np.load(s.file) for s in first])
            mean, matrix = whitening(rows.astype(np.float32), size)
            np.savez(file, mean=mean, matrix=matrix)
        with np.load(file) as arrays:
            return cls(arrays["mean"], arrays["matrix"])


class Targets:
    """The targets of one set as far as its shards exist: `rows` float16 N x V x D, `known` bool N x V."""

    def __init__(self, photos: PhotoSet, folder: Path, projection: Projection) -> None:
        self._missing, self._projection = shards_of(photos, folder), projection
        self.rows = np.zeros((*photos.boxes.shape[:2], projection.matrix.shape[1]), np.float16)
        self.known = np.zeros(self.rows.shape[:2], np.bool_)

    def refresh(self) -> None:
        """Read the shards written since the last call."""
        written = [shard for shard in self._missing if shard.file.exists()]
        for shard in written:
            self.rows[shard.rows, shard.view] = self._projection.apply(np.load(shard.file))
            self.known[shard.rows, shard.view] = True
        self._missing = [shard for shard in self._missing if not self.known[shard.rows.start, shard.view]]
