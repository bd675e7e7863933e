"""Reproducible random numbers for copies of pictures.

numpy's generators would take 3 MB of a running device's memory (docs/measurements/speed.md).
"""

from __future__ import annotations

import math
import random
from functools import cache
from typing import TYPE_CHECKING, TypeAlias, overload

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    Floats: TypeAlias = npt.NDArray[np.float32]
    Doubles: TypeAlias = npt.NDArray[np.float64]
    Draws: TypeAlias = "RandomDraws | np.random.Generator"

_SIDE = 64
_VALUES = _SIDE * _SIDE


class RandomDraws:
    """The methods of numpy's Generator that copies need, with other numbers. One owning thread."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def random(self) -> float:
        """Return a number of at least 0 and less than 1."""
        return self._random.random()

    def integers(self, low: int, high: int | None = None) -> int:
        """Return a whole number of at least `low` and less than `high`; of `low` numbers from 0 without."""
        return self._random.randrange(low) if high is None else self._random.randrange(low, high)

    @overload
    def uniform(self, low: float = 0.0, high: float = 1.0) -> float: ...
    @overload
    def uniform(self, low: float, high: float, size: int) -> Doubles: ...

    def uniform(self, low: float = 0.0, high: float = 1.0, size: int | None = None) -> float | Doubles:
        """Return a number between the two, or an array of `size`."""
        if size is None:
            return self._random.uniform(low, high)
        return np.array([self._random.uniform(low, high) for _ in range(size)])

    def standard_normal(self, shape: tuple[int, ...], dtype: type[np.float32] = np.float32) -> Floats:
        """Return float32 numbers from the standard normal distribution, drawn from 4,096 values up to 3.1."""
        count = math.prod(shape)
        bits = np.frombuffer(self._random.randbytes(2 * count), "<u2") & (_VALUES - 1)
        normal: Floats = _normal_values()[bits].reshape(shape).astype(dtype, copy=False)
        return normal


@cache
def _normal_values() -> Floats:
    """Return 4,096 values that are distributed normally: Box and Muller's pairs of a regular grid."""
    grid = (np.arange(_SIDE) + 0.5) / _SIDE
    radius, angle = np.sqrt(-2 * np.log(grid)), 2 * np.pi * grid
    values = np.outer(radius, np.cos(angle)).ravel()
    normal: Floats = (values / values.std()).astype(np.float32)
    return normal
