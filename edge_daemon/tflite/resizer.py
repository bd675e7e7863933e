"""Image downscaling by a TFLite graph: the interpreter's 8-bit kernels are faster than Pillow.

Blocks of pixels are averaged until less than twice the target is left, then lines are interpolated, as in
Pillow with `reducing_gap=1`. A picture of less than twice the target is smoothed by three coefficients
instead, which together with the interpolation have the variance of Pillow's filter. All steps work down the
columns, with a whole row as the channels of one pixel, so that the kernels use wide registers; the picture is
transposed in between.

Values are int8, pixel minus 128: that type has the fastest kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_daemon.tflite.flatbuffers import Fields, NumberVector, Scalar
from edge_daemon.tflite.graph_writer import DType, GraphWriter, Op, Quantization, depthwise_options
from edge_daemon.tflite.interpreter import open_interpreter

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


MAX_BLOCK = 4
"""Larger blocks differ by more than one level of 255 from the reference filter."""

_MIN_INTERPOLATION, _MAX_INTERPOLATION = 1.05, 1.6
"""Range of the scale factor left to interpolation. Below it only blocks average, with half the support of
the reference filter; above it lines are skipped. Inside it photos differ by 0.5 to 1 of 255 on average."""

_MAX_PIXELS = 1 << 21
"""Larger pictures are resized by Pillow: their graphs would take too much memory."""

MAX_CACHED_PIXELS = 2 * _MAX_PIXELS
"""Pixels of the pictures for which resizers are kept: enough for overlapping regions of 1920 x 1080 pixels.
Each resizer holds twice its picture, 1.5 MB for 480 x 480."""

HeightWidth = tuple[int, int]
"""Height and width."""

_ZERO_POINT = -128
_MAX_WEIGHT = 127


def block_size(length: int, target: int) -> int | None:
    """Return the number of pixels to average from `length` to `target`; None if the quality would suffer.

    It is 1 where lines are smoothed.
    """
    size = int(length / target / _MIN_INTERPOLATION)
    if size == 1:
        return 1
    if not 2 <= size <= MAX_BLOCK or length % size or length / size / target > _MAX_INTERPOLATION:
        return None
    return size


def smoothing_weights(factor: float) -> tuple[int, int, int]:
    """Return the coefficients for a reduction by `factor`, up to 2.1; the largest is 127.

    Pillow's filter is a triangle of half width `factor`, with the variance factor² / 6, and interpolation one
    of half width 1. Coefficients (a, 1 - 2a, a) have the variance 2a.
    """
    side = (factor**2 - 1) / 12
    outer = round(_MAX_WEIGHT * side / (1 - 2 * side))
    return outer, _MAX_WEIGHT, outer


def build_resize_graph(size: HeightWidth, target: HeightWidth) -> bytes | None:
    """Return a model file that resizes one picture; input and output are 1 x height x 1 x (3 * width).

    The input is larger by the `margins`. None for sizes that Pillow resizes better.
    """
    (height, width), (target_height, target_width) = size, target
    rows, columns = block_size(height, target_height), block_size(width, target_width)
    if rows is None or columns is None:
        return None
    above, beside = margins(size, target)
    builder = _GraphBuilder(height + 2 * above, width + 2 * beside)
    builder.reduce(rows, height / target_height)
    builder.transpose()
    builder.reduce(columns, width / target_width)
    builder.interpolate(target_width)
    builder.transpose()
    builder.interpolate(target_height)
    return builder.content()


def margins(size: HeightWidth, target: HeightWidth) -> tuple[int, int]:
    """Return the pixels by which the graph's input exceeds the picture, above and below, left and right."""
    rows, columns = (int(block_size(*lengths) == 1) for lengths in zip(size, target, strict=True))
    return rows, columns


class _GraphBuilder:
    """Appends operators for a picture of `lines` lines of `length` pixels each."""

    def __init__(self, lines: int, length: int) -> None:
        self._lines = lines
        self._length = length
        self._graph = GraphWriter()
        self._input = self._at = self._tensor(self._shape)

    @property
    def _shape(self) -> tuple[int, ...]:
        return 1, self._lines, 1, 3 * self._length

    def reduce(self, block: int, factor: float) -> None:
        """Average every `block` lines to one; with a block of 1, smooth lines and drop the outer two."""
        if block > 1:
            self._lines //= block
            self._filter([_MAX_WEIGHT] * block, block)
        else:
            self._lines -= 2
            self._filter(smoothing_weights(factor), 1)

    def _filter(self, coefficients: Sequence[int], stride: int) -> None:
        channels, lines = 3 * self._length, len(coefficients)
        scales = Quantization([1 / sum(coefficients)] * channels, dimension=3)
        content = b"".join(bytes([number]) * channels for number in coefficients)
        weights = self._graph.constant(DType.INT8, (1, lines, 1, channels), content, scales)
        bias_scales = Quantization(scales.scales)
        bias = self._graph.constant(DType.INT32, (channels,), bytes(4 * channels), bias_scales)
        options = depthwise_options((stride, 1), padded=False)
        self._step(Op.DEPTHWISE_CONV_2D, [weights, bias], self._shape, options)

    def interpolate(self, lines: int) -> None:
        """Interpolate to `lines` lines, each from its two nearest."""
        size = self._graph.integers(lines, 1)
        half_pixel_centres: Fields = {3: Scalar("?", 1)}
        self._lines = lines
        self._step(Op.RESIZE_BILINEAR, [size], self._shape, half_pixel_centres)

    def transpose(self) -> None:
        """Swap lines and columns."""
        self._reshape((1, self._lines, self._length, 3))
        self._lines, self._length = self._length, self._lines
        order = self._graph.integers(0, 2, 1, 3)
        self._step(Op.TRANSPOSE, [order], (1, self._lines, self._length, 3), {})
        self._reshape(self._shape)

    def content(self) -> bytes:
        """Return the model file."""
        return self._graph.content(self._input, self._at)

    def _reshape(self, shape: tuple[int, ...]) -> None:
        new_shape = self._graph.integers(*shape)
        self._step(Op.RESHAPE, [new_shape], shape, {0: NumberVector("i", shape)})

    def _step(self, op: Op, constants: list[int], shape: tuple[int, ...], options: Fields) -> None:
        self._at = self._graph.operator(op, [self._at, *constants], self._tensor(shape), options)

    def _tensor(self, shape: tuple[int, ...]) -> int:
        return self._graph.tensor(DType.INT8, shape, Quantization([1.0], _ZERO_POINT))


class ResizerCache:
    """Resizers by size, each built at its first use, for `MAX_CACHED_PIXELS` in all. Owned by one thread.

    Without `smooths`, pictures of less than twice the target are left to Pillow.
    """

    def __init__(self, *, smooths: bool = True) -> None:
        self._smooths = smooths
        self._cached: dict[tuple[HeightWidth, HeightWidth], _Resizer] = {}
        """The resizers, the one used last at the end."""

    def __call__(self, image: Image, target: HeightWidth) -> Image | None:
        """Return an RGB uint8 HWC picture of the target's size; None if no graph suits the sizes."""
        size = image.shape[0], image.shape[1]
        resizer = self._cached.pop((size, target), None) or self._build(size, target)
        if resizer is None:
            return None
        self._cached[size, target] = resizer
        return resizer(image)

    def _build(self, size: HeightWidth, target: HeightWidth) -> _Resizer | None:
        """Return a new resizer, and drop those that were not used for longest; None if no graph suits."""
        if size[0] * size[1] > _MAX_PIXELS or (not self._smooths and any(margins(size, target))):
            return None
        graph = build_resize_graph(size, target)
        if graph is None:
            return None
        sizes = [size, *(each for each, _ in self._cached)]
        while sum(height * width for height, width in sizes) > MAX_CACHED_PIXELS:
            del sizes[1], self._cached[next(iter(self._cached))]
        return _Resizer(graph, size, target)


class _Resizer:
    """An interpreter of one resize graph."""

    def __init__(self, graph: bytes, size: HeightWidth, target: HeightWidth) -> None:
        self._size = size
        self._target = target
        self._margins = margins(size, target)
        self._graph = graph  # The interpreter reads its constants from these bytes.
        self._interpreter = open_interpreter(graph, threads=1, delegate="auto")
        self._input = int(self._interpreter.get_input_details()[0]["index"])
        self._output = int(self._interpreter.get_output_details()[0]["index"])

    def __call__(self, image: Image) -> Image:
        self._fill(image)
        self._interpreter.invoke()
        small: Image = np.bitwise_xor(self._pixels(self._output, self._target), 128)
        return small

    def _fill(self, image: Image) -> None:
        """Copy a picture into the graph's input, whose margins repeat its edges."""
        (height, width), (above, beside) = self._size, self._margins
        padded = self._pixels(self._input, (height + 2 * above, width + 2 * beside))
        # The graph takes pixels minus 128: one XOR of the highest bit converts and copies them.
        np.bitwise_xor(image, 128, out=padded[above : above + height, beside : beside + width])
        if beside:
            padded[:, 0], padded[:, -1] = padded[:, 1], padded[:, -2]
        if above:
            padded[0], padded[-1] = padded[1], padded[-2]

    def _pixels(self, tensor: int, size: HeightWidth) -> Any:
        """Return a view of the interpreter's memory. The memory may move, so don't keep the view."""
        return self._interpreter.tensor(tensor)().view(np.uint8).reshape(*size, 3)
