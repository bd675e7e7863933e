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
    CONV_2D = 3
    DEPTHWISE_CONV_2D = 4
    RESHAPE = 22
    RESIZE_BILINEAR = 23
    SOFTMAX = 25
    TRANSPOSE = 39
    MEAN = 40
    QUANTIZE = 114


_OPTIONS = {
    Op.CONV_2D: 1,
    Op.DEPTHWISE_CONV_2D: 2,
    Op.SOFTMAX: 9,
    Op.ADD: 11,
    Op.RESIZE_BILINEAR: 15,
    Op.RESHAPE: 17,
    Op.TRANSPOSE: 26,
    Op.MEAN: 27,
    Op.QUANTIZE: 89,
}
"""Numbers of the operators' tables of options."""

_VERSIONS = {
    Op.ADD: 2,
    Op.CONV_2D: 3,
    Op.DEPTHWISE_CONV_2D: 3,
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
        self._operators.append(
            {
                0: Scalar("I", self._codes.index(op)),
                1: NumberVector("i", inputs),
                2: NumberVector("i", [output]),
                3: Scalar("B", _OPTIONS[op]),
                4: options or {},
            }
        )
        return output

    def content(self, graph_input: int, graph_output: int) -> bytes:
        """Return the file."""
        graph: Fields = {
            0: self._tensors,
            1: NumberVector("i", [graph_input]),
            2: NumberVector("i", [graph_output]),
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


def convolution_options(stride: int, relu6: bool = False) -> Fields:
    """Return the options of CONV_2D with padding SAME."""
    return {
        0: Scalar("b", _SAME),
        1: Scalar("i", stride),
        2: Scalar("i", stride),
        3: Scalar("b", _RELU6 if relu6 else 0),
        4: Scalar("i", 1),
        5: Scalar("i", 1),
    }


def depthwise_options(stride: tuple[int, int], relu6: bool = False, *, padded: bool = True) -> Fields:
    """Return the options of DEPTHWISE_CONV_2D with one filter per channel; `stride` is (height, width).

    The padding is SAME if `padded`, else VALID.
    """
    return {
        0: Scalar("b", _SAME if padded else _VALID),
        1: Scalar("i", stride[1]),
        2: Scalar("i", stride[0]),
        3: Scalar("i", 1),
        4: Scalar("b", _RELU6 if relu6 else 0),
        5: Scalar("i", 1),
        6: Scalar("i", 1),
    }
