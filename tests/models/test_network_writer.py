from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.efficientnet_lite import Convolution, Layer, Pool, Sum, read_layers
from edge_daemon.models.network_writer import DEVIATION, MEAN, Range, quantise_weights, write_network
from edge_daemon.tflite.feature_layer import find_feature_layer
from edge_daemon.tflite.graph import read_graph
from edge_daemon.tflite.interpreter import open_interpreter
from tests.harness.pytorch_file import small_efficientnet

SIZE = 32

Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def layers() -> list[Layer]:
    return read_layers("efficientnet_lite0", small_efficientnet())


def reference(layers: list[Layer], picture: Floats) -> dict[str, Floats]:
    """Compute all outputs by the definitions, with SAME padding, in numpy."""
    outputs: dict[str, Floats] = {"input": picture}
    for layer in layers:
        if isinstance(layer, Sum):
            outputs[layer.name] = outputs[layer.first] + outputs[layer.second]
        elif isinstance(layer, Pool):
            outputs[layer.name] = outputs[layer.source].mean((0, 1), keepdims=True)
        else:
            outputs[layer.name] = _convolve(layer, outputs[layer.source])
    return outputs


def _convolve(layer: Convolution, source: Floats) -> Floats:
    height, width = layer.kernel.shape[1:3]
    sides = [-(-size // layer.stride) for size in source.shape[:2]]
    padded = [
        max((out - 1) * layer.stride + kernel - size, 0)
        for out, kernel, size in zip(sides, (height, width), source.shape[:2], strict=True)
    ]
    source = np.pad(source, [*((pad // 2, pad - pad // 2) for pad in padded), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(source, (height, width), (0, 1))
    windows = windows[:: layer.stride, :: layer.stride]  # rows, columns, channels, kernel
    if layer.depthwise:
        result = np.einsum("rcdhw,hwd->rcd", windows, layer.kernel[0])
    else:
        result = np.einsum("rcdhw,ohwd->rco", windows, layer.kernel)
    result = result + layer.bias
    output: Floats = np.clip(result, 0, 6) if layer.relu6 else result
    return output


def run(content: bytes, picture: npt.NDArray[Any]) -> Floats:
    interpreter = open_interpreter(content, threads=1, delegate="none")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[None])
    interpreter.invoke()
    details = interpreter.get_output_details()[0]
    values = interpreter.get_tensor(details["index"])[0].astype(np.float32)
    scale, zero_point = details["quantization"]
    result: Floats = (values - zero_point) * np.float32(scale) if scale else values
    return result


def softmax(values: Floats) -> Floats:
    raised = np.exp(values - values.max())
    result: Floats = raised / raised.sum()
    return result


def test_the_float_file_computes_the_layers(layers: list[Layer]) -> None:
    picture = np.random.default_rng(1).uniform(-1, 1, (SIZE, SIZE, 3)).astype(np.float32)
    expected = softmax(reference(layers, picture)["_fc"].ravel())
    np.testing.assert_allclose(run(write_network(layers, SIZE), picture), expected, atol=1e-4)


def test_the_int8_file_computes_nearly_the_same(layers: list[Layer]) -> None:
    rng = np.random.default_rng(2)
    pictures = rng.integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)
    outputs = [reference(layers, (each.astype(np.float32) - MEAN) / DEVIATION) for each in pictures]
    ranges: dict[str, Range] = {
        layer.name: (
            min(float(each[layer.name].min()) for each in outputs),
            max(float(each[layer.name].max()) for each in outputs),
        )
        for layer in layers
    }
    content = write_network(layers, SIZE, ranges)
    for picture, output in zip(pictures, outputs, strict=True):
        expected = softmax(output["_fc"].ravel())
        assert np.abs(run(content, picture) - expected).max() < 0.1
        assert np.corrcoef(run(content, picture), expected)[0, 1] > 0.9
    assert content == write_network(layers, SIZE, ranges)


def test_the_embedding_is_the_pool(layers: list[Layer]) -> None:
    ranges = {layer.name: (-4.0, 4.0) for layer in layers}
    graph = read_graph(write_network(layers, SIZE, ranges))
    assert graph.tensors[find_feature_layer(graph, "embedding").tensor].name == "pool"
    assert graph.tensors[graph.inputs[0]].dtype == "uint8"
    assert find_feature_layer(graph, "probabilities").why == "the model's output"


def test_a_channel_without_weights_keeps_its_bias(layers: list[Layer]) -> None:
    stem = layers[0]
    assert isinstance(stem, Convolution)
    kernel, bias = stem.kernel.copy(), stem.bias.copy()
    kernel[3], bias[3] = 0, 2.5
    ranges = {layer.name: (-6.0, 6.0) for layer in layers}
    graph = read_graph(write_network([replace(stem, kernel=kernel, bias=bias), *layers[1:]], SIZE, ranges))
    assert len(graph.operators) == len(layers) + 5


def test_weights_of_another_network_are_refused() -> None:
    weights = small_efficientnet()
    with pytest.raises(ModelError, match="not those of efficientnet_lite2"):
        read_layers("efficientnet_lite2", weights)
    del weights["_blocks.3._project_conv.weight"]
    with pytest.raises(
        ModelError, match=r"not those of efficientnet_lite0: '_blocks\.3\._project_conv\.weight'"
    ):
        read_layers("efficientnet_lite0", weights)


@pytest.mark.parametrize(("shape", "dimension"), [((1, 5, 5, 40), 3), ((12, 3, 3, 3), 0)])
def test_weights_of_a_kernel_keep_their_sum(shape: tuple[int, ...], dimension: int) -> None:
    kernel = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    channels = shape[dimension]
    steps, scales = quantise_weights(kernel, np.zeros(channels, np.float32), dimension)
    exact = np.moveaxis(kernel, dimension, -1).reshape(-1, channels) / scales
    rounded = np.moveaxis(steps, dimension, -1).reshape(-1, channels)
    assert np.abs((rounded - exact).sum(axis=0)).max() <= 0.501
    assert np.abs(np.rint(exact).sum(axis=0) - exact.sum(axis=0)).max() > 1
    assert np.abs(rounded - exact).max() < 1
    assert np.abs(rounded).max() == 127


def test_nearly_equal_classes_have_different_probabilities(layers: list[Layer]) -> None:
    classifier = layers[-1]
    assert isinstance(classifier, Convolution)
    bias = np.linspace(0, 1e-3, len(classifier.bias), dtype=np.float32)
    flat = [*layers[:-1], replace(classifier, kernel=classifier.kernel * 0, bias=bias)]
    ranges: dict[str, Range] = {layer.name: (-4.0, 4.0) for layer in layers}
    given = run(write_network(flat, SIZE, ranges), np.zeros((SIZE, SIZE, 3), np.uint8))
    assert len(set(given.tolist())) > 900
    assert given.argmax() == len(bias) - 1
