"""Masks of objects on a plain background, by flood fill of the background from the border."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .photos import Ints, PhotoSet, Pixels

#: A ground is plain where the largest channel differs this little from the border's median.
PLAIN = 20

#: Share of the border that must be plain, and limits of the thing's share of the photo.
BORDER = 0.9
COVER = (0.05, 0.8)

#: Smaller photos have no outlines: their edges are too coarse.
LEAST_SIDE = 100


def outline(photo: Pixels) -> NDArray[np.bool_] | None:
    """Return the mask of the object (S x S), or None if the background is not plain."""
    edge = np.concatenate([photo[0], photo[-1], photo[:, 0], photo[:, -1]])
    ground = np.median(edge, axis=0)
    plain = np.abs(photo - ground).max(axis=2) < PLAIN
    ring = np.concatenate([plain[0], plain[-1], plain[:, 0], plain[:, -1]])
    if ring.mean() < BORDER:
        return None
    mask = ~_flood(plain)
    return mask if COVER[0] < mask.mean() < COVER[1] else None


def _flood(plain: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the part of `plain` that is connected with the border."""
    reached = plain.copy()
    reached[1:-1, 1:-1] = False
    while True:
        wider = reached.copy()
        wider[1:] |= reached[:-1]
        wider[:-1] |= reached[1:]
        wider[:, 1:] |= reached[:, :-1]
        wider[:, :-1] |= reached[:, 1:]
        wider &= plain
        if (wider == reached).all():
            return reached
        reached = wider


class Cutouts:
    """The outlines of a set of photos, found once and stored in `file`."""

    def __init__(self, photos: PhotoSet, file: Path) -> None:
        self._side = photos.pixels.shape[1]
        if not file.exists():
            _store(photos, file)
        with np.load(file) as arrays:
            self._found = dict(zip(arrays["rows"].tolist(), arrays["masks"], strict=True))

    def __len__(self) -> int:
        return len(self._found)

    def masks(self, rows: Ints) -> Pixels:
        """Return masks N x S x S x 1 for some photos: 255 on the object, or everywhere without a mask."""
        masks = np.full((len(rows), self._side, self._side, 1), 255, np.uint8)
        for index, row in enumerate(rows.tolist()):
            if (mask := self._found.get(row)) is not None:
                masks[index, ..., 0] = mask * np.uint8(255)
        return masks


def _store(photos: PhotoSet, file: Path) -> None:
    side = photos.pixels.shape[1]
    found: dict[int, NDArray[np.bool_]] = {}
    if side >= LEAST_SIDE:
        for row, photo in enumerate(photos.pixels):
            if (mask := outline(photo)) is not None:
                found[row] = mask
    masks = np.array(list(found.values()), np.bool_).reshape(-1, side, side)
    fresh = file.with_suffix(".new.npz")
    np.savez_compressed(fresh, rows=np.array(list(found), np.int64), masks=masks)
    fresh.replace(file)
