"""Embeddings for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector


def unit(seed: int, size: int = 8) -> Vector:
    """A unit vector that depends on `seed` alone."""
    drawn = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    return np.asarray(drawn / np.linalg.norm(drawn), dtype=np.float32)
