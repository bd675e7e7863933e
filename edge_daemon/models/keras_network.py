"""A Keras topology as a flat list of layers in execution order; batch norms are folded into weights."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ModelError

Floats: TypeAlias = npt.NDArray[np.float32]
Weights: TypeAlias = Mapping[str, Floats]

INPUT = ""
"""Name of the network's input as the source of a layer."""

_NO_OPERATION = (
    "Dropout",
    "SpatialDropout2D",
    "GaussianNoise",
    "GaussianDropout",
    "ActivityRegularization",
    "AlphaDropout",
)
_FOLDABLE = ("Conv2D", "DepthwiseConv2D", "Dense")


@dataclass(frozen=True, slots=True)
class KerasLayer:
    """A layer with its class name, its configuration and the layers that it reads, at least one.

    Raises ModelError for a layer that reads none.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.sources:
            raise ModelError(f"layer '{self.name}' reads no other layer")


@dataclass(frozen=True, slots=True)
class KerasNetwork:
    """Layers in execution order, the input's height, width and channels, and the last layer's name."""

    layers: tuple[KerasLayer, ...]
    input_shape: tuple[int, int, int]
    output: str


def read_network(topology: Mapping[str, Any]) -> KerasNetwork:
    """Return the layers of a topology, nested models included. Raises ModelError."""
    reader = _Reader()
    try:
        output = reader.apply(topology, (INPUT,))
        shape = input_shape(topology)
    except ModelError:  # a ValueError
        raise
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError) as exc:
        raise ModelError(f"the topology of the model is damaged ({exc!r})") from exc
    if output == INPUT:
        raise ModelError("the model has no layers")
    return KerasNetwork(tuple(reader.layers), shape, output)


def input_shape(topology: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return height, width and channels of the first layer with an input shape. Raises ModelError."""
    config = topology["config"]
    for layer in config if isinstance(config, list) else config["layers"]:
        details = layer["config"] if isinstance(layer["config"], dict) else {}
        shape = details.get("batch_input_shape", details.get("batch_shape"))
        if shape is None and layer["class_name"] in ("Sequential", "Model", "Functional"):
            return input_shape(layer)
        if shape is not None and len(shape) == 4 and all(isinstance(size, int) for size in shape[1:]):
            return int(shape[1]), int(shape[2]), int(shape[3])
    raise ModelError("the model doesn't declare the size of its input; only image models can be converted")


class _Reader:
    def __init__(self) -> None:
        self.layers: list[KerasLayer] = []
        self._names: set[str] = set()

    def apply(self, node: Mapping[str, Any], sources: tuple[str, ...]) -> str:
        """Add a layer or the layers of a nested model; return the name of the last one."""
        kind, config = str(node["class_name"]), node["config"]
        if kind == "Sequential":
            for layer in config if isinstance(config, list) else config["layers"]:
                sources = (self.apply(layer, sources),)
            return sources[0]
        if kind in ("Model", "Functional"):
            return self._graph(config, sources)
        if kind == "InputLayer" or kind in _NO_OPERATION:
            return sources[0]
        name = str(config["name"])
        if name in self._names or name == INPUT:
            raise ModelError(f"two layers of the model have the name '{name}'")
        self._names.add(name)
        self.layers.append(KerasLayer(name, kind, config, sources))
        return name

    def _graph(self, config: Mapping[str, Any], sources: tuple[str, ...]) -> str:
        done: dict[str, str] = {}
        for node in config["layers"]:
            calls = node["inbound_nodes"]
            if calls and not isinstance(calls[0], list):
                raise ModelError(
                    "the model was saved by Keras 3; save it with Keras 2 (tf-keras) and tensorflowjs"
                )
            given = tuple(done[source[0]] for source in calls[0]) if calls else sources
            done[node["name"]] = self.apply(node, given)
        outputs = config["output_layers"]
        return done[(outputs[0] if isinstance(outputs[0], list) else outputs)[0]]


def fold_batch_norms(network: KerasNetwork, weights: Weights) -> tuple[KerasNetwork, Weights]:
    """Fold each batch norm behind a linear layer that nothing else reads into that layer's weights.

    Raises ModelError that names the layer.
    """
    readers = Counter(source for layer in network.layers for source in layer.sources)
    layers: dict[str, KerasLayer] = {}
    folded = dict(weights)
    replaced: dict[str, str] = {}
    for layer in network.layers:
        moved = replace(layer, sources=tuple(replaced.get(source, source) for source in layer.sources))
        before = layers.get(moved.sources[0])
        if layer.kind != "BatchNormalization" or before is None or not _is_foldable(before, readers):
            layers[layer.name] = moved
            continue
        layers[before.name] = replace(before, config={**before.config, "use_bias": True})
        _fold(before, layer, folded)
        replaced[layer.name] = before.name
        readers[before.name] = readers[layer.name]
    output = replaced.get(network.output, network.output)
    return KerasNetwork(tuple(layers.values()), network.input_shape, output), folded


def _is_foldable(layer: KerasLayer, readers: Mapping[str, int]) -> bool:
    is_linear = layer.config.get("activation", "linear") in (None, "linear")
    return layer.kind in _FOLDABLE and is_linear and readers[layer.name] == 1


def _fold(layer: KerasLayer, norm: KerasLayer, weights: dict[str, Floats]) -> None:
    scale, offset = batch_norm(norm, weights)
    depthwise = layer.kind == "DepthwiseConv2D"
    name = f"{layer.name}/{'depthwise_kernel' if depthwise else 'kernel'}"
    kernel = weights.get(name)
    shape = () if kernel is None else kernel.shape[2:] if depthwise else kernel.shape[-1:]
    bias = weights.get(f"{layer.name}/bias", np.zeros(1, np.float32))
    channels = math.prod(shape)
    if kernel is None or any(each.shape not in ((1,), (channels,)) for each in (scale, offset, bias)):
        raise ModelError(f"layer '{layer.name}' has no weights, or its bias or batch norm is of another size")
    scale, offset = (np.broadcast_to(each, channels) for each in (scale, offset))
    weights[name] = kernel * scale.reshape(shape)
    weights[f"{layer.name}/bias"] = bias * scale + offset


def batch_norm(layer: KerasLayer, weights: Weights) -> tuple[Floats, Floats]:
    """Return factor and offset of each channel. Raises ModelError that names the layer."""
    try:
        return _batch_norm(layer, weights)
    except ModelError:  # a ValueError
        raise
    except (TypeError, ValueError) as exc:
        raise ModelError(f"layer '{layer.name}' ({layer.kind}) is damaged: {exc!r}") from exc


def _batch_norm(layer: KerasLayer, weights: Weights) -> tuple[Floats, Floats]:
    axis = layer.config.get("axis", -1)
    if axis not in (-1, 3, [-1], [3]):
        raise ModelError(
            f"layer '{layer.name}' normalises axis {axis}; only that of the channels can be converted"
        )
    epsilon = np.float32(layer.config.get("epsilon", 1e-3))
    mean, variance = (find_weight(weights, layer.name, f"moving_{part}") for part in ("mean", "variance"))
    scale = 1 / np.sqrt(np.maximum(variance, 0) + epsilon)
    if layer.config.get("scale", True):
        scale = scale * find_weight(weights, layer.name, "gamma")
    offset = -mean * scale
    if layer.config.get("center", True):
        offset = offset + find_weight(weights, layer.name, "beta")
    return scale.astype(np.float32), offset.astype(np.float32)


def find_weight(weights: Weights, layer: str, parameter: str) -> Floats:
    """Return a weight of a layer. Raises ModelError."""
    if (found := weights.get(f"{layer}/{parameter}")) is None:
        raise ModelError(f"layer '{layer}' needs the weight '{parameter}', which the file does not have")
    return found


@dataclass(frozen=True, slots=True)
class Window:
    """The window of a convolution or pool; pairs are (height, width)."""

    size: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padded: bool

    def output_size(self, shape: tuple[int, ...], layer: KerasLayer) -> tuple[int, int]:
        """Return height and width of the output. Raises ModelError if nothing is left."""
        sizes = []
        for given, size, stride, dilation in zip(
            shape[1:3], self.size, self.stride, self.dilation, strict=True
        ):
            span = 1 if self.padded else (size - 1) * dilation + 1
            sizes.append(-(-(given - span + 1) // stride))
        if min(sizes) < 1:
            raise ModelError(f"layer '{layer.name}' leaves nothing of {shape[1]}x{shape[2]} pixels")
        return sizes[0], sizes[1]


def window_of(config: Mapping[str, Any], size: tuple[int, int], dilation: tuple[int, int]) -> Window:
    """Return the window of a layer. Raises ValueError."""
    padding = config.get("padding", "valid")
    if padding not in ("same", "valid"):
        raise ValueError(f"padding {padding}")
    return Window(size, pair_of(config.get("strides", 1)), dilation, padding == "same")


def pair_of(value: Any) -> tuple[int, int]:
    """Return a pair of numbers that a configuration gives as one or two."""
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)
