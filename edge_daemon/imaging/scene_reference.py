"""Picture of a region without objects, and the comparison of other pictures of the region with it.

The comparison allows for another exposure and white balance (a gain for each channel), for a camera that
shakes by about a pixel (a shift), and for sensor noise. It works on a grid of about 56 cells a side, each
the mean of sampled pixels: the cost does not depend on the size of the region.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import astuple

from edge_daemon.domain.errors import ImageError
from edge_daemon.imaging.median import median
from edge_daemon.imaging.regions import Box
from edge_daemon.imaging.scene_sampling import Planes, halve, picture_step, sample

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

Cells: TypeAlias = npt.NDArray[np.float32]
"""One number per cell: float32, shape (rows, columns)."""

MAX_FRAMES = 12
"""Number of frames in the median at most."""

MIN_CELLS = 12
"""Least number of cells a side; smaller regions can't be compared."""

SAME_SCENE = 0.25
"""Largest share of cells that differ between two references of one scene."""

_SAME_PROPORTIONS = 0.03
"""Largest relative difference between the proportions of two pictures of one region, due to rounding."""

_MAGIC = b"ESR1"
_HEADER = struct.Struct("<4sfHH")
_MAGIC_WITH_BOX = b"ESR2"
_BOX = struct.Struct("<4d")
# Noise and differences are in levels of 255.
_DEFAULT_NOISE = 2.0
"""Noise of a reference of one or two pictures, which do not show it."""

_NOISE_ALLOWANCE = 2.0
"""A picture's noise is at most three times the reference's plus this."""

# The expected error of a cell is _MIN_DIFFERENCE, scaled with the light, plus _NOISE_LIMIT standard
# deviations of the noise plus the change that a shift by _SLOPE_TOLERANCE cells would make.
_MIN_DIFFERENCE = 8.0
_NOISE_LIMIT = 3.5
_SLOPE_TOLERANCE = 0.45

# Levels below and from which on the ratio of a cell to its reference is unknown.
_MIN_LEVEL = 20
_SATURATED = 250

_BINS_PER_OCTAVE = 16
"""Bins of the histogram of these ratios for a factor of two."""

_MAX_SHIFT = 1.0
"""Largest shift of a shaking camera, in cells."""

_LOGS = np.round(np.log2(np.maximum(np.arange(256), 1)) * _BINS_PER_OCTAVE).astype(np.intp)
_SMOOTHING = np.array([1, 2, 3, 2, 1])

# Bins of the ratio of a cell to its reference. Each channel has its own, those that are not counted last.
_BINS = 448
_COUNTED = 160
_FIRST_BIN = 96
_UNCOUNTED = 176
_CHANNEL_BINS = np.array([[0], [_BINS], [2 * _BINS]])
_LEVEL_BINS = _LOGS.copy()
_LEVEL_BINS[:4] = _LEVEL_BINS[_SATURATED:] = 255


class SceneMatch(Struct, frozen=True, eq=False):
    """A picture compared with a reference.

    `cells` are the picture's cells and `expected` those of the reference in the picture's light and
    position. `contrast` is the difference of each cell in units of the expected error; a cell above 1
    differs. `gain` is the light of the picture relative to the reference, per channel. `noise` is the
    standard deviation of the cells that don't differ.
    """

    cells: Planes
    expected: Planes
    contrast: Cells
    gain: tuple[float, float, float]
    noise: float

    @property
    def changed_share(self) -> float:
        """Share of the cells that differ, 0 to 1."""
        return float(np.count_nonzero(self.contrast > 1) / self.contrast.size)


class SceneReference(Struct, frozen=True, eq=False, dict=True):
    """A region of a fixed camera without any object.

    `picture` is RGB uint8, at most 160 pixels long. `noise` is the standard deviation of a cell, in levels
    of 255. `width` and `height` are the size of the region's pictures in pixels. `box` is the part of the
    frame that a stored reference shows, None for the whole frame or an unknown part.
    """

    picture: Image
    noise: float
    width: int
    height: int
    box: Box | None = None

    @classmethod
    def from_frames(cls, frames: Sequence[Image]) -> SceneReference:
        """Return the median of 1 to 12 pictures of a region (RGB uint8 HWC, of one size).

        The pictures are brought to the brightness of the middle one first. Raises ImageError for pictures
        that differ in size.
        """
        if not frames:
            raise ImageError("a scene reference needs a picture of the scene")
        if len({frame.shape for frame in frames}) > 1:
            raise ImageError("the pictures of a scene differ in size; learn the scene again")
        height, width = frames[0].shape[:2]
        samples = np.stack([sample(frame, picture_step(frame.shape)) for frame in frames[-MAX_FRAMES:]])
        means = samples.mean(axis=(2, 3), keepdims=True) + 1e-3
        middle = np.argsort(means.sum(axis=1).ravel())[len(samples) // 2]
        samples *= means[middle] / means
        picture = median(samples)
        noise = _DEFAULT_NOISE
        if len(samples) > 2:
            noise = 1.48 * float(median(np.abs(halve(samples) - halve(picture)).ravel()))
        pixels = picture.round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
        return cls(np.ascontiguousarray(pixels), max(noise, 0.3), width, height)

    @classmethod
    def from_bytes(cls, blob: bytes) -> SceneReference:
        """Return the reference of `to_bytes`. Raises ImageError for damaged bytes."""
        from edge_daemon.imaging.image_io import read_image

        has_box = blob.startswith(_MAGIC_WITH_BOX)
        start = _HEADER.size + (_BOX.size if has_box else 0)
        if len(blob) < start or not (has_box or blob.startswith(_MAGIC)):
            raise ImageError("the stored scene is damaged; learn the scene again")
        noise, width, height = _HEADER.unpack_from(blob)[1:]
        box = Box(*_BOX.unpack_from(blob, _HEADER.size)) if has_box else None
        picture = read_image(blob[start:], "the stored scene")
        step = picture_step((height, width))
        fits = picture.shape[:2] == (height // step, width // step)
        if not fits or not math.isfinite(noise) or noise <= 0:
            raise ImageError("the stored scene is damaged; learn the scene again")
        return cls(picture, noise, width, height, box)

    def to_bytes(self) -> bytes:
        """Return the reference as bytes: a header and a PNG picture."""
        from edge_daemon.imaging.image_io import encode_png

        magic, box = _MAGIC, b""
        if self.box is not None:
            magic, box = _MAGIC_WITH_BOX, _BOX.pack(*astuple(self.box))
        return _HEADER.pack(magic, self.noise, self.width, self.height) + box + encode_png(self.picture)

    def fits(self, image: Image) -> bool:
        """Return whether a picture has the size of the region and the region is large enough."""
        return image.shape[:2] == (self.height, self.width) and min(self.cells.shape[1:]) >= MIN_CELLS

    def scaled_to(self, width: int, height: int) -> SceneReference:
        """Return the reference for pictures of the region at another size, such as thumbnails."""
        from PIL import Image as Pillow

        if (width, height) == (self.width, self.height):
            return self
        step = picture_step((height, width))
        size = (max(1, width // step), max(1, height // step))
        picture = np.asarray(Pillow.fromarray(self.picture).resize(size, Pillow.Resampling.BILINEAR))
        return SceneReference(picture, self.noise, width, height)

    def fitted_to(self, width: int, height: int) -> SceneReference | None:
        """Return the reference for pictures of another size; None if the proportions differ."""
        stretch = width * self.height / (height * self.width)
        return self.scaled_to(width, height) if abs(stretch - 1) <= _SAME_PROPORTIONS else None

    def match(self, image: Image) -> SceneMatch:
        """Compare a picture of the region, for which `fits` holds."""
        return self._match(sample(image, picture_step(image.shape), 2))

    def difference(self, other: SceneReference) -> float:
        """Return the share of the cells that differ from another reference of this region, 0 to 1.

        It is 1 for a region of other proportions.
        """
        fitted = other.fitted_to(self.width, self.height)
        if fitted is None:
            return 1.0
        other = fitted
        if self.cells.shape != other.cells.shape or min(self.cells.shape[1:]) < MIN_CELLS:
            return 1.0
        return self._match(other.cells).changed_share

    def is_same_scene(self, other: SceneReference) -> bool:
        """Return whether two references show one scene; its light may differ."""
        return self.difference(other) <= SAME_SCENE

    @cached_property
    def cells(self) -> Planes:
        """Cells of the picture."""
        return halve(self.picture.transpose(2, 0, 1).astype(np.float32))

    @cached_property
    def _slopes(self) -> tuple[Planes, Planes]:
        """Differences of the cells per cell, downwards and to the right."""
        padded = np.pad(self.cells, ((0, 0), (1, 1), (1, 1)), "edge")
        half = np.float32(0.5)
        down: Planes = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) * half
        right: Planes = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * half
        return down, right

    @cached_property
    def _steepness(self) -> Cells:
        """Largest slope of a cell and its neighbours: the error of a shift of one cell."""
        down, right = self._slopes
        steepest = np.maximum(np.abs(down).max(axis=0), np.abs(right).max(axis=0))
        padded = np.pad(steepest, 1, "edge")
        rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
        steepness: Cells = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
        return steepness

    @cached_property
    def _bins(self) -> npt.NDArray[np.intp]:
        """Histogram bins of every second cell for a picture's level 1; shape (3 * n).

        A cell that is dark or saturated, whose ratio is unknown, is in a bin that is not counted.
        """
        cells = _every_second(self.cells)
        known = (cells >= _MIN_LEVEL) & (cells < _SATURATED)
        bins = np.where(known, _FIRST_BIN - _LOGS[cells.astype(np.uint8)], _UNCOUNTED)
        flat: npt.NDArray[np.intp] = (bins + _CHANNEL_BINS).ravel()
        return flat

    @cached_property
    def _sparse(self) -> npt.NDArray[np.float32]:
        return _every_second(self.cells).ravel()

    @cached_property
    def _planes(self) -> Planes:
        """Cells and slopes of each channel, shape (3, 3, cells): a shifted picture is a sum of them."""
        return np.stack((self.cells, *self._slopes), axis=1).reshape(3, 3, -1)

    @cached_property
    def _ceiling(self) -> Planes | None:
        """Largest excess of each cell over the scene: 0 for a saturated one, whose own is unknown."""
        saturated = self.cells >= _SATURATED
        return np.where(saturated, np.float32(0), np.float32(np.inf)) if saturated.any() else None

    def _match(self, cells: Planes) -> SceneMatch:
        gain = self._gain(cells)
        down, right = self._shift(cells[1], gain[1])
        terms = np.array([[(each, -each * down, -each * right)] for each in gain], np.float32)
        expected: Planes = (terms @ self._planes).reshape(cells.shape)
        np.minimum(expected, 255, out=expected)
        difference = cells - expected
        if self._ceiling is not None:
            np.minimum(difference, self._ceiling, out=difference)
        np.abs(difference, out=difference)
        largest: Cells = np.maximum.reduce(difference)
        noise = max(1.48 * _median(difference[1, ::2]), 0.7 * self.noise)
        noise = min(noise, 3 * self.noise + _NOISE_ALLOWANCE)
        light = max(gain)
        limit = self._steepness * (_SLOPE_TOLERANCE * light)
        limit += _MIN_DIFFERENCE * min(max(light, 0.35), 1.0) + _NOISE_LIMIT * noise
        largest /= limit
        return SceneMatch(cells, expected, largest, gain, noise)

    def _gain(self, cells: Planes) -> tuple[float, float, float]:
        """Return the light of the cells relative to the reference: the commonest ratio of each channel.

        A median would fail where an object covers half of the region. Every second cell is counted.
        """
        levels = _every_second(cells).ravel()
        bins = _LEVEL_BINS.take(levels.astype(np.uint8))
        bins += self._bins
        counts = np.bincount(bins, minlength=3 * _BINS).reshape(3, _BINS)[:, :_COUNTED]
        light = np.bincount(bins, levels, 3 * _BINS)
        reference = np.bincount(bins, self._sparse, 3 * _BINS)
        smooth = np.correlate(counts.ravel(), _SMOOTHING, "same").reshape(3, _COUNTED)
        gains = [1.0, 1.0, 1.0]
        known = np.add.reduce(counts, axis=1).tolist()
        for channel, mode in enumerate(smooth.argmax(axis=1).tolist()):
            if known[channel] >= MIN_CELLS:
                middle = channel * _BINS + mode
                near = slice(max(0, middle - 2), middle + 3)
                gains[channel] = sum(light[near].tolist()) / max(sum(reference[near].tolist()), 1)
        return gains[0], gains[1], gains[2]

    def _shift(self, green: Cells, gain: float) -> tuple[float, float]:
        """Return how far the picture is shifted, in cells down and to the right (Lucas and Kanade)."""
        scene, slopes = self._planes[1, 0], self._planes[1, 1:]
        expected = scene * gain
        np.minimum(expected, 255, out=expected)
        error = green.ravel() - expected
        small = np.abs(error) < self._steepness.ravel() * (0.75 * gain) + 6
        weighted = slopes * small
        (a, b), (_, c) = (weighted @ slopes.T).tolist()
        d, e = (weighted @ error).tolist()
        determinant = a * c - b * b
        if determinant < 1e-3 * max(a * c, 1.0):
            return 0.0, 0.0
        shift = (b * e - c * d) / determinant / gain, (b * d - a * e) / determinant / gain
        return shift if max(abs(shift[0]), abs(shift[1])) <= _MAX_SHIFT else (0.0, 0.0)


def _every_second(cells: Planes) -> Planes:
    """Return every second cell each way, shape (3, n)."""
    return cells[:, ::2, ::2].reshape(3, -1)


def _median(cells: Cells) -> float:
    """Return the median of non-negative cells; np.median takes three times as long."""
    flat, middle = cells.flatten(), cells.size // 2
    flat.partition(middle)
    return float(flat[middle])
