"""TensorFlow.js graph models as JSON, as the converter of SavedModels writes them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]


def text(value: str) -> dict[str, str]:
    return {"s": base64.b64encode(value.encode()).decode()}


def numbers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(value) for value in values]}}


@dataclass
class GraphModel:
    """A graph under construction; `node` and `constant` return the node's name."""

    size: tuple[int, int, int]
    nodes: list[dict[str, Any]] = field(default_factory=list)
    constants: dict[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dimensions = [{"size": str(number)} for number in (-1, *self.size)]
        self.node("Placeholder", "x", shape={"shape": {"dim": dimensions}})

    def constant(self, name: str, values: Floats) -> str:
        self.constants[name] = values
        return self.node("Const", name)

    def node(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        # TensorFlow does not write the nodes in the order in which they are computed.
        self.nodes.insert(0, {"name": name, "op": op, "input": list(inputs), "attr": attributes})
        return name

    def document(self, output: str) -> dict[str, Any]:
        entries = [
            {"name": name, "shape": list(values.shape), "dtype": str(values.dtype)}
            for name, values in self.constants.items()
        ]
        return {
            "format": "graph-model",
            "modelTopology": {"node": self.nodes, "library": {}, "versions": {"producer": 987}},
            "signature": {"outputs": {"out": {"name": f"{output}:0"}}},
            "weightsManifest": [{"paths": ["w.bin"], "weights": entries}],
        }

    def files(self, output: str) -> dict[str, bytes]:
        """Return model.json and its shard."""
        content = b"".join(values.tobytes() for values in self.constants.values())
        return {"model.json": json.dumps(self.document(output)).encode(), "w.bin": content}


def mobilenet(classes: int, size: int = 16) -> GraphModel:
    """Return a small MobileNet with the operators of the real ones, for pictures in 0..1."""
    rng = np.random.default_rng(3)

    def normal(*shape: int) -> Floats:
        return rng.normal(0, 0.5, shape).astype("<f4")

    graph = GraphModel((size, size, 3))
    doubled = graph.node("Mul", "double", "x", graph.constant("two", np.array(2, "<f4")))
    graph.node("Sub", "centred", doubled, graph.constant("one", np.array([1], "<f4")))
    window = {"strides": numbers(1, 2, 2, 1), "padding": text("SAME"), "data_format": text("NHWC")}
    window["dilations"] = numbers(1, 1, 1, 1)
    fused = {"list": {"s": [text("BiasAdd")["s"], text("Relu6")["s"]]}}
    kernel, bias = graph.constant("c/w", normal(3, 3, 3, 8)), graph.constant("c/b", normal(8))
    graph.node("_FusedConv2D", "c", "centred", kernel, bias, **window, fused_ops=fused, num_args={"i": "1"})
    amounts = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], "<i4")
    graph.node("Pad", "padded", "c", graph.constant("pads", amounts))
    valid = {**window, "strides": numbers(1, 1, 1, 1), "padding": text("VALID")}
    graph.node("DepthwiseConv2dNative", "dw", "padded", graph.constant("dw/w", normal(3, 3, 8, 1)), **valid)
    parts = [graph.constant(f"n/{name}", normal(8)) for name in ("gamma", "beta", "mean")]
    parts.append(graph.constant("n/variance", rng.uniform(0.5, 2, 8).astype("<f4")))
    graph.node("FusedBatchNormV3", "n", "dw", *parts, epsilon={"f": 0.001})
    graph.node("Relu6", "r", "n")
    graph.node("Conv2D", "pw", "r", graph.constant("pw/w", normal(1, 1, 8, 8)), **valid)
    graph.node("BiasAdd", "pw/biased", "pw", graph.constant("pw/b", normal(8)))
    graph.node("AddV2", "sum", "pw/biased", "c")
    axes = graph.constant("axes", np.array([1, 2], "<i4"))
    graph.node("Mean", "pool", "sum", axes, keep_dims={"b": True})
    graph.node("Conv2D", "logits", "pool", graph.constant("logits/w", normal(1, 1, 8, classes)), **valid)
    graph.node("Squeeze", "flat", "logits", squeeze_dims=numbers(1, 2))
    graph.node("Identity", "out", graph.node("Softmax", "softmax", "flat"))
    return graph
