"""Fakes for tests and dry runs: a clock set by hand, an embedder without a model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


class ManualClock:
    """A clock that only `advance` moves; implements interfaces.Clock."""

    def __init__(self, start_s: float = 1000.0, start_at: datetime | None = None) -> None:
        self._now_s = start_s
        self._now_at = start_at or datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        """Return the monotonic time in seconds."""
        return self._now_s

    def utc(self) -> datetime:
        """Return the wall-clock time, timezone-aware."""
        return self._now_at

    def set_utc(self, at: datetime) -> None:
        """Set the wall clock, as NTP or a user does."""
        self._now_at = at

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self._now_s += seconds
        self._now_at += timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        """Advance in place of time.sleep."""
        self.advance(seconds)


class ColourEmbedder:
    """Embeds a picture as its mean colour, centred on grey; implements interfaces.Embedder."""

    space = "mean-colour"
    size = 3

    def embed(self, image: Image) -> Vector:
        """Return the unit vector from middle grey to the picture's mean colour."""
        colour = image.reshape(-1, 3).mean(axis=0) - 127.4
        vector: Vector = (colour / np.linalg.norm(colour)).astype(np.float32)
        return vector
