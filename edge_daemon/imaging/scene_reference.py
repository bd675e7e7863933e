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

from edge_daemon.domain.errors import ImageError

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

Planes: TypeAlias = npt.NDArray[np.float32]
"""Cells of a picture: float32, shape (3, rows, columns), levels 0 to 255."""

Cells: TypeAlias = npt.NDArray[np.float32]
"""One number per cell: float32, shape (rows, columns)."""

MAX_SIDE = 160
"""Longest side of the stored picture in pixels; a cell of the grid is 2 x 2 of them."""

_USUAL_SIDE = 112

MAX_FRAMES = 12
"""Number of frames in the median at most."""

MIN_CELLS = 12
"""Least number of cells a side; smaller regions can't be compared."""

SAME_SCENE = 0.25
"""Largest share of cells that differ between two references of one scene."""

_MAGIC = b"ESR1"
_HEADER = struct.Struct("<4sfHH")
_DEFAULT_NOISE = 2.0
_MIN_DIFFERENCE = 8.0
_NOISE_LIMIT = 3.5
_NOISE_ALLOWANCE = 2.0
_SLOPE_TOLERANCE = 0.45
_MIN_LEVEL = 20
_SATURATED = 250
_BINS_PER_OCTAVE = 16
_OCTAVES = 4
_MAX_SHIFT = 1.0
_LOGS = np.round(np.log2(np.maximum(np.arange(256), 1)) * _BINS_PER_OCTAVE).astype(np.int16)
_SMOOTHING = np.array([1, 2, 3, 2, 1])


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
    of 255. `width` and `height` are the size of the region's pictures in pixels.
    """

    picture: Image
    noise: float
    width: int
    height: int

    @classmethod
    def from_frames(cls, frames: Sequence[Image]) -> SceneReference:
        """Return the median of 1 to 12 pictures of a region (RGB uint8 HWC, of one size).

        The pictures are brought to the brightness of the middle one first. Raises ImageError for pictures
        that differ in size.
        """
        if not frames:
            raise ImageError("a scene reference needs a picture of the scene")
        sizes = {frame.shape for frame in frames}
        if len(sizes) > 1:
            raise ImageError("the pictures of a scene differ in size; learn the scene again")
        height, width = frames[0].shape[:2]
        samples = np.stack([_sample(frame, _picture_step(frame.shape)) for frame in frames[-MAX_FRAMES:]])
        means = samples.mean(axis=(2, 3), keepdims=True) + 1e-3
        middle = np.argsort(means.sum(axis=1).ravel())[len(samples) // 2]
        samples *= means[middle] / means
        # np.median loads numpy.ma, which the first labels can do without.
        picture = samples[0] if len(samples) == 1 else np.median(samples, axis=0)
        noise = _DEFAULT_NOISE
        if len(samples) > 2:
            noise = 1.48 * float(np.median(np.abs(_halve(samples) - _halve(picture))))
        pixels = picture.round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
        return cls(np.ascontiguousarray(pixels), max(noise, 0.3), width, height)

    @classmethod
    def from_bytes(cls, blob: bytes) -> SceneReference:
        """Return the reference of `to_bytes`. Raises ImageError for damaged bytes."""
        from edge_daemon.imaging.image_io import read_image

        if len(blob) < _HEADER.size or not blob.startswith(_MAGIC):
            raise ImageError("the stored scene is damaged; learn the scene again")
        noise, width, height = _HEADER.unpack_from(blob)[1:]
        picture = read_image(blob[_HEADER.size :], "the stored scene")
        step = _picture_step((height, width))
        fits = picture.shape[:2] == (height // step, width // step)
        if not fits or not math.isfinite(noise) or noise <= 0:
            raise ImageError("the stored scene is damaged; learn the scene again")
        return cls(picture, noise, width, height)

    def to_bytes(self) -> bytes:
        """Return the reference as bytes: a header and a PNG picture."""
        from edge_daemon.imaging.image_io import encode_png

        return _HEADER.pack(_MAGIC, self.noise, self.width, self.height) + encode_png(self.picture)

    def fits(self, image: Image) -> bool:
        """Return whether a picture has the size of the region and the region is large enough."""
        return image.shape[:2] == (self.height, self.width) and min(self.cells.shape[1:]) >= MIN_CELLS

    def scaled_to(self, width: int, height: int) -> SceneReference:
        """Return the reference for pictures of the region at another size, such as thumbnails."""
        from PIL import Image as Pillow

        if (width, height) == (self.width, self.height):
            return self
        step = _picture_step((height, width))
        size = (max(1, width // step), max(1, height // step))
        picture = np.asarray(Pillow.fromarray(self.picture).resize(size, Pillow.Resampling.BILINEAR))
        return SceneReference(picture, self.noise, width, height)

    def match(self, image: Image) -> SceneMatch:
        """Compare a picture of the region, for which `fits` holds."""
        return self._match(_sample(image, _picture_step(image.shape), 2))

    def difference(self, other: SceneReference) -> float:
        """Return the share of the cells that differ from another reference of this region, 0 to 1.

        It is 1 for a region of another size.
        """
        if self.cells.shape != other.cells.shape or min(self.cells.shape[1:]) < MIN_CELLS:
            return 1.0
        return self._match(other.cells).changed_share

    def is_same_scene(self, other: SceneReference) -> bool:
        """Return whether two references show one scene; its light may differ."""
        return self.difference(other) <= SAME_SCENE

    @cached_property
    def cells(self) -> Planes:
        """Cells of the picture."""
        return _halve(self.picture.transpose(2, 0, 1).astype(np.float32))

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
    def _logs(self) -> npt.NDArray[np.int16]:
        return _LOGS[self.cells[:, ::2, ::2].astype(np.uint8)]

    @cached_property
    def _usable(self) -> npt.NDArray[np.bool_]:
        """Of every second cell, whether its ratio is known: neither dark nor saturated."""
        cells = self.cells[:, ::2, ::2]
        return (cells >= _MIN_LEVEL) & (cells < _SATURATED)

    def _match(self, cells: Planes) -> SceneMatch:
        gain = self._gain(cells)
        expected = self.cells * gain[:, None, None]
        np.minimum(expected, 255, out=expected)
        down, right = self._shift(cells[1] - expected[1], float(gain[1]))
        if down or right:
            slopes = self._slopes
            expected -= slopes[0] * (gain * down)[:, None, None]
            expected -= slopes[1] * (gain * right)[:, None, None]
        difference = cells - expected
        # A saturated cell of the reference may have been any amount brighter than 255.
        difference[(difference > 0) & (self.cells >= _SATURATED)] = 0
        np.abs(difference, out=difference)
        largest = np.maximum(np.maximum(difference[0], difference[1]), difference[2])
        noise = min(max(1.48 * _median(difference[1]), 0.7 * self.noise), 3 * self.noise + _NOISE_ALLOWANCE)
        light = max(gain.tolist())
        limit = _MIN_DIFFERENCE * min(max(light, 0.35), 1.0) + _NOISE_LIMIT * noise
        limit = limit + (_SLOPE_TOLERANCE * light) * self._steepness
        return SceneMatch(
            cells, expected, largest / limit, (float(gain[0]), float(gain[1]), float(gain[2])), noise
        )

    def _gain(self, cells: Planes) -> npt.NDArray[np.float32]:
        """Return the light of the cells relative to the reference: the commonest ratio of each channel.

        A median would fail where an object covers half of the region. Every second cell is counted.
        """
        cells, reference = cells[:, ::2, ::2], self.cells[:, ::2, ::2]
        centre = _OCTAVES * _BINS_PER_OCTAVE
        logs = _LOGS[cells.astype(np.uint8)] - self._logs + np.int16(centre)
        usable = self._usable & (cells >= 4) & (cells < _SATURATED)
        logs[~usable | (logs < 0) | (logs > 2 * centre)] = 2 * centre + 1
        gain = np.ones(3, np.float32)
        for channel in range(3):
            counts = np.bincount(logs[channel].ravel(), minlength=2 * centre + 2)
            counts[-1] = 0
            if int(counts.sum()) < MIN_CELLS:
                continue
            mode = int(np.convolve(counts, _SMOOTHING, "same").argmax())
            near = np.abs(logs[channel] - mode) <= 2
            gain[channel] = float(np.vdot(cells[channel], near)) / max(
                float(np.vdot(reference[channel], near)), 1.0
            )
        return gain

    def _shift(self, difference: Cells, gain: float) -> tuple[float, float]:
        """Return how far the picture is shifted, in cells down and to the right (Lucas and Kanade)."""
        down, right = self._slopes[0][1], self._slopes[1][1]
        small = np.abs(difference) < 6 + self._steepness * (0.75 * gain)
        down, right, error = down * small * gain, right * small * gain, difference * small
        a, b, c = float(np.vdot(down, down)), float(np.vdot(down, right)), float(np.vdot(right, right))
        d, e = -float(np.vdot(down, error)), -float(np.vdot(right, error))
        determinant = a * c - b * b
        if determinant < 1e-3 * max(a * c, 1.0):
            return 0.0, 0.0
        shift = ((c * d - b * e) / determinant, (a * e - b * d) / determinant)
        return shift if max(abs(shift[0]), abs(shift[1])) <= _MAX_SHIFT else (0.0, 0.0)


def _picture_step(shape: Sequence[int]) -> int:
    """Return the number of pixels of a region per pixel of its reference."""
    longest = max(shape[:2])
    step = max(1, round(longest / _USUAL_SIDE))
    return step if longest // step <= MAX_SIDE else step + 1


def _sample(image: Image, step: int, pixels: int = 1) -> Planes:
    """Return the mean of sampled pixels in squares of `pixels` times `step` a side."""
    rows_within, within = [step // 2], sorted({step // 4, 3 * step // 4})
    row_phases = [number * step + phase for number in range(pixels) for phase in rows_within]
    phases = [number * step + phase for number in range(pixels) for phase in within]
    side = step * pixels
    rows, columns = image.shape[0] // side, image.shape[1] // side
    part = image[: rows * side, : columns * side]
    # Whole rows are added first: their memory is contiguous.
    total = part[row_phases[0] :: side].astype(np.uint16)
    for phase in row_phases[1:]:
        total += part[phase::side]
    strips = total.reshape(rows, columns, side, 3)
    sums = strips[:, :, phases[0]].copy()
    for phase in phases[1:]:
        sums += strips[:, :, phase]
    return np.ascontiguousarray(sums.transpose(2, 0, 1)) * np.float32(1 / len(phases) / len(row_phases))


def _halve(planes: Planes) -> Planes:
    """Return the means of 2 x 2 pixels."""
    rows, columns = planes.shape[-2] // 2 * 2, planes.shape[-1] // 2 * 2
    part = planes[..., :rows, :columns]
    upper, lower = part[..., ::2, :], part[..., 1::2, :]
    total = upper + lower
    return (total[..., ::2] + total[..., 1::2]) * np.float32(0.25)


def _median(cells: Cells) -> float:
    """Return the median of non-negative cells; np.median takes three times as long."""
    flat = cells.ravel()
    return float(np.partition(flat, len(flat) // 2)[len(flat) // 2])
