"""Image downscaling by a TFLite graph: the interpreter's 8-bit kernels are faster than Pillow.

Blocks of pixels are averaged until less than twice the target is left, then lines are interpolated, as in
Pillow with `reducing_gap=1`. Both steps work down the columns, with a whole row as the channels of one pixel,
so that the kernels use wide registers; the picture is transposed in between.

Values are int8, pixel minus 128: that type has the fastest kernels.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_daemon.tflite.flatbuffers import Fields, NumberVector, Scalar, Value, write
from edge_daemon.tflite.interpreter import open_interpreter

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


MAX_BLOCK = 4
"""Larger blocks differ by more than one level of 255 from the reference filter."""

_MIN_INTERPOLATION, _MAX_INTERPOLATION = 1.05, 1.6
"""Range of the scale factor left to interpolation. Below it only blocks average, with half the support of
the reference filter; above it lines are skipped. Inside it photos differ by 0.5 to 1 of 255 on average."""

MAX_CACHED = 4
"""Resizers kept: one per region's size. Each holds twice its picture, 1.5 MB for 480 x 480."""

_MAX_PIXELS = 1 << 21
"""Larger pictures are resized by Pillow: their graphs would take too much memory."""

HeightWidth = tuple[int, int]
"""Height and width."""

# TFLite's schema, version 3: numbers of operators, of their options' tables and of tensor types.
_DEPTHWISE_CONV_2D, _RESHAPE, _RESIZE_BILINEAR, _TRANSPOSE = 4, 22, 23, 39
_DEPTHWISE_OPTIONS, _RESIZE_OPTIONS, _RESHAPE_OPTIONS, _TRANSPOSE_OPTIONS = 2, 15, 17, 26
_VERSIONS = {_DEPTHWISE_CONV_2D: 3, _RESHAPE: 1, _RESIZE_BILINEAR: 3, _TRANSPOSE: 2}
_INT32, _INT8 = 2, 9
_VALID = 1
_ZERO_POINT = -128
_MAX_WEIGHT = 127


def block_size(length: int, target: int) -> int | None:
    """Return the number of pixels to average from `length` to `target`; None if the quality would suffer."""
    size = int(length / target / _MIN_INTERPOLATION)
    if not 2 <= size <= MAX_BLOCK or length % size or length / size / target > _MAX_INTERPOLATION:
        return None
    return size


def build_resize_graph(size: HeightWidth, target: HeightWidth) -> bytes | None:
    """Return a model file that resizes one picture; input and output are 1 x height x 1 x (3 * width).

    None for sizes that Pillow resizes better.
    """
    (height, width), (target_height, target_width) = size, target
    rows, columns = block_size(height, target_height), block_size(width, target_width)
    if rows is None or columns is None:
        return None
    builder = _GraphBuilder(height, width)
    builder.average(rows)
    builder.transpose()
    builder.average(columns)
    builder.interpolate(target_width)
    builder.transpose()
    builder.interpolate(target_height)
    return builder.content()


class _GraphBuilder:
    """Appends operators for a picture of `lines` lines of `length` pixels each."""

    def __init__(self, lines: int, length: int) -> None:
        self._lines = lines
        self._length = length
        self._buffers: list[Fields] = [{}]  # buffer 0 means: no constant
        self._tensors: list[Fields] = []
        self._steps: list[Fields] = []
        self._codes: list[int] = []
        self._at = self._tensor(self._shape)

    @property
    def _shape(self) -> tuple[int, ...]:
        return 1, self._lines, 1, 3 * self._length

    def average(self, block: int) -> None:
        """Average every `block` lines to one."""
        channels = 3 * self._length
        scale = 1 / (block * _MAX_WEIGHT)
        ones = bytes([_MAX_WEIGHT]) * (block * channels)
        weights = self._constant(_INT8, (1, block, 1, channels), ones, [scale] * channels)
        bias = self._constant(_INT32, (channels,), bytes(4 * channels), [scale] * channels)
        options = {0: Scalar("b", _VALID), 1: Scalar("i", block), 2: Scalar("i", block), 3: Scalar("i", 1)}
        self._lines //= block
        self._step(_DEPTHWISE_CONV_2D, [weights, bias], self._shape, _DEPTHWISE_OPTIONS, options)

    def interpolate(self, lines: int) -> None:
        """Interpolate to `lines` lines, each from its two nearest."""
        size = self._constant(_INT32, (2,), struct.pack("<2i", lines, 1))
        half_pixel_centres: Fields = {3: Scalar("?", 1)}
        self._lines = lines
        self._step(_RESIZE_BILINEAR, [size], self._shape, _RESIZE_OPTIONS, half_pixel_centres)

    def transpose(self) -> None:
        """Swap lines and columns."""
        self._reshape((1, self._lines, self._length, 3))
        self._lines, self._length = self._length, self._lines
        order = self._constant(_INT32, (4,), struct.pack("<4i", 0, 2, 1, 3))
        self._step(_TRANSPOSE, [order], (1, self._lines, self._length, 3), _TRANSPOSE_OPTIONS, {})
        self._reshape(self._shape)

    def content(self) -> bytes:
        """Return the model file."""
        graph: Fields = {
            0: self._tensors,
            1: NumberVector("i", [0]),
            2: NumberVector("i", [self._at]),
            3: self._steps,
        }
        codes = [
            {0: Scalar("b", code), 2: Scalar("i", _VERSIONS[code]), 3: Scalar("i", code)}
            for code in self._codes
        ]
        return write({0: Scalar("I", 3), 1: codes, 2: [graph], 4: self._buffers}, b"TFL3")

    def _reshape(self, shape: tuple[int, ...]) -> None:
        new_shape = self._constant(_INT32, (4,), struct.pack("<4i", *shape))
        self._step(_RESHAPE, [new_shape], shape, _RESHAPE_OPTIONS, {0: NumberVector("i", shape)})

    def _step(
        self, code: int, constants: list[int], shape: tuple[int, ...], options_type: int, options: Fields
    ) -> None:
        if code not in self._codes:
            self._codes.append(code)
        result = self._tensor(shape)
        self._steps.append(
            {
                0: Scalar("I", self._codes.index(code)),
                1: NumberVector("i", [self._at, *constants]),
                2: NumberVector("i", [result]),
                3: Scalar("B", options_type),
                4: options,
            }
        )
        self._at = result

    def _tensor(self, shape: tuple[int, ...]) -> int:
        self._tensors.append(_tensor(_INT8, shape, 0, [1.0], _ZERO_POINT))
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
    """Return a tensor's table; several `scales` belong to the channels, the last dimension."""
    table: dict[int, Value] = {0: NumberVector("i", shape), 1: Scalar("b", kind), 2: Scalar("I", buffer)}
    if scales:
        table[4] = {
            2: NumberVector("f", scales),
            3: NumberVector("q", [zero_point] * len(scales)),
            6: Scalar("i", len(shape) - 1 if len(scales) > 1 else 0),
        }
    return table


class ResizerCache:
    """Resizers by size, each built at its first use. Owned by one thread."""

    def __init__(self) -> None:
        self._cached: dict[tuple[HeightWidth, HeightWidth], _Resizer | None] = {}

    def __call__(self, image: Image, target: HeightWidth) -> Image | None:
        """Return an RGB uint8 HWC picture of the target's size; None if no graph suits the sizes."""
        size = image.shape[0], image.shape[1]
        key = size, target
        if key not in self._cached:
            if len(self._cached) >= MAX_CACHED:
                del self._cached[next(iter(self._cached))]
            self._cached[key] = _build_resizer(size, target)
        resizer = self._cached[key]
        return None if resizer is None else resizer(image)


class _Resizer:
    """An interpreter of one resize graph."""

    def __init__(self, graph: bytes, size: HeightWidth, target: HeightWidth) -> None:
        self._size = size
        self._target = target
        self._graph = graph  # The interpreter reads its constants from these bytes.
        self._interpreter = open_interpreter(graph, threads=1, delegate="auto")
        self._input = int(self._interpreter.get_input_details()[0]["index"])
        self._output = int(self._interpreter.get_output_details()[0]["index"])

    def __call__(self, image: Image) -> Image:
        # The graph takes pixels minus 128: one XOR of the highest bit converts and copies them.
        np.bitwise_xor(image, 128, out=self._pixels(self._input, self._size))
        self._interpreter.invoke()
        small: Image = np.bitwise_xor(self._pixels(self._output, self._target), 128)
        return small

    def _pixels(self, tensor: int, size: HeightWidth) -> Any:
        """Return a view of the interpreter's memory. The memory may move, so don't keep the view."""
        return self._interpreter.tensor(tensor)().view(np.uint8).reshape(*size, 3)


def _build_resizer(size: HeightWidth, target: HeightWidth) -> _Resizer | None:
    graph = build_resize_graph(size, target) if size[0] * size[1] <= _MAX_PIXELS else None
    return None if graph is None else _Resizer(graph, size, target)
