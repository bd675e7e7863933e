"""Percentiles, timing, and the images and embeddings that the measurements use."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image as Pillow

if TYPE_CHECKING:
    from edge_daemon.config.schema import Config
    from edge_daemon.domain.types import Image, Vector

Size: TypeAlias = tuple[int, int]
"""Width and height."""

LABELS = 10
SIZE = (640, 480)
PICTURES = 16


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of a time, in milliseconds."""

    p50: float
    p95: float
    p99: float


def percentiles(times_ms: list[float]) -> Percentiles:
    """Return the percentiles of times in milliseconds."""
    p50, p95, p99 = np.percentile(times_ms, [50, 95, 99])
    return Percentiles(round(float(p50), 4), round(float(p95), 4), round(float(p99), 4))


def timed_ms(work: Callable[[], object]) -> float:
    """Return the duration of a call in milliseconds."""
    begun_s = time.perf_counter()
    work()
    return (time.perf_counter() - begun_s) * 1000


def frame_size(config: Config) -> Size:
    """Return the frame size of the configured camera, or 640 x 480 for a replay, which has no setting."""
    size: Size = getattr(config.camera, "size", SIZE)
    return size


def pictures(size: Size = SIZE) -> list[Image]:
    """Return frames of soft blots of colour; their thumbnails are as large as those of real objects."""
    rng = np.random.default_rng(0)
    blots = rng.integers(0, 256, (PICTURES, 15, 20, 3), np.uint8)
    return [np.asarray(Pillow.fromarray(each).resize(size)) for each in blots]


def embeddings(count: int, size: int) -> list[tuple[Vector, str]]:
    """Return unit vectors in one cluster per label, like the embeddings of real objects."""
    rng = np.random.default_rng(1)
    centres = np.abs(rng.standard_normal((LABELS, size)))
    examples = []
    for number in range(count):
        vector = centres[number % LABELS] + 0.5 * rng.standard_normal(size)
        examples.append(((vector / np.linalg.norm(vector)).astype(np.float32), f"class {number % LABELS}"))
    return examples
