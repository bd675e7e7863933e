"""Keras layers written as TFLite, run by the real interpreter and compared with plain numpy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge_daemon.cli.main import main
from edge_daemon.config import paths
from edge_daemon.domain.errors import ModelError
from edge_daemon.models.converter import convert, convert_to_folder
from edge_daemon.models.keras_network import fold_batch_norms, read_network
from edge_daemon.models.keras_writer import write_keras_network
from edge_daemon.models.tfjs import read_tfjs_model
from tests.harness.keras_model import (
    Floats,
    batch_norm_weights,
    darknet,
    layer,
    run_layer,
    run_sequence,
    sequential,
    write_model,
)
from tests.harness.shared_files import shared_path
from tests.harness.tflite_interpreter import Interpreter
from tests.harness.web_site import WebSite, serving_site

RNG = np.random.default_rng(0)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def same_numbers_in_any_order() -> None:
    """Each test draws the same numbers, whichever ran before it."""
    RNG.bit_generator.state = START


def normal(*shape: int) -> Floats:
    return RNG.normal(0, 1, shape).astype("f4")


def run(content: bytes, given: Floats) -> Floats:
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], given[None])
    interpreter.invoke()
    output: Floats = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    return output


def written(topology: dict[str, Any], weights: dict[str, Floats]) -> bytes:
    return write_keras_network(*fold_batch_norms(read_network(topology), weights))


SAME: dict[str, Any] = {"padding": "same"}
CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Floats]]] = {
    "conv valid stride": (
        [layer("Conv2D", "a", filters=4, kernel_size=[3, 2], strides=[2, 1], activation="relu")],
        {"a/kernel": normal(3, 2, 3, 4), "a/bias": normal(4)},
    ),
    "conv same stride": (
        [layer("Conv2D", "a", filters=4, kernel_size=[3, 3], strides=[2, 2], use_bias=False, **SAME)],
        {"a/kernel": normal(3, 3, 3, 4)},
    ),
    "conv dilated": (
        [layer("Conv2D", "a", filters=2, kernel_size=[3, 3], dilation_rate=[2, 2], activation="elu")],
        {"a/kernel": normal(3, 3, 3, 2), "a/bias": normal(2)},
    ),
    "depthwise": (
        [layer("DepthwiseConv2D", "a", kernel_size=[3, 3], depth_multiplier=2, activation="relu6", **SAME)],
        {"a/depthwise_kernel": normal(3, 3, 3, 2), "a/bias": normal(6)},
    ),
    "separable": (
        [layer("SeparableConv2D", "a", filters=5, kernel_size=[3, 3], strides=[2, 2], activation="tanh")],
        {
            "a/depthwise_kernel": normal(3, 3, 3, 1),
            "a/pointwise_kernel": normal(1, 1, 3, 5),
            "a/bias": normal(5),
        },
    ),
    "batch norm folded": (
        [
            layer("DepthwiseConv2D", "a", kernel_size=[3, 3], use_bias=False, depth_multiplier=2),
            layer("BatchNormalization", "n"),
            layer("ReLU", "r", max_value=6),
        ],
        {"a/depthwise_kernel": normal(3, 3, 3, 2), **batch_norm_weights("n", 6, RNG)},
    ),
    "batch norm behind an activation": (
        [
            layer("Conv2D", "a", filters=4, kernel_size=[1, 1], activation="relu"),
            layer("BatchNormalization", "n", scale=False),
            layer("LeakyReLU", "r", alpha=0.1),
        ],
        {
            "a/kernel": normal(1, 1, 3, 4),
            "a/bias": normal(4),
            **{k: v for k, v in batch_norm_weights("n", 4, RNG).items() if "gamma" not in k},
        },
    ),
    "pools": (
        [
            layer("MaxPooling2D", "a", pool_size=[2, 2], strides=[1, 1], **SAME),
            layer("AveragePooling2D", "b", pool_size=[3, 3], strides=None, **SAME),
            layer("GlobalMaxPooling2D", "c"),
        ],
        {},
    ),
    "shapes": (
        [
            layer("ZeroPadding2D", "a", padding=[[1, 0], [0, 2]]),
            layer("UpSampling2D", "b", size=[2, 1]),
            layer("Flatten", "c"),
            layer("Reshape", "d", target_shape=[-1, 11, 3]),
            layer("Dropout", "e", rate=0.5),
            layer("Flatten", "f"),
        ],
        {},
    ),
    "dense": (
        [
            layer("Flatten", "a"),
            layer("Dense", "b", units=4, activation="sigmoid"),
            layer("Dense", "c", units=3, use_bias=False),
            layer("Softmax", "d"),
        ],
        {"b/kernel": normal(9 * 9 * 3, 4), "b/bias": normal(4), "c/kernel": normal(4, 3)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_layers_give_what_numpy_gives(name: str) -> None:
    layers, weights = CASES[name]
    topology = sequential(*layers, size=(9, 9, 3))
    given = normal(9, 9, 3)
    expected = run_sequence(topology, weights, given)
    result = run(written(topology, weights), given)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("softmax", [True, False])
def test_a_darknet_gives_what_numpy_gives(softmax: bool) -> None:
    topology, weights = darknet(3, 10, softmax=softmax)
    given = RNG.uniform(0, 1, (32, 32, 3)).astype("f4")
    expected = run_sequence(topology, weights, given)
    np.testing.assert_allclose(run(written(topology, weights), given), expected, rtol=1e-3, atol=1e-4)


def functional(name: str, nodes: list[tuple[dict[str, Any], list[str]]], size: tuple[int, int, int]) -> Any:
    """Return a graph of layers, each with the names that it reads, as Keras 2 writes it."""
    layers = [
        {"name": "in", "inbound_nodes": [], **layer("InputLayer", "in", batch_input_shape=[None, *size])}
    ]
    for each, sources in nodes:
        inbound = [[[source, 0, 0, {}] for source in sources]]
        layers.append({"name": each["config"]["name"], "inbound_nodes": inbound, **each})
    last = layers[-1]["name"]
    config = {"name": name, "layers": layers, "input_layers": [["in", 0, 0]], "output_layers": [[last, 0, 0]]}
    return {"class_name": "Model", "config": config}


def test_a_graph_with_branches_inside_a_sequence_as_teachable_machine_nests_it() -> None:
    conv = layer("Conv2D", "a", filters=3, kernel_size=[1, 1], use_bias=False)
    norm, add = layer("BatchNormalization", "n"), layer("Add", "add")
    join, gate = layer("Concatenate", "join", axis=-1), layer("Multiply", "gate")
    nodes = [
        (conv, ["in"]),
        (norm, ["a"]),
        (add, ["n", "in"]),
        (join, ["a", "add"]),
        (gate, ["join", "join"]),
    ]
    inner = functional("features", nodes, (5, 5, 3))
    inner["config"]["layers"][3]["name"] = "add"
    outer = [
        {
            "class_name": "Sequential",
            "config": {"name": "s1", "layers": [inner, layer("GlobalAveragePooling2D", "g")]},
        },
        {
            "class_name": "Sequential",
            "config": {"name": "s2", "layers": [layer("Dense", "d", units=2, activation="softmax")]},
        },
    ]
    topology = {"class_name": "Sequential", "config": {"name": "tm", "layers": outer}}
    weights = {"a/kernel": normal(1, 1, 3, 3), "d/kernel": normal(6, 2), "d/bias": normal(2)}
    weights |= batch_norm_weights("n", 3, RNG)
    given = normal(5, 5, 3)
    convolved = run_layer("Conv2D", conv["config"], weights, given)
    added = run_layer("BatchNormalization", norm["config"], weights, convolved) + given
    joined = np.concatenate([convolved, added], axis=-1) ** 2
    dense = {"name": "d", "activation": "softmax"}
    expected = run_layer("Dense", dense, weights, joined.mean(axis=(0, 1)))
    np.testing.assert_allclose(run(written(topology, weights), given), expected, rtol=1e-4, atol=1e-5)


def test_a_batch_norm_whose_source_is_read_elsewhere_is_not_folded() -> None:
    conv = layer("Conv2D", "a", filters=3, kernel_size=[1, 1], use_bias=False)
    nodes = [(conv, ["in"]), (layer("BatchNormalization", "n"), ["a"]), (layer("Add", "add"), ["n", "a"])]
    weights = {"a/kernel": normal(1, 1, 3, 3), **batch_norm_weights("n", 3, RNG)}
    network, folded = fold_batch_norms(read_network(functional("m", nodes, (4, 4, 3))), weights)
    assert [each.kind for each in network.layers] == ["Conv2D", "BatchNormalization", "Add"]
    assert folded == weights


def damaged(*layers: dict[str, Any], size: tuple[int, int, int] = (8, 8, 3)) -> dict[str, Any]:
    return sequential(*layers, size=size)


@pytest.mark.parametrize(
    ("topology", "part"),
    [
        (damaged(layer("LSTM", "a")), "layer 'a' is a LSTM, which can't be converted"),
        (damaged(layer("Conv2D", "a", filters=2, kernel_size=[3, 3])), "layer 'a' needs the weight 'kernel'"),
        (
            damaged(layer("Dense", "w", units=9)),
            r"layer 'w' needs a kernel of \(3, 9\), the file has \(5, 4\)",
        ),
        (damaged(layer("Dense", "w")), r"layer 'w' \(Dense\) is damaged: KeyError\('units'\)"),
        (damaged(layer("MaxPooling2D", "a", pool_size=[9, 9])), "layer 'a' leaves nothing of 8x8 pixels"),
        (damaged(layer("MaxPooling2D", "a", strides=[0, 0])), r"layer 'a' \(MaxPooling2D\) is damaged"),
        (damaged(layer("MaxPooling2D", "a", data_format="channels_first")), "channels first"),
        (damaged(layer("Activation", "a", activation="swish")), "has the activation swish"),
        (damaged(layer("ReLU", "a", max_value=4)), "unusual ReLU"),
        (damaged(layer("Flatten", "a"), layer("GlobalMaxPooling2D", "b")), "layer 'b' needs a picture"),
        (damaged(layer("Flatten", "a"), layer("Flatten", "a")), "two layers of the model have the name 'a'"),
        (damaged(layer("Reshape", "a", target_shape=[5, 5])), "layer 'a' can't turn"),
        (damaged(layer("UpSampling2D", "a", size=[1 << 31, 2])), r"layer 'a' \(UpSampling2D\) is damaged"),
        (damaged(layer("LeakyReLU", "a", alpha=1e300)), "factor of its layers is too large"),
        (damaged(layer("MaxPooling2D", "a", strides=1 << 31, padding="same")), "a size or a factor of its"),
        (damaged(layer("UpSampling2D", "a", interpolation="bilinear")), "interpolates"),
        (damaged(layer("Conv2D", "a", filters=2, kernel_size=[3, 3], groups=3)), "grouped convolution"),
        (damaged(layer("Flatten", "a"), size=(0, 8, 3)), r"input has the shape \(1, 0, 8, 3\)"),
        (damaged(layer("Dropout", "a")), "the model has no layers"),
        (
            damaged(layer("Flatten", "a"), layer("BatchNormalization", "b")),
            "layer 'b' needs the weight 'moving",
        ),
        (
            {"class_name": "Model", "config": {"layers": [{**layer("Add", "a"), "inbound_nodes": [[]]}]}},
            "layer 'a' reads no other layer",
        ),
        ({"class_name": "Sequential", "config": [layer("Flatten", "a")]}, "doesn't declare the size"),
        ({"class_name": "Sequential", "config": [3]}, "topology of the model is damaged"),
        ({"class_name": "Model", "config": {"layers": []}}, "topology of the model is damaged"),
    ],
)
def test_what_cannot_be_converted_is_named(topology: dict[str, Any], part: str) -> None:
    with pytest.raises(ModelError, match=f"^[^(]*({part})"):
        written(topology, {"w/kernel": normal(5, 4)})


@pytest.mark.parametrize(
    ("changes", "options", "part"),
    [
        ({"a/bias": np.ones(3, "f4")}, {}, "layer 'a' has no weights, or its bias or batch norm is of"),
        ({"b/beta": np.ones((4, 4), "f4")}, {}, "layer 'a' has no weights, or its bias or batch norm is of"),
        ({"b/gamma": np.ones(3, "f4")}, {}, r"layer 'b' \(BatchNormalization\) is damaged"),
        ({}, {"epsilon": "x"}, r"layer 'b' \(BatchNormalization\) is damaged"),
    ],
)
def test_a_damaged_batch_norm_that_would_be_folded_is_named(
    changes: dict[str, Floats], options: dict[str, Any], part: str
) -> None:
    topology = damaged(
        layer("Conv2D", "a", filters=4, kernel_size=[1, 1]), layer("BatchNormalization", "b", **options)
    )
    weights = {"a/kernel": normal(1, 1, 3, 4), "a/bias": normal(4), **batch_norm_weights("b", 4, RNG)}
    weights |= changes
    with pytest.raises(ModelError, match=f"^[^(]*({part})"):
        written(topology, weights)


@pytest.mark.parametrize(
    ("topology", "part"),
    [
        (damaged(layer("Conv2D", "c", filters=2, kernel_size=[3, 3])), "layer 'c' needs the weight 'kernel'"),
        ({"class_name": "Sequential", "config": [[]]}, "the topology of the model is damaged"),
        ({"node": [[]]}, "the graph of the model is damaged"),
    ],
)
def test_the_file_of_what_cannot_be_converted_is_named(
    topology: dict[str, Any], part: str, tmp_path: Path
) -> None:
    write_model(tmp_path / "net", topology, {"w/kernel": normal(5, 4)})
    path = tmp_path / "net/model.json"
    if "node" in topology:
        path.write_text(json.dumps({**json.loads(path.read_text()), "modelTopology": topology}))
    with pytest.raises(ModelError) as caught:
        convert_to_folder(path, tmp_path, None, None)
    assert str(caught.value).startswith(f"{path}: {part}")


def test_8_bit_weights_are_a_quarter_and_give_nearly_the_same(tmp_path: Path) -> None:
    topology, weights = darknet(4, 200, softmax=False)
    write_model(tmp_path / "net", topology, weights)
    model = read_tfjs_model(tmp_path / "net/model.json")
    pictures = [RNG.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(4)]
    whole, small = convert(model), convert(model, calibration=pictures)
    assert len(small) < 0.35 * len(whole)
    given = (pictures[0] / np.float32(127.5) - 1).astype("f4")
    right = run(whole, given)
    np.testing.assert_allclose(run(small, given), right, rtol=0, atol=0.1 * float(right.std()))


def test_doodlenet_names_a_drawing_and_in_8_bits_the_same() -> None:
    model = read_tfjs_model(shared_path("models/doodlenet/model.json"))
    drawing = Image.new("L", (280, 280), 255)
    ImageDraw.Draw(drawing).rectangle((40, 40, 240, 240), outline=0, width=14)
    pixels = np.asarray(drawing.resize((28, 28), Image.Resampling.BILINEAR))[:, :, None]
    given = np.float32(1) - pixels.astype(np.float32) / np.float32(255)
    calibration = [np.repeat(pixels, 3, axis=2)] * 2
    for content in (convert(model), convert(model, calibration=calibration)):
        probabilities = run(content, given)
        assert model.labels[int(probabilities.argmax())] == "square"


def test_a_darknet_from_the_web_is_added_and_classifies_by_its_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDGE_DAEMON_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(paths, "SERVICE_STATE", tmp_path / "service")
    topology, weights = darknet(3, 6, softmax=True)
    files = write_model(tmp_path / "net", topology, weights)
    files["metadata.json"] = json.dumps({"labels": list("abcdef")}).encode()
    with serving_site(WebSite(files)) as site:
        address = f"{site.address}/darknet-tiny/model.json"
        assert main(["models", "add", address, "--range", "0..1", "--json"]) == 0
    added = json.loads(capsys.readouterr().out)
    assert (added["name"], added["labels"]) == ("darknet-tiny", list("abcdef"))
    assert added["embedding_size"] == 32, "the layer before the classes"
    assert added["input_range"] == "0..1, given with --range"
    picture = RNG.integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    assert main(["classify", "--json", "--model", "darknet-tiny", str(tmp_path / "picture.png")]) == 0
    row = json.loads(capsys.readouterr().out)
    shares = run_sequence(topology, weights, (picture / np.float32(255)).astype("f4"))
    assert row["class_id"] == int(shares.argmax())
    for each in row["ranking"]:
        assert each["confidence"] == pytest.approx(float(shares["abcdef".index(each["label"])]), abs=0.01)
