"""Writer of a classifier's layers as a TFLite file: float32, or int8 with measured activation ranges.

int8 follows TFLite's quantisation specification: weights symmetric per output channel, activations
asymmetric per tensor, biases int32. All numbers are computed elementwise in float64, so that every machine
writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.models.efficientnet_lite import INPUT, Convolution, Layer, Pool
from edge_daemon.tflite.flatbuffers import Scalar
from edge_daemon.tflite.graph_writer import (
    DType,
    GraphWriter,
    Op,
    Quantization,
    convolution_options,
    depthwise_options,
)

Range: TypeAlias = tuple[float, float]
"""Lowest and highest value of a layer's output."""

MEAN, DEVIATION = 127, 128
"""The network's input is (pixel - mean) / deviation."""

_MAX_WEIGHT = 127
_MAX_BIAS = 2**30
_LEVELS = 255


def write_network(layers: Sequence[Layer], size: int, ranges: Mapping[str, Range] | None = None) -> bytes:
    """Return a file that maps one RGB picture of `size` x `size` to probabilities.

    With the `ranges` of the layers' outputs, the input is uint8 and the output int8; without, both are
    float32, and the input is (pixel - MEAN) / DEVIATION.
    """
    return _NetworkWriter(ranges).write(layers, size)


@dataclass(frozen=True, slots=True)
class _Output:
    """A tensor with its shape (1, height, width, channels) and scale."""

    tensor: int
    shape: tuple[int, ...]
    scale: float


class _NetworkWriter:
    def __init__(self, ranges: Mapping[str, Range] | None) -> None:
        self._ranges = ranges
        self._dtype = DType.FLOAT32 if ranges is None else DType.INT8
        self._graph = GraphWriter()
        self._outputs: dict[str, _Output] = {}

    def write(self, layers: Sequence[Layer], size: int) -> bytes:
        pixels = self._write_input((1, size, size, 3))
        for layer in layers:
            self._outputs[layer.name] = self._write_layer(layer)
        return self._graph.content(pixels, self._write_softmax(self._outputs[layers[-1].name]))

    def _write_input(self, shape: tuple[int, ...]) -> int:
        scale = 1 / DEVIATION
        if self._ranges is None:
            pixels = signed = self._graph.tensor(DType.FLOAT32, shape, name=INPUT)
        else:
            pixels = self._graph.tensor(DType.UINT8, shape, Quantization([scale], MEAN), INPUT)
            signed = self._graph.tensor(DType.INT8, shape, Quantization([scale], MEAN - 128))
            self._graph.operator(Op.QUANTIZE, [pixels], signed)
        self._outputs[INPUT] = _Output(signed, shape, scale)
        return pixels

    def _write_layer(self, layer: Layer) -> _Output:
        if isinstance(layer, Convolution):
            return self._write_convolution(layer)
        if isinstance(layer, Pool):
            source = self._outputs[layer.source]
            output = self._new_output(layer.name, (1, 1, 1, source.shape[3]))
            inputs = [source.tensor, self._graph.integers(1, 2)]
            self._graph.operator(Op.MEAN, inputs, output.tensor, {0: Scalar("?", 1)})
            return output
        first, second = self._outputs[layer.first], self._outputs[layer.second]
        output = self._new_output(layer.name, first.shape)
        self._graph.operator(Op.ADD, [first.tensor, second.tensor], output.tensor)
        return output

    def _write_convolution(self, layer: Convolution) -> _Output:
        source = self._outputs[layer.source]
        height, width = (-(-side // layer.stride) for side in source.shape[1:3])
        channels = layer.kernel.shape[3 if layer.depthwise else 0]
        output = self._new_output(layer.name, (1, height, width, channels))
        inputs = [source.tensor, *self._write_parameters(layer, source.scale)]
        if layer.depthwise:
            options = depthwise_options((layer.stride, layer.stride), layer.relu6)
            self._graph.operator(Op.DEPTHWISE_CONV_2D, inputs, output.tensor, options)
        else:
            options = convolution_options(layer.stride, relu6=layer.relu6)
            self._graph.operator(Op.CONV_2D, inputs, output.tensor, options)
        return output

    def _write_parameters(self, layer: Convolution, source_scale: float) -> tuple[int, int]:
        """Write kernel and bias; return their tensors."""
        kernel, bias = layer.kernel, layer.bias
        if self._ranges is None:
            return self._constant(DType.FLOAT32, kernel, "<f4"), self._constant(DType.FLOAT32, bias, "<f4")
        dimension = 3 if layer.depthwise else 0
        others = tuple(axis for axis in range(4) if axis != dimension)
        peaks = np.abs(kernel.astype(np.float64)).max(axis=others)
        # A channel whose weights are almost zero gets a scale in which its bias fits into 32 bits.
        least = np.abs(bias.astype(np.float64)) / (source_scale * _MAX_BIAS)
        scales = np.maximum(peaks / _MAX_WEIGHT, np.maximum(least, 1e-12))
        by_channel = np.expand_dims(scales, others)
        bias_scales = scales * source_scale
        return (
            self._constant(DType.INT8, np.rint(kernel / by_channel), "i1", scales, dimension),
            self._constant(DType.INT32, np.rint(bias / bias_scales), "<i4", bias_scales),
        )

    def _write_softmax(self, logits: _Output) -> int:
        shape = (1, logits.shape[3])
        scale, zero_point = (logits.scale, 0) if self._ranges is None else _affine(self._ranges["_fc"])
        quantized = self._ranges is not None
        flat = self._graph.tensor(
            self._dtype, shape, Quantization([scale], zero_point) if quantized else None
        )
        self._graph.operator(Op.RESHAPE, [logits.tensor, self._graph.integers(*shape)], flat)
        unit = Quantization([1 / 256], -128) if quantized else None
        probabilities = self._graph.tensor(self._dtype, shape, unit, "probabilities")
        return self._graph.operator(Op.SOFTMAX, [flat], probabilities, {0: Scalar("f", 1.0)})

    def _new_output(self, name: str, shape: tuple[int, ...]) -> _Output:
        if self._ranges is None:
            return _Output(self._graph.tensor(DType.FLOAT32, shape, name=name), shape, 1.0)
        scale, zero_point = _affine(self._ranges[name])
        quantization = Quantization([scale], zero_point)
        return _Output(self._graph.tensor(DType.INT8, shape, quantization, name), shape, scale)

    def _constant(
        self,
        dtype: DType,
        values: npt.NDArray[Any],
        code: str,
        scales: npt.NDArray[np.float64] | None = None,
        dimension: int = 0,
    ) -> int:
        quantization = None if scales is None else Quantization(scales.tolist(), 0, dimension)
        return self._graph.constant(dtype, values.shape, values.astype(code).tobytes(), quantization)


def _affine(limits: Range) -> tuple[float, int]:
    """Return scale and zero point of int8 for a range, which is widened to contain 0."""
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    scale = max(high - low, 1e-6) / _LEVELS
    return scale, round(-128 - low / scale)
