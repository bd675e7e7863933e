"""A TFLite graph that shrinks a picture: the interpreter's 8-bit kernels are faster at it than Pillow.

Blocks of pixels are averaged until less than twice the target is left, then lines are interpolated, as
Pillow does with `reducing_gap=1`. Both work down the columns, with a whole row as the channels of one pixel,
which is how the kernels use wide registers; in between the picture is transposed.

Numbers are int8, pixel less 128: of all types that one has the fastest kernels.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_daemon.tflite.flatbuffers import Fields, Numbers, Scalar, Value, write
from edge_daemon.tflite.interpreter import open_interpreter

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


MAX_BLOCK = 4
"""Larger blocks differ by more than one level of 255 from the reference filter."""

_LEAST_REST, _MOST_REST = 1.05, 1.6
"""What averaging may leave to interpolation. Below, blocks are all there is, and they see half as far as the
reference filter; above, interpolation skips lines. Between, photos differ by 0.5 to 1 of 255 on average."""

Size = tuple[int, int]
"""Height and width."""

# TFLite's schema, version 3: numbers of operators, of their options' tables and of tensor types.
_DEPTHWISE_CONV_2D, _RESHAPE, _RESIZE_BILINEAR, _TRANSPOSE = 4, 22, 23, 39
_DEPTHWISE_OPTIONS, _RESIZE_OPTIONS, _RESHAPE_OPTIONS, _TRANSPOSE_OPTIONS = 2, 15, 17, 26
_VERSIONS = {_DEPTHWISE_CONV_2D: 3, _RESHAPE: 1, _RESIZE_BILINEAR: 3, _TRANSPOSE: 2}
_INT32, _INT8 = 2, 9
_VALID = 1
_BLACK = -128
_HEAVIEST = 127


def block(length: int, target: int) -> int | None:
    """Return how many pixels are averaged to go from one length to the other; None where it won't do."""
    size = int(length / target / _LEAST_REST)
    if not 2 <= size <= MAX_BLOCK or length % size or length / size / target > _MOST_REST:
        return None
    return size


def build_resize_graph(size: Size, target: Size) -> bytes | None:
    """Return a model of one picture in and one out, both 1 x height x 1 x (3 * width).

    None where Pillow does it better.
    """
    (height, width), (target_height, target_width) = size, target
    rows, columns = block(height, target_height), block(width, target_width)
    if rows is None or columns is None:
        return None
    picture = _Picture(height, width)
    picture.average(rows)
    picture.turn()
    picture.average(columns)
    picture.interpolate(target_width)
    picture.turn()
    picture.interpolate(target_height)
    return picture.content()


class _Picture:
    """A picture on its way through a graph: `lines` of `length` pixels each."""

    def __init__(self, lines: int, length: int) -> None:
        self._lines = lines
        self._length = length
        self._buffers: list[Fields] = [{}]  # the first stands for no constant
        self._tensors: list[Fields] = []
        self._steps: list[Fields] = []
        self._codes: list[int] = []
        self._at = self._tensor(self._shape)

    @property
    def _shape(self) -> tuple[int, ...]:
        return 1, self._lines, 1, 3 * self._length

    def average(self, block: int) -> None:
        """Make one line of every `block` lines."""
        channels = 3 * self._length
        share = 1 / (block * _HEAVIEST)
        ones = bytes([_HEAVIEST]) * (block * channels)
        weights = self._constant(_INT8, (1, block, 1, channels), ones, [share] * channels)
        bias = self._constant(_INT32, (channels,), bytes(4 * channels), [share] * channels)
        options = {0: Scalar("b", _VALID), 1: Scalar("i", block), 2: Scalar("i", block), 3: Scalar("i", 1)}
        self._lines //= block
        self._step(_DEPTHWISE_CONV_2D, [weights, bias], self._shape, _DEPTHWISE_OPTIONS, options)

    def interpolate(self, lines: int) -> None:
        """Make so many lines, each from the two nearest."""
        size = self._constant(_INT32, (2,), struct.pack("<2i", lines, 1))
        half_pixel_centres: Fields = {3: Scalar("?", 1)}
        self._lines = lines
        self._step(_RESIZE_BILINEAR, [size], self._shape, _RESIZE_OPTIONS, half_pixel_centres)

    def turn(self) -> None:
        """Make lines of the columns."""
        self._reshape((1, self._lines, self._length, 3))
        self._lines, self._length = self._length, self._lines
        order = self._constant(_INT32, (4,), struct.pack("<4i", 0, 2, 1, 3))
        self._step(_TRANSPOSE, [order], (1, self._lines, self._length, 3), _TRANSPOSE_OPTIONS, {})
        self._reshape(self._shape)

    def content(self) -> bytes:
        """Return the file."""
        graph: Fields = {
            0: self._tensors,
            1: Numbers("i", [0]),
            2: Numbers("i", [self._at]),
            3: self._steps,
        }
        codes = [
            {0: Scalar("b", code), 2: Scalar("i", _VERSIONS[code]), 3: Scalar("i", code)}
            for code in self._codes
        ]
        return write({0: Scalar("I", 3), 1: codes, 2: [graph], 4: self._buffers}, b"TFL3")

    def _reshape(self, shape: tuple[int, ...]) -> None:
        wanted = self._constant(_INT32, (4,), struct.pack("<4i", *shape))
        self._step(_RESHAPE, [wanted], shape, _RESHAPE_OPTIONS, {0: Numbers("i", shape)})

    def _step(
        self, code: int, constants: list[int], shape: tuple[int, ...], options_type: int, options: Fields
    ) -> None:
        if code not in self._codes:
            self._codes.append(code)
        result = self._tensor(shape)
        self._steps.append(
            {
                0: Scalar("I", self._codes.index(code)),
                1: Numbers("i", [self._at, *constants]),
                2: Numbers("i", [result]),
                3: Scalar("B", options_type),
                4: options,
            }
        )
        self._at = result

    def _tensor(self, shape: tuple[int, ...]) -> int:
        self._tensors.append(_tensor(_INT8, shape, 0, [1.0], _BLACK))
        return len(self._tensors) - 1

    def _constant(
        self, kind: int, shape: tuple[int, ...], content: bytes, scales: Sequence[float] = ()
    ) -> int:
        self._buffers.append({0: content})
        self._tensors.append(_tensor(kind, shape, len(self._buffers) - 1, scales, 0))
        return len(self._tensors) - 1


def _tensor(
    kind: int, shape: tuple[int, ...], buffer: int, scales: Sequence[float], zero_point: int
) -> Fields:
    """Describe a tensor; several `scales` are those of its channels, which are the last dimension."""
    table: dict[int, Value] = {0: Numbers("i", shape), 1: Scalar("b", kind), 2: Scalar("I", buffer)}
    if scales:
        table[4] = {
            2: Numbers("f", scales),
            3: Numbers("q", [zero_point] * len(scales)),
            6: Scalar("i", len(shape) - 1 if len(scales) > 1 else 0),
        }
    return table


MAX_KEPT = 4
"""So many sizes are kept ready: a region has one. Each holds twice the picture, 1.5 MB from 480 x 480."""

_MAX_PIXELS = 1 << 21
"""Larger pictures are no camera's at work here, and would take too much memory."""


class Resizers:
    """A shrinker for each size that comes along, made when it comes first. Owned by one thread."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Size, Size], _Resizer | None] = {}

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


class _Resizer:
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


def _make(size: Size, target: Size) -> _Resizer | None:
    graph = build_resize_graph(size, target) if size[0] * size[1] <= _MAX_PIXELS else None
    return None if graph is None else _Resizer(graph, size, target)
