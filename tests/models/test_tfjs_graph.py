"""TensorFlow.js graph models: read as layers, run by the real interpreter, compared with plain numpy."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.imaging.input_range import parse_range
from edge_daemon.models.converter import convert
from edge_daemon.models.tfjs import TfjsModel, read_tfjs_model
from tests.harness.keras_model import Floats, run_layer
from tests.harness.tfjs_graph import GraphModel, mobilenet, numbers, text
from tests.harness.tflite_interpreter import Interpreter

RNG = np.random.default_rng(0)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    """Each test draws the same numbers, whichever ran before it."""
    RNG.bit_generator.state = START


def read(graph: GraphModel, output: str, folder: Path, **changes: Any) -> TfjsModel:
    files = graph.files(output)
    files["model.json"] = json.dumps({**json.loads(files["model.json"]), **changes}).encode()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return read_tfjs_model(folder / "model.json")


def run(content: bytes, given: Floats) -> Floats:
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], given[None])
    interpreter.invoke()
    output: Floats = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    return output


def reference(graph: GraphModel, given: Floats) -> Floats:
    """Return what the graph of `mobilenet` gives for a picture in 0..1."""
    held = graph.constants
    weights = {"c/kernel": held["c/w"], "c/bias": held["c/b"], "dw/depthwise_kernel": held["dw/w"]}
    weights |= {"pw/kernel": held["pw/w"], "pw/bias": held["pw/b"], "logits/kernel": held["logits/w"]}
    weights |= {"n/gamma": held["n/gamma"], "n/beta": held["n/beta"]}
    weights |= {"n/moving_mean": held["n/mean"], "n/moving_variance": held["n/variance"]}
    window = {"name": "c", "strides": [2, 2], "padding": "same", "activation": "relu6"}
    first = run_layer("Conv2D", window, weights, given.astype(float) * 2 - 1)
    value = run_layer("ZeroPadding2D", {"name": "p", "padding": [[1, 1], [1, 1]]}, weights, first)
    value = run_layer("DepthwiseConv2D", {"name": "dw"}, weights, value)
    value = run_layer("BatchNormalization", {"name": "n", "activation": "relu6"}, weights, value)
    value = run_layer("Conv2D", {"name": "pw"}, weights, value) + first
    value = value.mean(axis=(0, 1)) @ weights["logits/kernel"][0, 0]
    return np.asarray(run_layer("Softmax", {"name": "s"}, weights, value), np.float32)


def test_a_mobilenet_gives_what_numpy_gives(tmp_path: Path) -> None:
    graph = mobilenet(10)
    content = convert(read(graph, "out", tmp_path), parse_range("0..1"))
    picture = RNG.uniform(0, 1, (16, 16, 3)).astype("f4")
    np.testing.assert_allclose(run(content, picture * 2 - 1), reference(graph, picture), rtol=1e-3, atol=1e-5)


def test_the_output_is_the_unused_node_without_a_signature(tmp_path: Path) -> None:
    graph = mobilenet(10)
    with_one = convert(read(graph, "out", tmp_path))
    assert convert(read(graph, "out", tmp_path, signature=None)) == with_one


def test_dense_layers_shapes_and_pools(tmp_path: Path) -> None:
    graph = GraphModel((4, 4, 2))
    window = {"strides": numbers(1, 2, 2, 1), "ksize": numbers(1, 2, 2, 1), "padding": text("VALID")}
    graph.node("MaxPool", "most", "x", **window)
    graph.node("AvgPool", "mean", "x", **window)
    graph.node("LeakyRelu", "leaky", "mean", alpha={"f": 0.1})
    graph.node("ConcatV2", "joined", "most", "leaky", graph.constant("axis", np.array(-1, "<i4")))
    graph.node("Reshape", "flat", "joined", graph.constant("shape", np.array([-1, 16], "<i4")))
    kernel, bias = RNG.normal(size=(3, 16)).astype("<f4"), RNG.normal(size=3).astype("<f4")
    graph.node("MatMul", "dense", "flat", graph.constant("w", kernel), transpose_b={"b": True})
    graph.node("Add", "biased", "dense", graph.constant("b", bias))
    graph.node("Tanh", "out", "biased", "^flat")
    picture = RNG.normal(size=(4, 4, 2)).astype("f4")
    pools = {"pool_size": [2, 2], "strides": [2, 2]}
    most = run_layer("MaxPooling2D", {"name": "a", **pools}, {}, picture)
    mean = run_layer("AveragePooling2D", {"name": "b", **pools}, {}, picture)
    joined = np.concatenate([most, np.where(mean > 0, mean, 0.1 * mean)], axis=-1).reshape(-1)
    expected = np.tanh(joined @ kernel.T + bias)
    np.testing.assert_allclose(
        run(convert(read(graph, "out", tmp_path)), picture), expected, rtol=1e-4, atol=1e-5
    )


def changed(op: str, *inputs: str, **attributes: Any) -> GraphModel:
    graph = GraphModel((4, 4, 2))
    graph.constant("k", np.zeros((1, 1, 2, 3), "<f4"))
    graph.constant("axes", np.array([3], "<i4"))
    graph.node(op, "out", *inputs, **attributes)
    return graph


INFINITE = {"list": {"i": [math.inf]}}
WINDOW = {"strides": numbers(1, 1, 1, 1), "padding": text("SAME")}


@pytest.mark.parametrize(
    ("graph", "part"),
    [
        (
            changed("NonMaxSuppressionV3", "x"),
            "node 'out' is a NonMaxSuppressionV3, which can't be converted",
        ),
        (changed("Relu", "missing"), "the graph of the model is damaged"),
        (changed("Relu", "out"), "the graph of the model is damaged"),
        (changed("Conv2D", "x", "x", **WINDOW), "computes 'x', which must be a constant here"),
        (changed("Conv2D", "x", "k", **{**WINDOW, "padding": text("EXPLICIT")}), "the padding explicit"),
        (changed("Conv2D", "x", "k", **WINDOW, data_format=text("NCHW")), "channels first"),
        (
            changed("_FusedConv2D", "x", "k", **WINDOW, fused_ops={"list": text("Swish")}),
            "damaged|fused with",
        ),
        (changed("Mean", "x", "axes"), r"pools the axes \[3\]"),
        (changed("Mul", "x", "k"), r"constant of shape \(1, 1, 2, 3\)"),
        (changed("Mul", "axes", "axes"), "layer 'out' reads no other layer"),
        (changed("ConcatV2", "axes"), "layer 'out' reads no other layer"),
        (changed("Placeholder", shape={}), "the graph has 2 inputs"),
        (changed("MaxPool", "x", ksize=numbers(1, 1, 1, 1), **WINDOW, dilations=INFINITE), "is damaged"),
    ],
)
def test_what_cannot_be_converted_is_named(graph: GraphModel, part: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"^[^(]*({part})"):
        convert(read(graph, "out", tmp_path))


def test_metadata_that_is_no_object_is_ignored(tmp_path: Path) -> None:
    graph = changed("Relu", "x")
    assert read(graph, "out", tmp_path, signature=None, userDefinedMetadata=[1]).topology["signature"] is None


def test_several_outputs_and_an_open_size_are_refused(tmp_path: Path) -> None:
    graph = mobilenet(10)
    outputs = {"outputs": {"a": {"name": "out:0"}, "b": {"name": "r:0"}}}
    with pytest.raises(ModelError, match="the graph has 2 outputs; only image classifiers"):
        convert(read(graph, "out", tmp_path, signature=outputs))
    open_size = GraphModel((-1, -1, 3))
    open_size.node("Relu", "out", "x")
    with pytest.raises(ModelError, match="doesn't declare the size"):
        convert(read(open_size, "out", tmp_path))
