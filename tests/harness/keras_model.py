"""TensorFlow.js layers models of random weights as files, and their outputs computed with plain numpy."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]
Layer: TypeAlias = dict[str, Any]


def layer(kind: str, name: str, **config: Any) -> Layer:
    return {"class_name": kind, "config": {"name": name, **config}}


def sequential(*layers: Layer, size: tuple[int, int, int]) -> Layer:
    """Return a topology whose first layer declares the input's height, width and channels."""
    first = {**layers[0], "config": {**layers[0]["config"], "batch_input_shape": [None, *size]}}
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [first, *layers[1:]]}}


def darknet(blocks: int, classes: int, *, softmax: bool) -> tuple[Layer, dict[str, Floats]]:
    """Return the layers of a Darknet classifier: convolution, batch norm, leaky ReLU and pool, repeated.

    It ends in a 1 x 1 convolution to the classes and a global average pool.
    """
    rng = np.random.default_rng(1)
    layers: list[Layer] = []
    weights: dict[str, Floats] = {}
    channels = 3
    for block in range(blocks):
        filters = 8 * 2**block
        layers += [
            layer("Conv2D", f"c{block}", filters=filters, kernel_size=[3, 3], padding="same", use_bias=False),
            layer("BatchNormalization", f"n{block}", axis=-1, epsilon=1e-5),
            layer("LeakyReLU", f"r{block}", alpha=0.1),
            layer("MaxPooling2D", f"p{block}", pool_size=[2, 2], strides=[2, 2], padding="valid"),
        ]
        weights[f"c{block}/kernel"] = rng.normal(0, 0.3, (3, 3, channels, filters)).astype("f4")
        weights |= batch_norm_weights(f"n{block}", filters, rng)
        channels = filters
    layers += [
        layer("Conv2D", "classes", filters=classes, kernel_size=[1, 1], padding="same", activation="linear"),
        layer("GlobalAveragePooling2D", "pool"),
    ]
    layers += [layer("Activation", "softmax", activation="softmax")] if softmax else []
    weights["classes/kernel"] = rng.normal(0, 0.5, (1, 1, channels, classes)).astype("f4")
    weights["classes/bias"] = rng.normal(0, 0.5, classes).astype("f4")
    return sequential(*layers, size=(32, 32, 3)), weights


def batch_norm_weights(name: str, channels: int, rng: np.random.Generator) -> dict[str, Floats]:
    values = {
        "gamma": rng.uniform(0.5, 2, channels),
        "beta": rng.normal(0, 1, channels),
        "moving_mean": rng.normal(0, 1, channels),
        "moving_variance": rng.uniform(0.1, 2, channels),
    }
    return {f"{name}/{key}": value.astype("f4") for key, value in values.items()}


def write_model(
    folder: Path, topology: Layer, weights: dict[str, Floats], shards: int = 2
) -> dict[str, bytes]:
    """Write model.json and its shards as the converter of TensorFlow.js does; return the files."""
    content = b"".join(array.astype("<f4").tobytes() for array in weights.values())
    step = -(-len(content) // shards)
    names = [f"group1-shard{number + 1}of{shards}.bin" for number in range(shards)]
    entries = [
        {"name": key, "shape": list(array.shape), "dtype": "float32"} for key, array in weights.items()
    ]
    document = {
        "format": "layers-model",
        "modelTopology": {"model_config": topology},
        "weightsManifest": [{"paths": names, "weights": entries}],
    }
    files = {name: content[step * number : step * (number + 1)] for number, name in enumerate(names)}
    files["model.json"] = json.dumps(document).encode()
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return files


def run_sequence(topology: Layer, weights: dict[str, Floats], given: Floats) -> Floats:
    """Return the output of a sequential model for one H x W x C picture, in double precision."""
    value: Any = given.astype(np.float64)
    for each in topology["config"]["layers"]:
        value = run_layer(each["class_name"], each["config"], weights, value)
    return np.asarray(value, np.float32)


def run_layer(kind: str, config: dict[str, Any], weights: dict[str, Floats], value: Any) -> Any:
    name = config["name"]
    if kind in ("Conv2D", "DepthwiseConv2D"):
        kernel = weights[f"{name}/{'kernel' if kind == 'Conv2D' else 'depthwise_kernel'}"]
        value = _convolve(value, kernel, config, depthwise=kind != "Conv2D") + weights.get(f"{name}/bias", 0)
    elif kind == "SeparableConv2D":
        value = _convolve(value, weights[f"{name}/depthwise_kernel"], config, depthwise=True)
        value = value @ weights[f"{name}/pointwise_kernel"][0, 0] + weights.get(f"{name}/bias", 0)
    elif kind == "Dense":
        value = value @ weights[f"{name}/kernel"] + weights.get(f"{name}/bias", 0)
    elif kind == "BatchNormalization":
        mean, variance = weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"]
        value = (value - mean) / np.sqrt(variance + config.get("epsilon", 1e-3))
        value = value * weights.get(f"{name}/gamma", 1) + weights.get(f"{name}/beta", 0)
    elif kind == "LeakyReLU":
        value = np.where(value > 0, value, config.get("alpha", 0.3) * value)
    elif kind == "ReLU":
        value = np.clip(value, 0, config.get("max_value") or np.inf)
    elif kind in ("MaxPooling2D", "AveragePooling2D"):
        value = _pool(value, config, np.max if kind == "MaxPooling2D" else np.mean)
    elif kind == "GlobalAveragePooling2D":
        value = value.mean(axis=(0, 1))
    elif kind == "GlobalMaxPooling2D":
        value = value.max(axis=(0, 1))
    elif kind == "Flatten":
        value = value.reshape(-1)
    elif kind == "Reshape":
        value = value.reshape(config["target_shape"])
    elif kind == "ZeroPadding2D":
        value = np.pad(value, [*config["padding"], [0, 0]])
    elif kind == "UpSampling2D":
        value = value.repeat(config["size"][0], axis=0).repeat(config["size"][1], axis=1)
    elif kind == "Softmax":
        config = {**config, "activation": "softmax"}
    return _activate(value, config.get("activation"))


def _activate(value: Any, activation: str | None) -> Any:
    if activation == "relu":
        return np.maximum(value, 0)
    if activation == "relu6":
        return np.clip(value, 0, 6)
    if activation == "tanh":
        return np.tanh(value)
    if activation == "sigmoid":
        return 1 / (1 + np.exp(-value))
    if activation == "elu":
        return np.where(value > 0, value, np.expm1(value))
    if activation == "softmax":
        powers = np.exp(value - value.max())
        return powers / powers.sum()
    return value


def _padded(
    value: Any, size: list[int], stride: list[int], dilation: list[int], padding: str, fill: float
) -> Any:
    """Return the input with TensorFlow's padding: for `same`, the odd pixel is below and on the right."""
    if padding == "valid":
        return value
    amounts = []
    for length, window, step, gap in zip(value.shape[:2], size, stride, dilation, strict=True):
        total = max((-(-length // step) - 1) * step + (window - 1) * gap + 1 - length, 0)
        amounts.append((total // 2, total - total // 2))
    return np.pad(value, [*amounts, (0, 0)], constant_values=fill)


def _convolve(value: Any, kernel: Floats, config: dict[str, Any], *, depthwise: bool) -> Any:
    size, stride = list(kernel.shape[:2]), config.get("strides", [1, 1])
    dilation = config.get("dilation_rate", [1, 1])
    padded = _padded(value, size, stride, dilation, config.get("padding", "valid"), 0)
    spans = [(window - 1) * gap + 1 for window, gap in zip(size, dilation, strict=True)]
    counts = [(n - span) // step + 1 for n, span, step in zip(padded.shape, spans, stride, strict=False)]
    rows = []
    for top, left in itertools.product(*(range(count) for count in counts)):
        at_row, at_column = top * stride[0], left * stride[1]
        window = padded[
            at_row : at_row + spans[0] : dilation[0], at_column : at_column + spans[1] : dilation[1]
        ]
        product = np.einsum("hwc,hwcm->cm" if depthwise else "hwc,hwco->o", window, kernel)
        rows.append(product.reshape(-1))
    return np.stack(rows).reshape(*counts, -1)


def _pool(value: Any, config: dict[str, Any], reduce: Any) -> Any:
    size, stride = config["pool_size"], config.get("strides") or config["pool_size"]
    padded = _padded(value, size, stride, [1, 1], config.get("padding", "valid"), np.nan)
    counts = [(n - window) // step + 1 for n, window, step in zip(padded.shape, size, stride, strict=False)]
    rows = []
    for top, left in itertools.product(*(range(count) for count in counts)):
        at_row, at_column = top * stride[0], left * stride[1]
        window = padded[at_row : at_row + size[0], at_column : at_column + size[1]].reshape(
            -1, value.shape[2]
        )
        rows.append([reduce(channel[~np.isnan(channel)]) for channel in window.T])
    return np.array(rows).reshape(*counts, -1)
