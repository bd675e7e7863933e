"""A picture of which only the scales that someone needs are decoded or copied."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


_ROUNDING = 1e-6
"""Tolerated difference between scales that are quotients of different lengths."""


class LoadScale(Protocol):
    """Loads a picture at a scale; None if its source no longer has it."""

    def __call__(self, scale: float, larger: Image | None) -> Image | None:
        """Return an RGB uint8 HWC picture; `larger` is one that is loaded at a larger scale, if any."""


class LazyPicture:
    """A picture of a camera, loaded at each scale when it is first asked for. Any thread may ask.

    `size` is the width and height of the full picture, and `scales` are the scales on offer, ascending; the
    last one is 1. `expected` are the scales that consumers will probably ask for.
    """

    def __init__(
        self, size: tuple[int, int], scales: Sequence[float], load: LoadScale, expected: Collection[float]
    ) -> None:
        self.size = size
        self._scales = scales
        self._load: Callable[[float, Image | None], Image | None] = load
        self._expected = frozenset(expected)
        self._asked: set[float] = set()
        self._loaded: dict[float, Image] = {}
        self._lock = threading.Lock()

    def at_least(self, scale: float) -> Image:
        """Return the picture at the smallest scale on offer that is at least `scale`, else at 1.

        A picture whose source has released it is returned at the largest loaded scale. One scale must be
        loaded before.
        """
        chosen = next((each for each in self._scales if each >= scale - _ROUNDING), 1.0)
        self._asked.add(chosen)
        return self._get(chosen)

    def smallest_loaded(self) -> Image:
        """Return the smallest picture that is loaded."""
        with self._lock:
            return self._loaded[min(self._loaded)]

    def preload(self) -> None:
        """Load the expected scales. Raises what the source raises for a damaged picture."""
        for scale in sorted(self._expected, reverse=True):
            self._get(scale)

    def expected_next(self) -> Collection[float]:
        """Return the scales that were asked for, else the expected ones: those to preload of the next one."""
        return frozenset(self._asked) or self._expected

    def _get(self, scale: float) -> Image:
        with self._lock:
            found = self._loaded.get(scale)
            if found is None:
                larger = min((each for each in self._loaded if each > scale), default=None)
                found = self._load(scale, None if larger is None else self._loaded[larger])
                if found is None and not self._loaded:
                    raise LookupError("the picture's source has released it")
                if found is None:
                    return self._loaded[max(self._loaded)]
                found.setflags(write=False)
                self._loaded[scale] = found
            return found
