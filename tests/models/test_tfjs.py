"""TensorFlow.js layers models: topology, shards, labels, cross-layer equalization, and errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.imaging.input_range import parse_range
from edge_daemon.models.converter import equalizable_pairs, equalize_layers, rescaling, usual_range
from edge_daemon.models.tfjs import read_tfjs_model
from tests.harness.shared_files import shared_path

HUGE_SCALE = {
    "name": "w",
    "shape": [1],
    "dtype": "float32",
    "quantization": {"dtype": "uint8", "scale": 10**400},
}


@pytest.fixture
def doodlenet(tmp_path: Path) -> Path:
    shutil.copytree(shared_path("models/doodlenet"), tmp_path / "doodlenet", copy_function=shutil.copyfile)
    (tmp_path / "doodlenet").chmod(0o755)
    return tmp_path / "doodlenet/model.json"


def edit(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def test_doodlenet_is_read_whole(doodlenet: Path) -> None:
    model = read_tfjs_model(doodlenet)
    assert len(model.labels) == 345
    assert model.labels[0] == "flashlight"
    assert model.weights["conv2d/kernel"].shape == (3, 3, 1, 16)
    assert model.weights["dense_1/bias"].shape == (345,)
    assert sum(weight.nbytes for weight in model.weights.values()) == 2_176_804


def test_shards_are_found_as_a_browser_names_them(doodlenet: Path) -> None:
    manifest = json.loads(doodlenet.read_text())["weightsManifest"]
    manifest[0]["paths"] = ["./model.weights.bin"]
    (doodlenet.parent / "group1-shard1of1.bin").rename(doodlenet.parent / "model.weights.bin")
    assert read_tfjs_model(edit(doodlenet, weightsManifest=manifest)).weights["dense_1/bias"].shape == (345,)


def test_quantised_weights_are_scaled_back(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes([0, 255]))
    entry: dict[str, Any] = {"name": "d/kernel", "shape": [1, 2], "dtype": "float32"}
    entry["quantization"] = {"dtype": "uint8", "scale": 0.5, "min": -1.0}
    path = tmp_path / "model.json"
    path.write_text(
        json.dumps(
            {
                "modelTopology": {"class_name": "Sequential", "config": []},
                "weightsManifest": [{"paths": ["w.bin"], "weights": [entry]}],
            }
        )
    )
    assert read_tfjs_model(path).weights["d/kernel"].tolist() == [[-1.0, 126.5]]


def test_labels_come_from_teachable_machines_metadata(doodlenet: Path) -> None:
    (doodlenet.parent / "metadata.json").write_text('{"labels": ["up", "down"]}')
    assert read_tfjs_model(doodlenet).labels == ("up", "down")


def test_missing_and_truncated_shards_are_named(doodlenet: Path) -> None:
    shard = doodlenet.parent / "group1-shard1of1.bin"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"'dense_1/bias' reaches past its shards' end"):
        read_tfjs_model(doodlenet)
    shard.unlink()
    with pytest.raises(ModelError, match=r"group1-shard1of1\.bin: weight shard can't be read"):
        read_tfjs_model(doodlenet)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"modelTopology": {"node": 3}}, "holds no graph"),
        ({"modelTopology": {"a": 1}}, "no Keras model"),
        ({"modelTopology": 3}, "not a TensorFlow.js model"),
        ({"weightsManifest": [{"paths": ["../secret"], "weights": []}]}, "must be beside"),
        ({"weightsManifest": [{"weights": []}]}, "weightsManifest is damaged"),
        ({"weightsManifest": None}, "weightsManifest is damaged"),
        ({"weightsManifest": [{"paths": ["w.bin"], "weights": [HUGE_SCALE]}]}, "weightsManifest is damaged"),
    ],
)
def test_an_invalid_layers_model_is_refused(doodlenet: Path, changes: dict[str, Any], part: str) -> None:
    with pytest.raises(ModelError, match=part):
        read_tfjs_model(edit(doodlenet, **changes))


def test_file_that_is_not_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text("<html>")
    with pytest.raises(ModelError, match="not JSON"):
        read_tfjs_model(path)


def test_equalized_weights_give_the_same_outputs() -> None:
    """Check two dense layers with a ReLU between them."""
    rng = np.random.default_rng(0)
    topology = {
        "class_name": "Sequential",
        "config": [
            {"class_name": "Dense", "config": {"name": "a", "activation": "relu"}},
            {"class_name": "Dropout", "config": {"name": "b"}},
            {"class_name": "Dense", "config": {"name": "c", "activation": "tanh"}},
            {"class_name": "Dense", "config": {"name": "d", "activation": "softmax"}},
        ],
    }
    weights = {
        "a/kernel": rng.normal(size=(4, 5)).astype(np.float32),
        "a/bias": rng.normal(size=5).astype(np.float32),
        "c/kernel": (rng.normal(size=(5, 3)) * [[1], [100], [1], [1], [0.01]]).astype(np.float32),
    }
    assert equalizable_pairs(topology) == [("a", "c")]
    given = rng.normal(size=(50, 4)).astype(np.float32)

    def answer(layers: Any) -> Any:
        return np.maximum(given @ layers["a/kernel"] + layers["a/bias"], 0) @ layers["c/kernel"]

    hidden = np.maximum(given @ weights["a/kernel"] + weights["a/bias"], 0)
    equalized = equalize_layers(weights, {"a": hidden.max(axis=0)}, equalizable_pairs(topology))
    np.testing.assert_allclose(answer(equalized), answer(weights), rtol=1e-4, atol=1e-4)
    spread = [np.ptp(np.log(np.abs(each["c/kernel"]).max(axis=1))) for each in (equalized, weights)]
    assert spread[0] < spread[1] / 2


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        (None, "1..0"),
        ('{"labels": ["up", "down"]}', "1..0"),
        ('{"packageName": "@teachablemachine/image", "labels": ["up", "down"]}', "-1..1"),
        ('{"grayscale": true}', "-1..1"),
    ],
)
def test_a_grey_model_takes_dark_lines_on_white_unless_of_teachable_machine(
    doodlenet: Path, metadata: str | None, wanted: str
) -> None:
    if metadata is not None:
        (doodlenet.parent / "metadata.json").write_text(metadata)
    assert str(usual_range(read_tfjs_model(doodlenet))) == wanted


@pytest.mark.parametrize("text", ["-1..1", "0..1", "1..0", "0..255"])
def test_the_rescaling_maps_minus_one_to_one_to_the_original_range(text: str) -> None:
    scale, offset = rescaling(parse_range(text))
    black, white = offset - scale, offset + scale
    assert parse_range(text) == parse_range(f"{black:g}..{white:g}")


def test_a_range_for_each_channel_cant_be_converted() -> None:
    with pytest.raises(ModelError, match="one range for all channels"):
        rescaling(parse_range("0..1,0..1,0..2"))
