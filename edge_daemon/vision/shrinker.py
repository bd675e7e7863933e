"""Shrink pictures with the interpreter, where it has a good way from one size to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_daemon.vision.interpreter import open_interpreter
from edge_daemon.vision.shrink_graph import Size, shrink_graph

if TYPE_CHECKING:
    from edge_daemon.types import Image

MAX_KEPT = 4
"""So many sizes are kept ready: a region has one. Each holds twice the picture, 1.5 MB from 480 x 480."""

_MAX_PIXELS = 1 << 21
"""Larger pictures are no camera's at work here, and would take too much memory."""


class Shrinkers:
    """A shrinker for each size that comes along, made when it comes first. Owned by one thread."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Size, Size], _Shrinker | None] = {}

    def __call__(self, image: Image, target: Size) -> Image | None:
        """Return an RGB uint8 HWC picture at the target's size, or None where there is no good way."""
        size = image.shape[0], image.shape[1]
        key = size, target
        if key not in self._kept:
            if len(self._kept) >= MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = _make(size, target)
        shrinker = self._kept[key]
        return None if shrinker is None else shrinker(image)


class _Shrinker:
    """One graph at work."""

    def __init__(self, graph: bytes, size: Size, target: Size) -> None:
        self._size = size
        self._target = target
        self._graph = graph  # The interpreter reads its constants from these bytes as long as it lives.
        self._interpreter = open_interpreter(graph, threads=1, delegate="auto")
        self._input = int(self._interpreter.get_input_details()[0]["index"])
        self._output = int(self._interpreter.get_output_details()[0]["index"])

    def __call__(self, image: Image) -> Image:
        # The graph's numbers are pixels less 128; flipping the highest bit is that, and copying as well.
        np.bitwise_xor(image, 128, out=self._pixels(self._input, self._size))
        self._interpreter.invoke()
        small: Image = np.bitwise_xor(self._pixels(self._output, self._target), 128)
        return small

    def _pixels(self, tensor: int, size: Size) -> Any:
        """Look into the interpreter's memory, which may move: no view outlives the expression it is in."""
        return self._interpreter.tensor(tensor)().view(np.uint8).reshape(*size, 3)


def _make(size: Size, target: Size) -> _Shrinker | None:
    graph = shrink_graph(size, target) if size[0] * size[1] <= _MAX_PIXELS else None
    return None if graph is None else _Shrinker(graph, size, target)
