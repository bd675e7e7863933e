"""Writer of a classifier's layers as a TFLite file: float32, or int8 with measured activation ranges.

int8 follows TFLite's quantisation specification: weights symmetric per output channel, activations
asymmetric per tensor, biases int32. The first FLOAT_LAYERS stay float32: they would make half of the whole
network's error, and have an eighth of the multiplications. The classes are computed in
float32 from int8 weights: an int8 softmax has the same value for several classes. All numbers are computed
elementwise in float64, so that every machine writes the same bytes.
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

Floats: TypeAlias = npt.NDArray[np.float32]
Steps: TypeAlias = npt.NDArray[np.float64]
Range: TypeAlias = tuple[float, float]
"""Lowest and highest value of a layer's output."""

MEAN, DEVIATION = 127, 128
"""The network's input is (pixel - mean) / deviation."""

FLOAT_LAYERS = 6
"""The stem and the first two blocks, of two and three layers."""

_MAX_WEIGHT = 127
_MAX_BIAS = 2**30
_LEVELS = 255


def write_network(layers: Sequence[Layer], size: int, ranges: Mapping[str, Range] | None = None) -> bytes:
    """Return a file that maps one RGB picture of `size` x `size` to probabilities.

    With the `ranges` of the layers' outputs, the input is uint8; without, it is float32 and
    (pixel - MEAN) / DEVIATION. The output is float32. The last layer gives the classes' logits.
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
        self._dtype = DType.FLOAT32
        self._graph = GraphWriter()
        self._outputs: dict[str, _Output] = {}

    def write(self, layers: Sequence[Layer], size: int) -> bytes:
        pixels = self._write_input((1, size, size, 3))
        *body, classifier = layers
        for number, layer in enumerate(body, 1):
            self._outputs[layer.name] = self._write_layer(layer)
            if number == FLOAT_LAYERS and self._ranges is not None:
                self._quantise(layer.name)
        assert isinstance(classifier, Convolution)
        return self._graph.content(pixels, self._write_classifier(classifier))

    def _write_input(self, shape: tuple[int, ...]) -> int:
        scale = 1 / DEVIATION
        if self._ranges is None:
            pixels = real = self._graph.tensor(DType.FLOAT32, shape, name=INPUT)
        else:
            pixels = self._graph.tensor(DType.UINT8, shape, Quantization([scale], MEAN), INPUT)
            real = self._as_float(pixels, shape)
        self._outputs[INPUT] = _Output(real, shape, scale)
        return pixels

    def _quantise(self, name: str) -> None:
        """Continue in int8 from a layer that was computed in float32."""
        source = self._outputs[name]
        self._dtype = DType.INT8
        self._outputs[name] = self._new_output(f"{name}.int8", source.shape, name)
        self._graph.operator(Op.QUANTIZE, [source.tensor], self._outputs[name].tensor)

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
        if self._dtype is DType.FLOAT32:
            return self._constant(DType.FLOAT32, kernel, "<f4"), self._constant(DType.FLOAT32, bias, "<f4")
        dimension = 3 if layer.depthwise else 0
        steps, scales = quantise_weights(kernel, bias, dimension, source_scale)
        bias_scales = scales * source_scale
        return (
            self._constant(DType.INT8, steps, "i1", scales, dimension),
            self._constant(DType.INT32, np.rint(bias / bias_scales), "<i4", bias_scales),
        )

    def _write_classifier(self, layer: Convolution) -> int:
        """Write the classes' logits and the softmax; return the probabilities' tensor."""
        source, classes = self._outputs[layer.source], len(layer.bias)
        embedding = self._as_float(source.tensor, source.shape)
        kernel = layer.kernel.reshape(classes, -1)
        if self._ranges is None:
            weights = self._constant(DType.FLOAT32, kernel, "<f4")
        else:
            steps, scales = quantise_weights(kernel, layer.bias, 0)
            weights = self._as_float(self._constant(DType.INT8, steps, "i1", scales), kernel.shape)
        bias = self._constant(DType.FLOAT32, layer.bias, "<f4")
        logits = self._graph.tensor(DType.FLOAT32, (1, classes), name=layer.name)
        self._graph.operator(Op.FULLY_CONNECTED, [embedding, weights, bias], logits)
        probabilities = self._graph.tensor(DType.FLOAT32, (1, classes), name="probabilities")
        return self._graph.operator(Op.SOFTMAX, [logits], probabilities, {0: Scalar("f", 1.0)})

    def _as_float(self, tensor: int, shape: Sequence[int]) -> int:
        """Return a float32 tensor of an int8 tensor's values; the tensor itself in a float network."""
        if self._ranges is None:
            return tensor
        return self._graph.operator(Op.DEQUANTIZE, [tensor], self._graph.tensor(DType.FLOAT32, shape))

    def _new_output(self, name: str, shape: tuple[int, ...], layer: str = "") -> _Output:
        """Add the tensor of a layer's output; `layer` if its name is not the tensor's."""
        if self._ranges is None or self._dtype is DType.FLOAT32:
            return _Output(self._graph.tensor(DType.FLOAT32, shape, name=name), shape, 1.0)
        scale, zero_point = _affine(self._ranges[layer or name])
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


def quantise_weights(
    kernel: Floats, bias: Floats, dimension: int, source_scale: float = 1.0
) -> tuple[Steps, Steps]:
    """Return a kernel in whole steps of -127..127, and the size of a step per slice of `dimension`.

    In kernels with height and width, the weights of a channel keep their sum: neighbouring pixels are alike,
    so that the sum's error reaches the output undiminished, while single weights' errors cancel each other.
    """
    others = tuple(axis for axis in range(kernel.ndim) if axis != dimension)
    exact = kernel.astype(np.float64)
    # A channel whose weights are almost zero gets a scale in which its bias fits into 32 bits.
    least = np.abs(bias.astype(np.float64)) / (source_scale * _MAX_BIAS)
    scales = np.maximum(np.abs(exact).max(axis=others) / _MAX_WEIGHT, np.maximum(least, 1e-12))
    exact /= np.expand_dims(scales, others)
    steps = np.rint(exact)
    if kernel.ndim == 4 and kernel.shape[1] > 1:
        rows = np.moveaxis(exact, dimension, -1)
        steps = np.moveaxis(_keep_sums(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape), -1, dimension)
    return steps, scales


def _keep_sums(exact: Steps) -> Steps:
    """Round a matrix so that each column's sum is off by half a step at most.

    The numbers that were rounded furthest are rounded to the other side.
    """
    rounded = np.rint(exact)
    errors = rounded - exact
    surplus = np.rint(errors.sum(axis=0))
    order = np.argsort(np.argsort(errors, axis=0, kind="stable"), axis=0, kind="stable")
    rounded -= order >= len(exact) - surplus
    rounded += order < -surplus
    return np.clip(rounded, -_MAX_WEIGHT, _MAX_WEIGHT)


def _affine(limits: Range) -> tuple[float, int]:
    """Return scale and zero point of int8 for a range, which is widened to contain 0."""
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    scale = max(high - low, 1e-6) / _LEVELS
    return scale, round(-128 - low / scale)
