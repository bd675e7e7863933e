"""Kinds of change between a picture's cells and the cells of a scene. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge_daemon.imaging.cell_bits import CellMask
from edge_daemon.imaging.scene_sampling import Planes

MOTION_LEVELS = 15.0
"""Largest difference of a cell between two pictures of a still scene, of 255: noise and rounding."""

_MIN_LIGHT = 14.0
"""Mean level, of 255, below which a picture is dark."""

_STRUCTURE_SHARE = 0.3
"""Share of the scene's contrast below which a picture is featureless."""

_EDGE_RATIO = 1.25
"""Ratio of the edges in the scene to those in the picture from which an outline is one of the scene."""

_MIN_PART = 4
"""Least number of cells of a connected component."""

_STRONG_EDGE = 16.0
"""Difference between neighbouring cells, of 255, above which there is an edge."""

_MIN_EDGES = 0.01
"""Share of the cells that are edges below which a scene has too few of them to compare."""

_SHIFT_GAIN = 0.5
"""Share of the error without a shift below which the error with it shows a moved camera."""

_MIN_SHIFT_ERROR = 1.0
"""Mean error without a shift, of 255, up to which the camera has not moved."""


def moved(cells: Planes, earlier: Planes, levels: float = MOTION_LEVELS) -> CellMask:
    """Return the cells that differ between two pictures of a region, in any channel.

    Their mean brightness is matched: lamps flicker.
    """
    gain = np.float32(min(max(cells.mean() / (earlier.mean() + 1e-3), 0.8), 1.25))
    mask: CellMask = np.abs(cells - gain * earlier).max(axis=0) > levels
    return mask


def is_dark(cells: Planes) -> bool:
    """Return whether a picture shows nothing: the light is off or the lens is covered."""
    return float(cells.mean()) < _MIN_LIGHT


def is_featureless(cells: Planes, scene: Planes) -> bool:
    """Return whether a picture lacks most of the scene's contrast, as with a covered lens."""
    return _contrast(cells) < _STRUCTURE_SHARE * _contrast(scene)


def connected_components(mask: CellMask) -> Iterator[CellMask]:
    """Yield the connected components of a mask that have at least four cells."""
    numbers = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        grown = numbers.copy()
        grown[1:] = np.maximum(grown[1:], numbers[:-1])
        grown[:-1] = np.maximum(grown[:-1], numbers[1:])
        grown[:, 1:] = np.maximum(grown[:, 1:], grown[:, :-1])
        grown[:, :-1] = np.maximum(grown[:, :-1], grown[:, 1:])
        grown *= mask
        if (grown == numbers).all():
            break
        numbers = grown
    for number in np.flatnonzero(np.bincount(numbers[numbers > 0])):
        part: CellMask = numbers == number
        if np.count_nonzero(part) >= _MIN_PART:
            yield part


def has_left(part: CellMask, cells: Planes, scene: Planes) -> bool:
    """Return whether something left `part`: its outline is an edge of the scene and not of the picture.

    An object in view has its outline in the picture. False if both or neither have one there.
    """
    outline = dilated(part) & ~eroded(part)
    in_scene, in_picture = float(_edges(scene)[outline].mean()), float(_edges(cells)[outline].mean())
    return in_scene > _EDGE_RATIO * in_picture + 1.0


def has_shifted(cells: Planes, scene: Planes) -> bool:
    """Return whether the picture is the scene shifted by some cells: the camera has moved."""
    grey, other = cells.mean(axis=0), scene.mean(axis=0)
    down, right = _displacement(grey, other)
    rows, columns = grey.shape
    if max(abs(down), abs(right)) < 2 or abs(down) > rows // 3 or abs(right) > columns // 3:
        return False
    part, low, high = _overlap(grey, down, right), *_range_around(other)
    shifted = _outside(part, _overlap(low, -down, -right), _overlap(high, -down, -right))
    unshifted = _outside(part, _overlap(low, down, right), _overlap(high, down, right))
    return unshifted > _MIN_SHIFT_ERROR and shifted < _SHIFT_GAIN * unshifted


def lost_edges(cells: Planes, scene: Planes) -> float:
    """Return the share of the scene's edges that the picture lacks, 0 if the scene has few.

    An object hides those behind it alone; another place has none of them, except by chance.
    """
    strong = _edges(scene) > _STRONG_EDGE
    if np.count_nonzero(strong) < _MIN_EDGES * strong.size:
        return 0.0
    found = dilated(_edges(cells) > _STRONG_EDGE / 2)
    return float((strong & ~found).sum() / strong.sum())


def dilated(mask: CellMask) -> CellMask:
    """Return the mask grown by one cell."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def eroded(mask: CellMask) -> CellMask:
    """Return the mask shrunk by one cell."""
    shrunk: CellMask = ~dilated(~mask)
    return shrunk


def _contrast(cells: Planes) -> float:
    """Return the standard deviation of the brightness, without noise: over blocks of 4 x 4 cells."""
    grey = cells.mean(axis=0)
    rows, columns = grey.shape[0] // 4, grey.shape[1] // 4
    blocks = grey[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).mean(axis=(1, 3))
    return float(blocks.std())


def _edges(cells: Planes) -> Planes:
    """Return the largest difference of each cell to its neighbours above and to the left, in any channel."""
    down = np.abs(np.diff(cells, axis=1)).max(axis=0)
    right = np.abs(np.diff(cells, axis=2)).max(axis=0)
    edges: Planes = np.zeros(cells.shape[1:], np.float32)
    edges[1:] = down
    edges[:, 1:] = np.maximum(edges[:, 1:], right)
    return edges


def _displacement(grey: Planes, other: Planes) -> tuple[int, int]:
    """Return the displacement of `grey` against `other` in cells, by phase correlation."""
    spectrum = np.fft.rfft2(grey - grey.mean()) * np.conj(np.fft.rfft2(other - other.mean()))
    correlation = np.fft.irfft2(spectrum / (np.abs(spectrum) + 1e-6), grey.shape)
    rows, columns = grey.shape
    down, right = divmod(int(correlation.argmax()), columns)
    return (down + rows // 2) % rows - rows // 2, (right + columns // 2) % columns - columns // 2


def _range_around(grey: Planes) -> tuple[Planes, Planes]:
    """Return the least and the largest level of each cell and its neighbours: a shift by part of a cell."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(grey, 1, "edge"), (3, 3))
    return windows.min(axis=(2, 3)), windows.max(axis=(2, 3))


def _outside(grey: Planes, low: Planes, high: Planes) -> float:
    """Return the mean distance of cells from their range."""
    return float(np.maximum(np.maximum(low - grey, grey - high), 0).mean())


def _overlap(grey: Planes, down: int, right: int) -> Planes:
    """Return the part of a picture that a shift by `down` and `right` has in common with the original."""
    rows, columns = grey.shape
    return grey[max(0, down) : rows + min(0, down), max(0, right) : columns + min(0, right)]
