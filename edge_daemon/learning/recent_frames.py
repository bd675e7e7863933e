"""Running mean of the embeddings of recent frames: the place and light that a region shows at present."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.learning.embedding_index import NEAR_DUPLICATE
from edge_daemon.learning.sessions import SESSION_GAP

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector
    from edge_daemon.learning.sampling import Doubles

MEAN_FRAMES = 48
"""Number of frames in the mean; older ones fade out."""

_GAP_S = SESSION_GAP.total_seconds()


class RecentFrames:
    """The mean of a region's recent frames, without their labels. One owning thread.

    A still picture counts once, however long it lasts. After 20 minutes without a new view the mean starts
    again, as the presses of a session do.
    """

    def __init__(self) -> None:
        self._last: Vector | None = None
        self._last_s = 0.0
        self._mean: Doubles = np.empty(0)
        self._is_new = False
        self.count = 0
        """Number of frames counted since the start."""
        self.known_share = 1.0
        """Share of the frames that the threshold of the taught sessions accepted; 1 before the first."""
        self.scored = 0
        """Number of frames in `known_share`: those that were classified."""

    @property
    def mean(self) -> Doubles:
        """The mean of the unit embeddings; it is shorter than 1. Empty without frames."""
        return self._mean

    def add(self, embedding: Vector, now: float = 0.0) -> None:
        """Count a frame, unless it shows the view of the one counted last.

        `embedding` has unit length; `now` is monotonic.
        """
        last = self._last
        if last is not None and (len(last) != len(embedding) or now - self._last_s > _GAP_S):
            self.reset()
        elif last is not None and float(last @ embedding) >= NEAR_DUPLICATE:
            self._is_new = False
            return
        self._is_new = True
        if not self.count:
            self._mean = np.zeros(len(embedding))
        self.count += 1
        self._mean += (embedding - self._mean) / min(self.count, MEAN_FRAMES)
        self._last, self._last_s = embedding, now

    def record_known(self, *, known: bool) -> None:
        """Count whether the threshold of the taught sessions accepts the frame that was added last."""
        if self._is_new:
            self.scored += 1
            self.known_share += (known - self.known_share) / min(self.scored, MEAN_FRAMES)

    def reset(self) -> None:
        """Drop all frames: the region shows another place, or was out of use."""
        self._last, self.count, self._mean = None, 0, np.empty(0)
        self._is_new, self.known_share = False, 1.0
        self.scored = 0
