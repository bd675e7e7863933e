"""Conversion of TensorFlow.js layers models to TFLite.

The only file that imports TensorFlow (extra `convert`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ModelError
from edge_daemon.imaging.image_files import find_images
from edge_daemon.imaging.image_io import read_image
from edge_daemon.imaging.input_range import MINUS_ONE_TO_ONE, InputRange
from edge_daemon.imaging.preprocess import InputTensor, Preprocessor
from edge_daemon.models.tfjs import LayersModel, read_layers_model
from edge_daemon.tflite.input_range_sources import write_manifest

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


Floats = npt.NDArray[np.float32]
Weights = Mapping[str, Floats]

EQUALIZATION_EXPONENT = 0.3
"""Exponent of the activations in cross-layer equalization; best of 0 to 0.7, measured on DoodleNet."""

MAX_CALIBRATION = 500
DARK_LINES = InputRange((1.0,), (0.0,))

# Supported layers, each with the keys of its configuration that affect inference.
_LAYERS: Mapping[str, tuple[str, ...]] = {
    "Activation": ("activation",),
    "Add": (),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "BatchNormalization": ("axis", "epsilon", "center", "scale"),
    "Concatenate": ("axis",),
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "dilation_rate", "activation", "use_bias"),
    "Dense": ("units", "activation", "use_bias"),
    "DepthwiseConv2D": ("kernel_size", "strides", "padding", "depth_multiplier", "activation", "use_bias"),
    "Dropout": ("rate",),
    "Flatten": (),
    "GlobalAveragePooling2D": (),
    "GlobalMaxPooling2D": (),
    "LeakyReLU": (),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Reshape": ("target_shape",),
    "SeparableConv2D": ("filters", "kernel_size", "strides", "padding", "activation", "use_bias"),
    "Softmax": ("axis",),
    "UpSampling2D": ("size",),
    "ZeroPadding2D": ("padding",),
}
_PARAMETERS = (
    "kernel",
    "depthwise_kernel",
    "pointwise_kernel",
    "gamma",
    "beta",
    "bias",
    "moving_mean",
    "moving_variance",
)

_WEIGHTED = ("Conv2D", "Dense")
_TRANSPARENT = ("MaxPooling2D", "AveragePooling2D", "Dropout", "Flatten", "ZeroPadding2D")
_LIMIT = 100.0


def equalizable_pairs(topology: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the pairs of consecutive layers that can be equalized; none for a model that is no sequence."""
    if topology["class_name"] != "Sequential":
        return []
    config = topology["config"]
    return list(_consecutive_layers(config if isinstance(config, list) else config["layers"]))


def _consecutive_layers(layers: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    previous: str | None = None
    for layer in layers:
        kind, config = layer["class_name"], layer["config"]
        if kind in _WEIGHTED:
            if previous is not None:
                yield previous, config["name"]
            previous = config["name"] if config.get("activation") == "relu" else None
        elif kind not in _TRANSPARENT:
            previous = None


def equalize_layers(
    weights: Weights, peaks: Mapping[str, Floats], layer_pairs: Sequence[tuple[str, str]]
) -> Weights:
    """Equalize the channels between consecutive layers; the network's function stays the same.

    `peaks` holds each first layer's largest output per channel. Cross-layer equalization: Nagel et al.,
    "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, here with activations.
    """
    equalized = dict(weights)
    for first, second in layer_pairs:
        kernel = equalized[f"{second}/kernel"]
        channels = len(peaks[first])
        by_channel = kernel.reshape(-1, channels, kernel.shape[-1])
        if kernel.ndim == 4:
            by_channel = kernel.reshape(-1, *kernel.shape[2:])
        scale = _scale(peaks[first], np.abs(by_channel).max(axis=(0, 2)))
        equalized[f"{first}/kernel"] = equalized[f"{first}/kernel"] / scale
        if f"{first}/bias" in equalized:
            equalized[f"{first}/bias"] = equalized[f"{first}/bias"] / scale
        equalized[f"{second}/kernel"] = (by_channel * scale[:, None]).reshape(kernel.shape)
    return equalized


def _scale(activations: Floats, weights: Floats) -> Floats:
    smallest = 1e-3
    raw = np.maximum(activations, smallest) ** EQUALIZATION_EXPONENT / np.maximum(weights, smallest) ** (
        1 - EQUALIZATION_EXPONENT
    )
    centred = raw / np.exp(np.log(raw).mean())
    scale: Floats = np.clip(centred, 1 / _LIMIT, _LIMIT).astype(np.float32)
    return scale


def convert(
    model: LayersModel, input_range: InputRange = MINUS_ONE_TO_ONE, calibration: Sequence[Image] = ()
) -> bytes:
    """Return the model as a TFLite file: float, or with 8-bit weights if `calibration` has pictures.

    Its input range is -1..1; a first layer rescales it to `input_range`, the original model's range.
    8-bit weights are used with activations quantised at run time (dynamic range). Calibrated int8 activations
    lose more than they save on such small models: 94 % of DoodleNet's top-1 classes then agree with the
    original's, against 97.5 %. Raises ModelError for an unknown layer, and when TensorFlow is not installed.
    """
    tf = _tensorflow()
    weights = _equalized_weights(tf, model, input_range, calibration) if calibration else model.weights
    network = _network(tf, model.topology, weights, input_range)
    converter = tf.lite.TFLiteConverter.from_keras_model(network.whole)
    if calibration:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return bytes(converter.convert())


def _equalized_weights(
    tf: Any, model: LayersModel, input_range: InputRange, calibration: Sequence[Image]
) -> Weights:
    """Return weights that lose less in 8 bits, from the layers' outputs for the calibration pictures."""
    layer_pairs = equalizable_pairs(model.topology)
    if not layer_pairs:
        return model.weights
    network = _network(tf, model.topology, model.weights, input_range)
    firsts = [first for first, _ in layer_pairs]
    probe = tf.keras.Model(network.whole.input, [network.outputs[name] for name in firsts])
    prepare = Preprocessor(InputTensor(*_input_shape(model.topology), dtype="float32"))
    outputs = probe.predict(np.concatenate([prepare(image) for image in calibration]), verbose=0)
    peaks = {
        name: output.max(axis=tuple(range(output.ndim - 1)))
        for name, output in zip(firsts, outputs if len(firsts) > 1 else [outputs], strict=True)
    }
    return equalize_layers(model.weights, peaks, layer_pairs)


@dataclass(frozen=True, slots=True)
class _Network:
    whole: Any
    outputs: Mapping[str, Any]
    """Output tensors by layer name."""


def _network(tf: Any, topology: Mapping[str, Any], weights: Weights, input_range: InputRange) -> _Network:
    image = tf.keras.Input(_input_shape(topology))
    scale, offset = rescaling(input_range)
    tensor = image if (scale, offset) == (1.0, 0.0) else tf.keras.layers.Rescaling(scale, offset)(image)
    builder = _Builder(tf, weights)
    return _Network(tf.keras.Model(image, builder.apply(topology, tensor)), builder.outputs)


def usual_range(model: LayersModel) -> InputRange:
    """Return the usual range of a model that declares none. Raises ModelError.

    Teachable Machine's models and colour models take -1..1. Other grey models take dark lines on white, as
    DoodleNet does.
    """
    is_grey = _input_shape(model.topology)[2] == 1
    return DARK_LINES if is_grey and not model.is_teachable_machine else MINUS_ONE_TO_ONE


def rescaling(input_range: InputRange) -> tuple[float, float]:
    """Return the factor and the offset that map -1..1 to a range. Raises ModelError."""
    if len(input_range.black) > 1:
        raise ModelError(f"{input_range}: a converted model takes one range for all channels")
    black, white = input_range.black[0], input_range.white[0]
    return (white - black) / 2, (white + black) / 2


def convert_to_folder(
    source: Path, folder: Path, input_range: InputRange | None, pictures: Path | None
) -> Path:
    """Convert a model.json into `folder`, with its labels, as an export that `models add` can import.

    `pictures` is a folder of pictures that calibrate 8-bit weights. Raises ModelError.
    """
    model = read_layers_model(source)
    files = find_images(pictures, recursive=True).images if pictures else ()
    images = [read_image(file) for file in files[:MAX_CALIBRATION]]
    if pictures and not images:
        raise ModelError(f"{pictures}: no pictures to calibrate with")
    converted = folder / f"{model.name}.tflite"
    converted.write_bytes(convert(model, input_range or usual_range(model), images))
    write_manifest(converted, MINUS_ONE_TO_ONE)
    if model.labels:
        (folder / "labels.txt").write_text("".join(f"{label}\n" for label in model.labels), encoding="utf-8")
    return folder


class _Builder:
    """Builds Keras layers from their configurations and sets their weights by name."""

    def __init__(self, tf: Any, weights: Weights) -> None:
        self._tf = tf
        self._weights = weights
        self.outputs: dict[str, Any] = {}

    def apply(self, node: Mapping[str, Any], tensor: Any) -> Any:
        kind, config = node["class_name"], node["config"]
        if kind == "Sequential":
            for layer in config if isinstance(config, list) else config["layers"]:
                tensor = self.apply(layer, tensor)
            return tensor
        if kind in ("Model", "Functional"):
            return self._graph(config, tensor)
        if kind == "InputLayer":
            return tensor
        self.outputs[config["name"]] = self._layer(kind, config)(tensor)
        return self.outputs[config["name"]]

    def _graph(self, config: Mapping[str, Any], tensor: Any) -> Any:
        done: dict[str, Any] = {}
        for node in config["layers"]:
            sources = node["inbound_nodes"][0] if node["inbound_nodes"] else []
            inbound = [done[source[0]] for source in sources]
            given = tensor if not inbound else inbound[0] if len(inbound) == 1 else inbound
            done[node["name"]] = self.apply(node, given)
        return done[config["output_layers"][0][0]]

    def _layer(self, kind: str, config: Mapping[str, Any]) -> Callable[[Any], Any]:
        if kind not in _LAYERS:
            raise ModelError(f"layer '{config.get('name')}' is a {kind}, which can't be converted")
        options = {key: _plain(config[key]) for key in _LAYERS[kind] if key in config}
        if kind == "LeakyReLU":
            options["negative_slope"] = config.get("alpha", config.get("negative_slope", 0.3))
        layer = getattr(self._tf.keras.layers, kind)(**options)

        def call(tensor: Any) -> Any:
            result = layer(tensor)
            if layer.weights:
                shapes = [tuple(weight.shape) for weight in layer.weights]
                layer.set_weights(self._weights_of(config["name"], shapes))
            return result

        return call

    def _weights_of(self, layer: str, shapes: list[tuple[int, ...]]) -> list[Floats]:
        named = [f"{layer}/{parameter}" for parameter in _PARAMETERS]
        found = [self._weights[name] for name in named if name in self._weights]
        have = [array.shape for array in found]
        if have != shapes:
            raise ModelError(f"layer '{layer}' needs weights of {shapes}, the file has {have or 'none'}")
        return found


def _plain(value: Any) -> Any:
    """Return lists as tuples: TensorFlow.js writes tuples as lists, which Keras reads differently."""
    return tuple(value) if isinstance(value, list) else value


def _input_shape(topology: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return height, width and channels of the first layer with an input shape. Raises ModelError."""
    config = topology["config"]
    for layer in config if isinstance(config, list) else config["layers"]:
        shape = layer["config"].get("batch_input_shape") if isinstance(layer["config"], dict) else None
        if shape is None and layer["class_name"] in ("Sequential", "Model", "Functional"):
            return _input_shape(layer)
        if shape is not None and len(shape) == 4 and all(isinstance(size, int) for size in shape[1:]):
            return int(shape[1]), int(shape[2]), int(shape[3])
    raise ModelError("the model doesn't declare the size of its input; only image models can be converted")


def _tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow
    except ImportError as exc:
        raise ModelError(
            "converting needs TensorFlow: on a workstation, pip install 'edge-daemon[convert]'"
        ) from exc
    return tensorflow
