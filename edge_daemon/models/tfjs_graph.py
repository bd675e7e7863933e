"""TensorFlow.js graph models: the nodes of a frozen TensorFlow graph, read as Keras layers.

Format: https://github.com/tensorflow/tfjs/tree/master/tfjs-converter, of GraphDef as JSON.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from graphlib import TopologicalSorter
from typing import Any

import numpy as np

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.keras_network import INPUT, Floats, KerasLayer, KerasNetwork, Weights

_ACTIVATIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Elu": "elu",
    "Softmax": "softmax",
}
_PASSING = ("Identity", "StopGradient", "PlaceholderWithDefault", "CheckNumerics")
_EPSILON = 1e-3
"""Of the batch norms that stand for factors and offsets."""


def read_graph(topology: Mapping[str, Any], weights: Weights) -> tuple[KerasNetwork, Weights]:
    """Return the layers of a graph and their weights. Raises ModelError that names the node."""
    try:
        reader = _GraphReader(topology, weights)
        reader.read()
        output = reader.output()
        return KerasNetwork(tuple(reader.layers), reader.input_shape(), output), reader.weights
    except ModelError:  # a ValueError
        raise
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as exc:
        raise ModelError(f"the graph of the model is damaged ({exc!r})") from exc


class _GraphReader:
    def __init__(self, topology: Mapping[str, Any], weights: Weights) -> None:
        self._nodes = {str(node["name"]): node for node in topology["node"]}
        self._signature = topology.get("signature") or {}
        self._constants = weights
        self._names: dict[str, str] = {}
        """The layer whose output each node has."""
        self.layers: list[KerasLayer] = []
        self.weights: dict[str, Floats] = {}
        self._readers: Mapping[str, Callable[[str, Any, list[str]], None]] = {
            "Conv2D": self._convolution,
            "_FusedConv2D": self._convolution,
            "DepthwiseConv2dNative": self._depthwise,
            "FusedDepthwiseConv2dNative": self._depthwise,
            "MatMul": self._dense,
            "_FusedMatMul": self._dense,
            "BiasAdd": self._add,
            "Add": self._add,
            "AddV2": self._add,
            "Sub": self._subtract,
            "Mul": self._multiply,
            "FusedBatchNorm": self._batch_norm,
            "FusedBatchNormV2": self._batch_norm,
            "FusedBatchNormV3": self._batch_norm,
            "LeakyRelu": lambda name, node, given: self._layer(
                name, "LeakyReLU", given, alpha=float(node["attr"].get("alpha", {}).get("f", 0.2))
            ),
            "MaxPool": self._pool,
            "AvgPool": self._pool,
            "Mean": self._global_pool,
            "Max": self._global_pool,
            "Pad": self._pad,
            "Reshape": self._reshape,
            "Squeeze": self._squeeze,
            "ConcatV2": self._concatenate,
        }

    def read(self) -> None:
        """Read the nodes, each after those that it reads."""
        sources = {name: _inputs(node) for name, node in self._nodes.items()}
        for name in TopologicalSorter(sources).static_order():
            self._read_node(name, self._nodes[name])

    def input_shape(self) -> tuple[int, int, int]:
        """Return height, width and channels of the only placeholder. Raises ModelError."""
        placeholders = [node for node in self._nodes.values() if node["op"] == "Placeholder"]
        if len(placeholders) != 1:
            raise ModelError(f"the graph has {len(placeholders)} inputs; only image models can be converted")
        shape = placeholders[0]["attr"].get("shape", {}).get("shape", {}).get("dim", [])
        sizes = [int(dimension["size"]) for dimension in shape]
        if len(sizes) != 4 or min(sizes[1:]) < 1:
            raise ModelError(
                "the model doesn't declare the size of its input; only image models can be converted"
            )
        return sizes[1], sizes[2], sizes[3]

    def output(self) -> str:
        """Return the layer of the graph's only output. Raises ModelError."""
        named = [_name(each["name"]) for each in (self._signature.get("outputs") or {}).values()]
        used = {source for node in self._nodes.values() for source in _inputs(node)}
        found = named or [name for name in self._nodes if name not in used and name in self._names]
        if len(found) != 1:
            raise ModelError(f"the graph has {len(found)} outputs; only image classifiers can be converted")
        return self._names[found[0]]

    def _read_node(self, name: str, node: Any) -> None:
        op, given = str(node["op"]), _inputs(node)
        if op == "Placeholder":
            self._names[name] = INPUT
        elif op == "Const":
            return
        elif op in _PASSING:
            if given[0] in self._names:
                self._names[name] = self._names[given[0]]
            else:
                self._constants = {**self._constants, name: self._constant(given[0])}
        elif op in _ACTIVATIONS:
            self._layer(name, "Activation", given, activation=_ACTIVATIONS[op])
        elif op in self._readers:
            self._readers[op](name, node, given)
        else:
            raise ModelError(f"node '{name}' is a {op}, which can't be converted")

    def _layer(self, name: str, kind: str, given: list[str], **config: Any) -> None:
        sources = tuple(self._names[source] for source in given)
        self.layers.append(KerasLayer(name, kind, {"name": name, **config}, sources))
        self._names[name] = name

    def _convolution(self, name: str, node: Any, given: list[str]) -> None:
        kernel = self._constant(given[1])
        size, filters = list(kernel.shape[:2]), kernel.shape[3]
        self.weights[f"{name}/kernel"] = kernel
        fused = self._fused(name, node, given)
        self._layer(
            name, "Conv2D", given[:1], filters=filters, kernel_size=size, **_window(name, node), **fused
        )

    def _depthwise(self, name: str, node: Any, given: list[str]) -> None:
        kernel = self._constant(given[1])
        self.weights[f"{name}/depthwise_kernel"] = kernel
        config = {"kernel_size": list(kernel.shape[:2]), "depth_multiplier": kernel.shape[3]}
        self._layer(
            name,
            "DepthwiseConv2D",
            given[:1],
            **config,
            **_window(name, node),
            **self._fused(name, node, given),
        )

    def _dense(self, name: str, node: Any, given: list[str]) -> None:
        if node["attr"].get("transpose_a", {}).get("b"):
            raise ModelError(f"node '{name}' transposes its input, which can't be converted")
        kernel = self._constant(given[1])
        kernel = kernel.T if node["attr"].get("transpose_b", {}).get("b") else kernel
        self.weights[f"{name}/kernel"] = kernel
        self._layer(name, "Dense", given[:1], units=kernel.shape[1], **self._fused(name, node, given))

    def _fused(self, name: str, node: Any, given: list[str]) -> dict[str, Any]:
        """Return bias and activation that are fused into a node, and keep its bias."""
        fused = [_text(each) for each in node["attr"].get("fused_ops", {}).get("list", {}).get("s", [])]
        if fused[:1] == ["BiasAdd"]:
            self.weights[f"{name}/bias"] = self._constant(given[2]).reshape(-1)
            fused = fused[1:]
            biased = True
        else:
            biased = False
        if len(fused) > 1 or any(each not in _ACTIVATIONS for each in fused):
            raise ModelError(f"node '{name}' is fused with {', '.join(fused)}, which can't be converted")
        return {"use_bias": biased, "activation": _ACTIVATIONS[fused[0]] if fused else "linear"}

    def _add(self, name: str, node: Any, given: list[str]) -> None:
        self._combine(name, given, "Add", lambda constant: (np.ones_like(constant), constant))

    def _subtract(self, name: str, node: Any, given: list[str]) -> None:
        if given[1] in self._names:
            raise ModelError(f"node '{name}' subtracts a layer, which can't be converted")
        self._combine(name, given, "Subtract", lambda constant: (np.ones_like(constant), -constant))

    def _multiply(self, name: str, node: Any, given: list[str]) -> None:
        self._combine(name, given, "Multiply", lambda constant: (constant, np.zeros_like(constant)))

    def _combine(
        self, name: str, given: list[str], kind: str, affine: Callable[[Floats], tuple[Floats, Floats]]
    ) -> None:
        """Add a layer of two layers, or one that scales and shifts the channels by constants."""
        computed = [source for source in given if source in self._names]
        if len(computed) == 2:
            self._layer(name, kind, computed)
            return
        constant = self._constant(next(source for source in given if source not in self._names))
        if constant.size != max(constant.shape[-1:], default=1):
            raise ModelError(
                f"node '{name}' has a constant of shape {constant.shape}, which can't be converted"
            )
        factor, offset = affine(constant.reshape(-1))
        self._affine(
            name, computed, factor, offset, np.zeros_like(factor), np.ones_like(factor) - _EPSILON, _EPSILON
        )

    def _batch_norm(self, name: str, node: Any, given: list[str]) -> None:
        epsilon = float(node["attr"].get("epsilon", {}).get("f", 1e-4))
        gamma, beta, mean, variance = (self._constant(source) for source in given[1:5])
        self._affine(name, given[:1], gamma, beta, mean, variance, epsilon)

    def _affine(
        self,
        name: str,
        given: list[str],
        gamma: Floats,
        beta: Floats,
        mean: Floats,
        variance: Floats,
        epsilon: float,
    ) -> None:
        parts = {"gamma": gamma, "beta": beta, "moving_mean": mean, "moving_variance": variance}
        self.weights |= {f"{name}/{part}": values.astype(np.float32) for part, values in parts.items()}
        self._layer(name, "BatchNormalization", given, epsilon=epsilon)

    def _pool(self, name: str, node: Any, given: list[str]) -> None:
        kind = "MaxPooling2D" if node["op"] == "MaxPool" else "AveragePooling2D"
        size = _integers(node["attr"]["ksize"])[1:3]
        self._layer(name, kind, given, pool_size=size, **_window(name, node))

    def _global_pool(self, name: str, node: Any, given: list[str]) -> None:
        axes = sorted(int(axis) for axis in self._constant(given[1]).reshape(-1))
        if axes not in ([1, 2], [-3, -2]):
            raise ModelError(f"node '{name}' pools the axes {axes}; only height and width can be converted")
        kind = "GlobalAveragePooling2D" if node["op"] == "Mean" else "GlobalMaxPooling2D"
        self._layer(name, kind, given[:1], keepdims=bool(node["attr"].get("keep_dims", {}).get("b")))

    def _pad(self, name: str, node: Any, given: list[str]) -> None:
        amounts = self._constant(given[1]).astype(int).tolist()
        if amounts[0] != [0, 0] or amounts[3] != [0, 0]:
            raise ModelError(f"node '{name}' pads other axes than height and width, which can't be converted")
        self._layer(name, "ZeroPadding2D", given[:1], padding=amounts[1:3])

    def _reshape(self, name: str, node: Any, given: list[str]) -> None:
        target = self._constant(given[1]).astype(int).reshape(-1).tolist()
        self._layer(name, "Reshape", given[:1], target_shape=target[1:])

    def _squeeze(self, name: str, node: Any, given: list[str]) -> None:
        axes = _integers(node["attr"].get("squeeze_dims", node["attr"].get("axis", {"list": {}})))
        if sorted(axis % 4 for axis in axes) != [1, 2]:
            raise ModelError(
                f"node '{name}' squeezes the axes {axes}; only height and width can be converted"
            )
        self._layer(name, "Flatten", given)

    def _concatenate(self, name: str, node: Any, given: list[str]) -> None:
        self._layer(name, "Concatenate", given[:-1], axis=int(self._constant(given[-1]).reshape(-1)[0]))

    def _constant(self, name: str) -> Floats:
        if (found := self._constants.get(name)) is None:
            raise ModelError(f"the graph computes '{name}', which must be a constant here")
        return found


def _inputs(node: Any) -> list[str]:
    """Return the nodes that a node reads, without those that only come before it."""
    return [_name(source) for source in node.get("input", []) if not source.startswith("^")]


def _name(tensor: str) -> str:
    return tensor.split(":")[0]


def _text(value: Any) -> str:
    """Return a string of a GraphDef, in base64 or as a list of character codes."""
    return bytes(value).decode() if isinstance(value, list) else base64.b64decode(value).decode()


def _integers(attribute: Any) -> list[int]:
    return [int(number) for number in attribute["list"].get("i", [])]


def _window(name: str, node: Any) -> dict[str, Any]:
    """Return strides, dilation and padding of a convolution or pool. Raises ModelError."""
    attributes = node["attr"]
    padding = _text(attributes["padding"]["s"]).lower()
    if padding not in ("same", "valid"):
        raise ModelError(f"node '{name}' has the padding {padding}, which can't be converted")
    if "data_format" in attributes and _text(attributes["data_format"]["s"]) != "NHWC":
        raise ModelError(f"node '{name}' has the channels first, which can't be converted")
    config = {"strides": _integers(attributes["strides"])[1:3], "padding": padding}
    if "dilations" in attributes and math.prod(dilation := _integers(attributes["dilations"])) > 1:
        config["dilation_rate"] = dilation[1:3]
    return config
