"""Turn a TensorFlow.js layers model into TFLite. The only file that imports TensorFlow (extra `convert`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_daemon.errors import ModelError
from edge_daemon.model_zoo.equalise import Floats, Weights, equalise, pairs
from edge_daemon.model_zoo.tfjs import LayersModel, read_layers_model
from edge_daemon.vision.declared_range import write_manifest
from edge_daemon.vision.image_files import find_images
from edge_daemon.vision.images import read_image
from edge_daemon.vision.input_range import MINUS_ONE_TO_ONE, InputRange
from edge_daemon.vision.preprocess import InputTensor, Preprocessor

if TYPE_CHECKING:
    from edge_daemon.types import Image

MAX_CALIBRATION = 500
DARK_LINES = InputRange((1.0,), (0.0,))

# Every layer with the keys of its configuration that matter for inference.
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


def convert(
    model: LayersModel, input_range: InputRange = MINUS_ONE_TO_ONE, calibration: Sequence[Image] = ()
) -> bytes:
    """Return the model as TFLite: float, or with 8-bit weights when calibration pictures are given.

    It takes -1..1; a first layer brings that to `input_range`, which the original took.
    8-bit weights come with activations quantised on the fly. Calibrated int8 activations as well lose more
    than they save on such small models: DoodleNet names 94 % as the original does, against 97.5 %.
    Raises ModelError for a layer that isn't known, and when TensorFlow is not installed.
    """
    tf = _tensorflow()
    weights = _evened(tf, model, input_range, calibration) if calibration else model.weights
    network = _network(tf, model.topology, weights, input_range)
    converter = tf.lite.TFLiteConverter.from_keras_model(network.whole)
    if calibration:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return bytes(converter.convert())


def _evened(tf: Any, model: LayersModel, input_range: InputRange, calibration: Sequence[Image]) -> Weights:
    """Return weights that lose less in 8 bits, from what the layers answer to the calibration pictures."""
    chain = pairs(model.topology)
    if not chain:
        return model.weights
    network = _network(tf, model.topology, model.weights, input_range)
    firsts = [first for first, _ in chain]
    probe = tf.keras.Model(network.whole.input, [network.outputs[name] for name in firsts])
    prepare = Preprocessor(InputTensor(*_input_shape(model.topology), dtype="float32"))
    answers = probe.predict(np.concatenate([prepare(image) for image in calibration]), verbose=0)
    peaks = {
        name: answer.max(axis=tuple(range(answer.ndim - 1)))
        for name, answer in zip(firsts, answers if len(firsts) > 1 else [answers], strict=True)
    }
    return equalise(model.weights, peaks, chain)


@dataclass(frozen=True, slots=True)
class _Network:
    whole: Any
    outputs: Mapping[str, Any]
    """Every named layer's output tensor."""


def _network(tf: Any, topology: Mapping[str, Any], weights: Weights, input_range: InputRange) -> _Network:
    image = tf.keras.Input(_input_shape(topology))
    scale, offset = rescaling(input_range)
    tensor = image if (scale, offset) == (1.0, 0.0) else tf.keras.layers.Rescaling(scale, offset)(image)
    builder = _Builder(tf, weights)
    return _Network(tf.keras.Model(image, builder.apply(topology, tensor)), builder.outputs)


def usual_range(model: LayersModel) -> InputRange:
    """Return the range for a model that comes without one. Raises ModelError.

    Teachable Machine's models and those in colour take -1..1, other grey ones dark lines on white, as
    DoodleNet does.
    """
    is_grey = _input_shape(model.topology)[2] == 1
    return DARK_LINES if is_grey and not model.is_teachable_machine else MINUS_ONE_TO_ONE


def rescaling(input_range: InputRange) -> tuple[float, float]:
    """Return what multiplies -1..1 and what is added to reach a range. Raises ModelError."""
    if len(input_range.black) > 1:
        raise ModelError(f"{input_range}: a converted model takes one range for all channels")
    black, white = input_range.black[0], input_range.white[0]
    return (white - black) / 2, (white + black) / 2


def convert_to_folder(
    source: Path, folder: Path, input_range: InputRange | None, pictures: Path | None
) -> Path:
    """Convert a model.json into `folder`, its labels beside it, as an export that can be added.

    `pictures` is a folder to calibrate 8-bit weights with. Raises ModelError.
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
    """Applies layer configurations to tensors, giving each layer its weights by name."""

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
            raise ModelError(f"layer '{layer}' wants weights of {shapes}, the file has {have or 'none'}")
        return found


def _plain(value: Any) -> Any:
    """TensorFlow.js writes tuples as lists, which Keras takes for other things."""
    return tuple(value) if isinstance(value, list) else value


def _input_shape(topology: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return height, width and channels of the first layer that says its input's."""
    config = topology["config"]
    for layer in config if isinstance(config, list) else config["layers"]:
        shape = layer["config"].get("batch_input_shape") if isinstance(layer["config"], dict) else None
        if shape is None and layer["class_name"] in ("Sequential", "Model", "Functional"):
            return _input_shape(layer)
        if shape is not None and len(shape) == 4 and all(isinstance(size, int) for size in shape[1:]):
            return int(shape[1]), int(shape[2]), int(shape[3])
    raise ModelError("the model doesn't say the size of its input; only image models can be converted")


def _tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow
    except ImportError as exc:
        raise ModelError(
            "converting needs TensorFlow: on a workstation, pip install 'edge-daemon[convert]'"
        ) from exc
    return tensorflow
