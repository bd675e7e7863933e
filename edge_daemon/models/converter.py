"""Conversion of TensorFlow.js models to TFLite, without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_daemon.domain.errors import ModelError
from edge_daemon.imaging.image_files import find_images
from edge_daemon.imaging.image_io import read_image
from edge_daemon.imaging.input_range import MINUS_ONE_TO_ONE, InputRange
from edge_daemon.imaging.preprocess import InputTensor, Preprocessor
from edge_daemon.models.class_names import format_class_names
from edge_daemon.models.keras_network import (
    Floats,
    KerasNetwork,
    Weights,
    fold_batch_norms,
    read_network,
)
from edge_daemon.models.keras_writer import write_keras_network
from edge_daemon.models.tfjs import TfjsModel, is_graph, read_tfjs_model
from edge_daemon.models.tfjs_graph import read_graph
from edge_daemon.tflite.input_range_sources import write_manifest
from edge_daemon.tflite.interpreter import open_interpreter

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


EQUALIZATION_EXPONENT = 0.3
"""Exponent of the activations in cross-layer equalization; best of 0 to 0.7, measured on DoodleNet."""

MAX_CALIBRATION = 500
DARK_LINES = InputRange((1.0,), (0.0,))

_WEIGHTED = ("Conv2D", "Dense")
_TRANSPARENT = ("MaxPooling2D", "AveragePooling2D", "Dropout", "Flatten", "ZeroPadding2D")
_LIMIT = 100.0


def equalizable_pairs(topology: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the pairs of consecutive layers that can be equalized; none for a model that is no sequence."""
    if is_graph(topology) or topology["class_name"] != "Sequential":
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
    model: TfjsModel, input_range: InputRange = MINUS_ONE_TO_ONE, calibration: Sequence[Image] = ()
) -> bytes:
    """Return the model as a TFLite file: float, or with 8-bit weights if `calibration` has pictures.

    Its input range is -1..1; a first layer rescales it to `input_range`, the original model's range.
    8-bit weights are used with activations quantised at run time (dynamic range). Calibrated int8 activations
    lose more than they save on such small models: 94 % of DoodleNet's top-1 classes then agree with the
    original's, against 96 %. Raises ModelError that names the layer.
    """
    network, weights = read_layers(model)
    scale = rescaling(input_range)
    if calibration:
        layer_pairs = equalizable_pairs(model.topology)
        weights = _equalized_weights(network, weights, layer_pairs, scale, calibration)
    folded, weights = fold_batch_norms(network, weights)
    return write_keras_network(folded, weights, scale, quantise=bool(calibration))


def read_layers(model: TfjsModel) -> tuple[KerasNetwork, Weights]:
    """Return a model's layers and their weights. Raises ModelError."""
    if is_graph(model.topology):
        return read_graph(model.topology, model.weights)
    return read_network(model.topology), model.weights


def _equalized_weights(
    network: KerasNetwork,
    weights: Weights,
    layer_pairs: Sequence[tuple[str, str]],
    scale: tuple[float, float],
    calibration: Sequence[Image],
) -> Weights:
    """Return weights that lose less in 8 bits, from the layers' outputs for the calibration pictures."""
    if not layer_pairs:
        return weights
    firsts = [first for first, _ in layer_pairs]
    content = write_keras_network(network, weights, scale, outputs=firsts)
    interpreter = open_interpreter(content, 1, "auto")
    prepare = Preprocessor(InputTensor(*network.input_shape, dtype="float32"))
    given = interpreter.get_input_details()[0]["index"]
    results = [detail["index"] for detail in interpreter.get_output_details()]
    peaks: dict[str, Floats] = {}
    for image in calibration:
        interpreter.set_tensor(given, prepare(image))
        interpreter.invoke()
        for name, index in zip(firsts, results, strict=True):
            output = interpreter.get_tensor(index)
            peak = output.reshape(-1, output.shape[-1]).max(axis=0)
            peaks[name] = np.maximum(peaks[name], peak) if name in peaks else peak
    return equalize_layers(weights, peaks, layer_pairs)


def usual_range(model: TfjsModel) -> InputRange:
    """Return the usual range of a model that declares none. Raises ModelError.

    Teachable Machine's models and colour models take -1..1. Other grey models take dark lines on white, as
    DoodleNet does.
    """
    is_grey = read_layers(model)[0].input_shape[2] == 1
    return DARK_LINES if is_grey and not model.is_teachable_machine else MINUS_ONE_TO_ONE


def rescaling(input_range: InputRange) -> tuple[float, float]:
    """Return the factor and the offset that map -1..1 to a range. Raises ModelError."""
    if len(input_range.black) > 1:
        raise ModelError(f"{input_range}: a converted model takes one range for all channels")
    black, white = input_range.black[0], input_range.white[0]
    return (white - black) / 2, (white + black) / 2


def convert_to_folder(
    source: Path, folder: Path, input_range: InputRange | None, pictures: Path | None
) -> InputRange:
    """Convert a model.json into `folder`, with its labels, as an export that `models add` can import.

    Return the input range of the original model: the given one, else its `usual_range`. `pictures` is a
    folder of pictures that calibrate 8-bit weights. Raises ModelError.
    """
    model = read_tfjs_model(source)
    try:
        files = find_images(pictures, recursive=True).images if pictures else ()
    except OSError as exc:
        raise ModelError(f"{pictures}: the pictures can't be read: {exc.strerror}") from exc
    images = [read_image(file) for file in files[:MAX_CALIBRATION]]
    if pictures and not images:
        raise ModelError(f"{pictures}: no pictures to calibrate with")
    converted = folder / f"{model.name}.tflite"
    try:
        original_range = input_range or usual_range(model)
        content = convert(model, original_range, images)
    except ModelError as exc:  # names a layer or a node
        raise ModelError(f"{source}: {exc}") from exc
    try:
        converted.write_bytes(content)
        write_manifest(converted, MINUS_ONE_TO_ONE)
        if model.labels:
            (folder / "labels.txt").write_text(format_class_names(model.labels), encoding="utf-8")
    except OSError as exc:
        raise ModelError(f"{folder.parent}: can't be written: {exc.strerror}") from exc
    return original_range
