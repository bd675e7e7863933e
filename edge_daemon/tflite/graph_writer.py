"""Writer of TFLite files: tensors, constants and operators in execution order, by the schema's numbers.

The numbers are those of TFLite's schema, version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import TypeAlias

from msgspec import Struct

from edge_daemon.tflite.flatbuffers import Fields, NumberVector, Scalar, Value, write

Shape: TypeAlias = Sequence[int]


class DType(IntEnum):
    """Types of tensors."""

    FLOAT32 = 0
    INT32 = 2
    UINT8 = 3
    INT8 = 9


class Op(IntEnum):
    """Builtin operators."""

    ADD = 0
    AVERAGE_POOL_2D = 1
    CONCATENATION = 2
    CONV_2D = 3
    DEPTHWISE_CONV_2D = 4
    DEQUANTIZE = 6
    FULLY_CONNECTED = 9
    LOGISTIC = 14
    MAX_POOL_2D = 17
    MUL = 18
    RELU = 19
    RELU6 = 21
    RESHAPE = 22
    RESIZE_BILINEAR = 23
    SOFTMAX = 25
    TANH = 28
    PAD = 34
    TRANSPOSE = 39
    MEAN = 40
    REDUCE_MAX = 82
    RESIZE_NEAREST_NEIGHBOR = 97
    LEAKY_RELU = 98
    ELU = 111
    QUANTIZE = 114


_OPTIONS = {
    Op.CONV_2D: 1,
    Op.DEPTHWISE_CONV_2D: 2,
    Op.AVERAGE_POOL_2D: 5,
    Op.MAX_POOL_2D: 5,
    Op.FULLY_CONNECTED: 8,
    Op.SOFTMAX: 9,
    Op.CONCATENATION: 10,
    Op.ADD: 11,
    Op.RESIZE_BILINEAR: 15,
    Op.RESHAPE: 17,
    Op.MUL: 21,
    Op.PAD: 22,
    Op.TRANSPOSE: 26,
    Op.MEAN: 27,
    Op.REDUCE_MAX: 27,
    Op.RESIZE_NEAREST_NEIGHBOR: 74,
    Op.LEAKY_RELU: 75,
    Op.QUANTIZE: 89,
}
"""Numbers of the operators' tables of options; the others have none."""

_VERSIONS = {
    Op.ADD: 2,
    Op.CONV_2D: 3,
    Op.DEPTHWISE_CONV_2D: 3,
    Op.DEQUANTIZE: 2,
    Op.MEAN: 2,
    Op.RESIZE_BILINEAR: 3,
    Op.SOFTMAX: 2,
    Op.TRANSPOSE: 2,
}
"""Versions of the operators that take 8-bit tensors; 1 for the others."""

_SAME, _VALID = 0, 1
_RELU6 = 3


class Quantization(Struct, frozen=True):
    """Real value = scale x (number - zero point). Several scales belong to the slices of `dimension`."""

    scales: Sequence[float]
    zero_point: int = 0
    dimension: int = 0


class GraphWriter:
    """Collects the parts of one graph. Methods return the index of the tensor that they add."""

    def __init__(self) -> None:
        self._buffers: list[Fields] = [{}]  # buffer 0 means: no constant
        self._tensors: list[Fields] = []
        self._operators: list[Fields] = []
        self._codes: list[Op] = []

    def tensor(
        self, dtype: DType, shape: Shape, quantization: Quantization | None = None, name: str = ""
    ) -> int:
        """Add a computed tensor."""
        return self._add_tensor(dtype, shape, 0, quantization, name)

    def constant(
        self, dtype: DType, shape: Shape, content: bytes, quantization: Quantization | None = None
    ) -> int:
        """Add a constant with its bytes, little-endian and row by row."""
        self._buffers.append({0: content})
        return self._add_tensor(dtype, shape, len(self._buffers) - 1, quantization, "")

    def integers(self, *values: int) -> int:
        """Add an int32 vector, as operators take for shapes and axes."""
        return self.constant(DType.INT32, (len(values),), struct.pack(f"<{len(values)}i", *values))

    def operator(self, op: Op, inputs: Sequence[int], output: int, options: Fields | None = None) -> int:
        """Append an operator that computes the tensor `output`."""
        if op not in self._codes:
            self._codes.append(op)
        fields: dict[int, Value] = {
            0: Scalar("I", self._codes.index(op)),
            1: NumberVector("i", inputs),
            2: NumberVector("i", [output]),
        }
        if op in _OPTIONS:
            fields[3], fields[4] = Scalar("B", _OPTIONS[op]), options or {}
        self._operators.append(fields)
        return output

    def content(self, graph_input: int, *graph_outputs: int) -> bytes:
        """Return the file."""
        graph: Fields = {
            0: self._tensors,
            1: NumberVector("i", [graph_input]),
            2: NumberVector("i", graph_outputs),
            3: self._operators,
        }
        codes = [
            {0: Scalar("b", code), 2: Scalar("i", _VERSIONS.get(code, 1)), 3: Scalar("i", code)}
            for code in self._codes
        ]
        return write({0: Scalar("I", 3), 1: codes, 2: [graph], 4: self._buffers}, b"TFL3")

    def _add_tensor(
        self, dtype: DType, shape: Shape, buffer: int, quantization: Quantization | None, name: str
    ) -> int:
        table: dict[int, Value] = {
            0: NumberVector("i", shape),
            1: Scalar("b", dtype),
            2: Scalar("I", buffer),
        }
        if name:
            table[3] = name
        if quantization is not None:
            table[4] = {
                2: NumberVector("f", quantization.scales),
                3: NumberVector("q", [quantization.zero_point] * len(quantization.scales)),
                6: Scalar("i", quantization.dimension),
            }
        self._tensors.append(table)
        return len(self._tensors) - 1


def convolution_options(
    stride: int | tuple[int, int],
    relu6: bool = False,
    *,
    padded: bool = True,
    dilation: tuple[int, int] = (1, 1),
) -> Fields:
    """Return the options of CONV_2D; pairs are (height, width). Padding is SAME if `padded`, else VALID."""
    height, width = (stride, stride) if isinstance(stride, int) else stride
    return {
        0: Scalar("b", _SAME if padded else _VALID),
        1: Scalar("i", width),
        2: Scalar("i", height),
        3: Scalar("b", _RELU6 if relu6 else 0),
        4: Scalar("i", dilation[1]),
        5: Scalar("i", dilation[0]),
    }


def pool_options(size: tuple[int, int], stride: tuple[int, int], *, padded: bool) -> Fields:
    """Return the options of AVERAGE_POOL_2D and MAX_POOL_2D; pairs are (height, width)."""
    return {
        0: Scalar("b", _SAME if padded else _VALID),
        1: Scalar("i", stride[1]),
        2: Scalar("i", stride[0]),
        3: Scalar("i", size[1]),
        4: Scalar("i", size[0]),
    }


def depthwise_options(
    stride: tuple[int, int], relu6: bool = False, *, padded: bool = True, multiplier: int = 1
) -> Fields:
    """Return the options of DEPTHWISE_CONV_2D; `stride` is (height, width), `multiplier` filters per channel.

    The padding is SAME if `padded`, else VALID.
    """
    return {
        0: Scalar("b", _SAME if padded else _VALID),
        1: Scalar("i", stride[1]),
        2: Scalar("i", stride[0]),
        3: Scalar("i", multiplier),
        4: Scalar("b", _RELU6 if relu6 else 0),
        5: Scalar("i", 1),
        6: Scalar("i", 1),
    }
