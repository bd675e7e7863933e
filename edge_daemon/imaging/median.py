"""Median over the first axis; np.median loads numpy.ma, which takes 15 ms and 2 MB."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def median(values: npt.NDArray[Any]) -> npt.NDArray[np.floating[Any]]:
    """Return the median of n arrays, n x ..., n at least 1; of integers as float64."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    middle: npt.NDArray[np.floating[Any]] = np.partition(values, (low, high), axis=0)[[low, high]].mean(
        axis=0
    )
    return middle
