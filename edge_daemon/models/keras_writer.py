"""Writer of a Keras network as a TFLite file: float, or with 8-bit weights."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.keras_network import (
    INPUT,
    Floats,
    KerasLayer,
    KerasNetwork,
    Weights,
    Window,
    batch_norm,
    find_weight,
    pair_of,
    window_of,
)
from edge_daemon.tflite.flatbuffers import Fields, Scalar
from edge_daemon.tflite.graph_writer import (
    DType,
    GraphWriter,
    Op,
    Quantization,
    convolution_options,
    depthwise_options,
    pool_options,
)

_ACTIVATIONS = {
    "relu": Op.RELU,
    "relu6": Op.RELU6,
    "sigmoid": Op.LOGISTIC,
    "tanh": Op.TANH,
    "softmax": Op.SOFTMAX,
    "elu": Op.ELU,
}
_POOLS = {"MaxPooling2D": Op.MAX_POOL_2D, "AveragePooling2D": Op.AVERAGE_POOL_2D}
_GLOBAL_POOLS = {"GlobalMaxPooling2D": Op.REDUCE_MAX, "GlobalAveragePooling2D": Op.MEAN}
_MAX_WEIGHT = 127
_FEWEST_QUANTISED = 1024
"""Smaller kernels stay float, as in TensorFlow's converter: they save nothing."""


@dataclass(frozen=True, slots=True)
class _Output:
    """A tensor and its shape, (1, height, width, channels) or (1, features)."""

    tensor: int
    shape: tuple[int, ...]


def write_keras_network(
    network: KerasNetwork,
    weights: Weights,
    rescaling: tuple[float, float] = (1.0, 0.0),
    *,
    quantise: bool = False,
    outputs: Sequence[str] = (),
) -> bytes:
    """Return a TFLite file for one picture, float32 in -1..1.

    A first layer rescales it by factor and offset. `quantise` stores large kernels in 8 bits.
    `outputs` are layers to return instead of the last one. Raises ModelError that names the layer.
    """
    return _KerasWriter(weights, quantise).write(network, rescaling, outputs or (network.output,))


class _KerasWriter:
    def __init__(self, weights: Weights, quantise: bool) -> None:
        self._weights = weights
        self._quantise = quantise
        self._graph = GraphWriter()
        self._outputs: dict[str, _Output] = {}
        self._writers: Mapping[str, Callable[[KerasLayer, list[_Output]], _Output]] = {
            "Activation": lambda layer, given: given[0],
            "Add": lambda layer, given: self._combine(Op.ADD, layer, given),
            "BatchNormalization": self._batch_norm,
            "Concatenate": self._concatenate,
            "Conv2D": self._convolution,
            "Dense": self._dense,
            "DepthwiseConv2D": self._depthwise,
            "Flatten": lambda layer, given: self._reshape(given[0], (1, math.prod(given[0].shape))),
            "LeakyReLU": self._leaky_relu,
            "Multiply": lambda layer, given: self._combine(Op.MUL, layer, given),
            "ReLU": self._relu,
            "Reshape": self._reshape_to_target,
            "SeparableConv2D": self._separable,
            "Softmax": lambda layer, given: self._activate(given[0], "softmax", layer),
            "UpSampling2D": self._upsample,
            "ZeroPadding2D": self._pad,
            **dict.fromkeys(_POOLS, self._pool),
            **dict.fromkeys(_GLOBAL_POOLS, self._global_pool),
        }

    def write(self, network: KerasNetwork, rescaling: tuple[float, float], outputs: Sequence[str]) -> bytes:
        shape = (1, *network.input_shape)
        if min(shape) < 1:
            raise ModelError(f"the model's input has the shape {shape}")
        pixels = _Output(self._graph.tensor(DType.FLOAT32, shape, name="input"), shape)
        self._outputs[INPUT] = self._rescale(pixels, *rescaling)
        for layer in network.layers:
            self._outputs[layer.name] = self._write_layer(layer)
        try:
            return self._graph.content(pixels.tensor, *(self._outputs[name].tensor for name in outputs))
        except (struct.error, OverflowError) as exc:
            raise ModelError(
                f"a size or a factor of its layers is too large for a TFLite file: {exc}"
            ) from exc

    def _rescale(self, pixels: _Output, factor: float, offset: float) -> _Output:
        if (factor, offset) == (1.0, 0.0):
            return pixels
        return self._affine(pixels, np.array([factor], np.float32), np.array([offset], np.float32))

    def _write_layer(self, layer: KerasLayer) -> _Output:
        if layer.kind not in self._writers:
            raise ModelError(f"layer '{layer.name}' is a {layer.kind}, which can't be converted")
        given = [self._outputs[source] for source in layer.sources]
        try:
            output = self._writers[layer.kind](layer, given)
            return self._activate(output, layer.config.get("activation"), layer)
        except ModelError:  # a ValueError
            raise
        except (KeyError, TypeError, ValueError, IndexError, ArithmeticError, struct.error) as exc:
            raise ModelError(f"layer '{layer.name}' ({layer.kind}) is damaged: {exc!r}") from exc

    def _activate(self, given: _Output, activation: Any, layer: KerasLayer) -> _Output:
        if activation in (None, "linear"):
            return given
        if activation not in _ACTIVATIONS:
            raise ModelError(
                f"layer '{layer.name}' has the activation {activation}, which can't be converted"
            )
        op = _ACTIVATIONS[activation]
        options = {0: Scalar("f", 1.0)} if op is Op.SOFTMAX else None
        return self._operator(op, [given.tensor], given.shape, options)

    def _convolution(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        config, shape = layer.config, _picture(given[0], layer)
        if config.get("groups", 1) != 1:
            raise ModelError(f"layer '{layer.name}' is a grouped convolution, which can't be converted")
        size, dilation = pair_of(config["kernel_size"]), pair_of(config.get("dilation_rate", 1))
        kernel = self._weight(layer, "kernel", (*size, shape[3], int(config["filters"])))
        return self._convolve(
            layer, given[0], kernel, window_of(config, size, dilation), self._bias(layer, kernel.shape[3])
        )

    def _convolve(
        self, layer: KerasLayer, given: _Output, kernel: Floats, window: Window, bias: Floats
    ) -> _Output:
        inputs = [given.tensor, self._kernel(kernel.transpose(3, 0, 1, 2)), self._constant(bias)]
        options = convolution_options(window.stride, padded=window.padded, dilation=window.dilation)
        shape = (1, *window.output_size(given.shape, layer), kernel.shape[3])
        return self._operator(Op.CONV_2D, inputs, shape, options)

    def _depthwise(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        config, shape = layer.config, _picture(given[0], layer)
        size, multiplier = pair_of(config["kernel_size"]), int(config.get("depth_multiplier", 1))
        kernel = self._weight(layer, "depthwise_kernel", (*size, shape[3], multiplier))
        return self._convolve_channels(layer, given[0], kernel, self._bias(layer, shape[3] * multiplier))

    def _convolve_channels(self, layer: KerasLayer, given: _Output, kernel: Floats, bias: Floats) -> _Output:
        if pair_of(layer.config.get("dilation_rate", 1)) != (1, 1):
            raise ModelError(
                f"layer '{layer.name}' is a dilated depthwise convolution, which can't be converted"
            )
        height, width, channels, multiplier = kernel.shape
        window = window_of(layer.config, (height, width), (1, 1))
        filters = kernel.reshape(1, height, width, channels * multiplier)
        inputs = [given.tensor, self._constant(filters), self._constant(bias)]
        options = depthwise_options(window.stride, padded=window.padded, multiplier=multiplier)
        shape = (1, *window.output_size(given.shape, layer), channels * multiplier)
        return self._operator(Op.DEPTHWISE_CONV_2D, inputs, shape, options)

    def _separable(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        config, shape = layer.config, _picture(given[0], layer)
        size, multiplier = pair_of(config["kernel_size"]), int(config.get("depth_multiplier", 1))
        channels, filters = shape[3] * multiplier, int(config["filters"])
        depthwise = self._weight(layer, "depthwise_kernel", (*size, shape[3], multiplier))
        pointwise = self._weight(layer, "pointwise_kernel", (1, 1, channels, filters))
        between = self._convolve_channels(layer, given[0], depthwise, np.zeros(channels, np.float32))
        window = Window((1, 1), (1, 1), (1, 1), True)
        return self._convolve(layer, between, pointwise, window, self._bias(layer, filters))

    def _dense(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        units, features = int(layer.config["units"]), given[0].shape[-1]
        kernel = self._weight(layer, "kernel", (features, units))
        bias = self._bias(layer, units)
        if len(given[0].shape) == 4:
            window = Window((1, 1), (1, 1), (1, 1), True)
            return self._convolve(layer, given[0], kernel.reshape(1, 1, features, units), window, bias)
        # tflite-runtime 2.14 takes no scale per output here; with one, its results are wrong.
        inputs = [given[0].tensor, self._kernel(kernel.T, by_channel=False), self._constant(bias)]
        return self._operator(Op.FULLY_CONNECTED, inputs, (1, units))

    def _batch_norm(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        scale, offset = batch_norm(layer, self._weights)
        if scale.size not in (1, given[0].shape[-1]):
            raise ModelError(
                f"layer '{layer.name}' normalises {scale.size} channels, not {given[0].shape[-1]}"
            )
        return self._affine(given[0], scale, offset)

    def _affine(self, given: _Output, scale: Floats, offset: Floats) -> _Output:
        product = self._operator(Op.MUL, [given.tensor, self._constant(scale)], given.shape)
        return self._operator(Op.ADD, [product.tensor, self._constant(offset)], given.shape)

    def _combine(self, op: Op, layer: KerasLayer, given: list[_Output]) -> _Output:
        total = given[0]
        for other in given[1:]:
            shape = np.broadcast_shapes(total.shape, other.shape)
            total = self._operator(op, [total.tensor, other.tensor], shape)
        return total

    def _concatenate(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        shapes = [each.shape for each in given]
        axis = int(layer.config.get("axis", -1)) % len(shapes[0])
        shape = (*shapes[0][:axis], sum(each[axis] for each in shapes), *shapes[0][axis + 1 :])
        return self._operator(
            Op.CONCATENATION, [each.tensor for each in given], shape, {0: Scalar("i", axis)}
        )

    def _leaky_relu(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        slope = layer.config.get("alpha", layer.config.get("negative_slope", 0.3))
        return self._operator(
            Op.LEAKY_RELU, [given[0].tensor], given[0].shape, {0: Scalar("f", float(slope))}
        )

    def _relu(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        peak, slope = layer.config.get("max_value"), layer.config.get("negative_slope") or 0.0
        if layer.config.get("threshold") or peak not in (None, 6, 6.0) or (slope and peak):
            raise ModelError(f"layer '{layer.name}' is an unusual ReLU, which can't be converted")
        if slope:
            return self._operator(
                Op.LEAKY_RELU, [given[0].tensor], given[0].shape, {0: Scalar("f", float(slope))}
            )
        return self._operator(Op.RELU if peak is None else Op.RELU6, [given[0].tensor], given[0].shape)

    def _pool(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        shape = _picture(given[0], layer)
        size = pair_of(layer.config.get("pool_size", 2))
        window = window_of({"strides": size, **_without_none(layer.config)}, size, (1, 1))
        options = pool_options(size, window.stride, padded=window.padded)
        shape = (1, *window.output_size(shape, layer), shape[3])
        return self._operator(_POOLS[layer.kind], [given[0].tensor], shape, options)

    def _global_pool(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        channels, keeps = _picture(given[0], layer)[3], bool(layer.config.get("keepdims"))
        inputs = [given[0].tensor, self._graph.integers(1, 2)]
        shape = (1, 1, 1, channels) if keeps else (1, channels)
        return self._operator(_GLOBAL_POOLS[layer.kind], inputs, shape, {0: Scalar("?", keeps)})

    def _pad(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        _, height, width, channels = _picture(given[0], layer)
        pair = layer.config["padding"]
        rows, columns = (pair, pair) if isinstance(pair, int) else pair
        (top, bottom), (left, right) = pair_of(rows), pair_of(columns)
        table = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], "<i4")
        amounts = self._graph.constant(DType.INT32, table.shape, table.tobytes())
        shape = (1, height + top + bottom, width + left + right, channels)
        return self._operator(Op.PAD, [given[0].tensor, amounts], shape)

    def _upsample(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        _, height, width, channels = _picture(given[0], layer)
        if layer.config.get("interpolation", "nearest") != "nearest":
            raise ModelError(f"layer '{layer.name}' interpolates, which can't be converted; only nearest can")
        rows, columns = pair_of(layer.config.get("size", 2))
        size = (height * rows, width * columns)
        inputs = [given[0].tensor, self._graph.integers(*size)]
        return self._operator(Op.RESIZE_NEAREST_NEIGHBOR, inputs, (1, *size, channels))

    def _reshape_to_target(self, layer: KerasLayer, given: list[_Output]) -> _Output:
        count = math.prod(given[0].shape)
        target = [int(size) for size in layer.config["target_shape"]]
        known = math.prod(size for size in target if size != -1)
        shape = (1, *(count // known if size == -1 else size for size in target))
        if math.prod(shape) != count or len(shape) not in (2, 4):
            raise ModelError(f"layer '{layer.name}' can't turn {given[0].shape} into {shape}")
        return self._reshape(given[0], shape)

    def _reshape(self, given: _Output, shape: tuple[int, ...]) -> _Output:
        return self._operator(Op.RESHAPE, [given.tensor, self._graph.integers(*shape)], shape)

    def _operator(
        self, op: Op, inputs: list[int], shape: tuple[int, ...], options: Fields | None = None
    ) -> _Output:
        output = self._graph.tensor(DType.FLOAT32, shape)
        return _Output(self._graph.operator(op, inputs, output, options), shape)

    def _weight(self, layer: KerasLayer, parameter: str, shape: tuple[int, ...]) -> Floats:
        found = find_weight(self._weights, layer.name, parameter)
        if found.shape != shape:
            raise ModelError(
                f"layer '{layer.name}' needs a {parameter} of {shape}, the file has {found.shape}"
            )
        return found

    def _bias(self, layer: KerasLayer, size: int) -> Floats:
        if not layer.config.get("use_bias", True):
            return np.zeros(size, np.float32)
        return self._weight(layer, "bias", (size,))

    def _kernel(self, values: Floats, *, by_channel: bool = True) -> int:
        """Add a kernel, outputs first; if asked for and large, in 8 bits with a scale per output or one."""
        if not self._quantise or values.size < _FEWEST_QUANTISED:
            return self._constant(values)
        inner = tuple(range(1 if by_channel else 0, values.ndim))
        peaks = np.abs(values).max(axis=inner, keepdims=True).astype(np.float64)
        scales = np.maximum(peaks / _MAX_WEIGHT, 1e-12)
        numbers = np.rint(values / scales).astype("i1")
        quantization = Quantization(scales.reshape(-1).tolist())
        return self._graph.constant(DType.INT8, values.shape, numbers.tobytes(), quantization)

    def _constant(self, values: Floats) -> int:
        return self._graph.constant(DType.FLOAT32, values.shape, values.astype("<f4").tobytes())


def _picture(given: _Output, layer: KerasLayer) -> tuple[int, ...]:
    """Return the shape of a tensor with height, width and channels. Raises ModelError."""
    if layer.config.get("data_format") == "channels_first":
        raise ModelError(f"layer '{layer.name}' has the channels first, which can't be converted")
    if len(given.shape) != 4:
        raise ModelError(f"layer '{layer.name}' needs a picture, it gets the shape {given.shape}")
    return given.shape


def _without_none(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if value is not None}
