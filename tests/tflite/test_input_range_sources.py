"""Input ranges of model files, as the embedder finds them."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.tflite import input_range_sources
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness import tiny_models as tiny
from tests.tflite.test_metadata import metadata

COLOURS = [
    np.tile(np.array(colour, np.uint8), (20, 20, 1)) for colour in np.eye(3, dtype=np.uint8) * 180 + 40
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "m.tflite"


def found(path: Path) -> str:
    return str(TfliteEmbedder(path).input_range)


def named(path: Path) -> list[int]:
    """Return the predicted class of each of the three colours."""
    embedder = TfliteEmbedder(path, features="probabilities")
    return [int(embedder.probabilities(colour).argmax()) for colour in COLOURS]


def test_a_classifier_of_pixels_is_found_by_trial_and_classifies_correctly(model: Path) -> None:
    model.write_bytes(tiny.colour_namer(4 / 127.5, bias=(1.0, 0.0, -1.0)))
    assert found(model) == "0..255, from a trial on pictures"
    assert named(model) == [0, 1, 2]
    assert "square-bilinear-0..255" in TfliteEmbedder(model).space


def test_a_classifier_of_minus_one_to_one_keeps_it_and_its_space(model: Path) -> None:
    model.write_bytes(tiny.colour_namer(4, bias=(1.0, 0.0, -1.0)))
    assert found(model) == "-1..1, from a trial on pictures"
    assert named(model) == [0, 1, 2]
    assert "/square-bilinear/" in TfliteEmbedder(model).space


@pytest.mark.parametrize(("scale", "wanted"), [(1.0, "-1..1"), (1 / 127.5, "0..255")])
def test_an_embedder_is_tried_at_its_first_layer(model: Path, scale: float, wanted: str) -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    features = tiny.convolution(recipe, picture, (np.eye(4, 3) * scale).astype(np.float32), relu=True)
    pool = tiny.mean_over_picture(recipe, features, recipe.tensor((1, 1, 1, 4)))
    model.write_bytes(recipe.content([picture], [pool]))
    assert found(model).startswith(f"{wanted}, ")


def test_a_trial_is_logged_once_and_cached(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    model.write_bytes(tiny.colour_namer(4 / 127.5))
    with caplog.at_level(logging.INFO):
        TfliteEmbedder(model, probe_first=False)
        TfliteEmbedder(model, probe_first=False)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "m.tflite does not declare its input range" in messages[0]
    assert "black..white = 0..255" in messages[0]


def test_metadata_precedes_a_trial(model: Path) -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    pool = tiny.mean_over_picture(recipe, picture, recipe.tensor((1, 1, 1, 3)))
    recipe.describe(metadata([0.0], [255.0]))
    model.write_bytes(recipe.content([picture], [pool]))
    assert found(model) == "0..1, from its metadata"
    assert TfliteEmbedder(model).embed(COLOURS[0]) == pytest.approx(
        np.array([220, 40, 40]) / np.linalg.norm([220, 40, 40]), abs=1e-5
    )


def test_metadata_with_a_mean_for_each_channel_is_applied_to_each(model: Path) -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    pool = tiny.mean_over_picture(recipe, picture, recipe.tensor((1, 1, 1, 3)))
    recipe.describe(metadata([10.0, 20.0, 30.0], [10.0, 5.0, 2.0]))
    model.write_bytes(recipe.content([picture], [pool]))
    wanted = (np.array([220, 40, 40]) - [10, 20, 30]) / [10, 5, 2]
    assert TfliteEmbedder(model).embed(COLOURS[0]) == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-5)


def test_first_layers_that_rescale_precede_a_trial(model: Path) -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    scaled = tiny.rescale(recipe, picture, tiny.BUILTIN.MUL, np.array([1 / 255], np.float32))
    model.write_bytes(
        recipe.content([picture], [tiny.mean_over_picture(recipe, scaled, recipe.tensor((1, 1, 1, 3)))])
    )
    assert found(model) == "0..255, from its first layers"


def test_a_manifest_beside_the_model_precedes_all(model: Path) -> None:
    model.write_bytes(tiny.colour_namer(4))
    model.with_suffix(".json").write_text(json.dumps({"name": "m", "input": {"range": "0..1"}}))
    assert found(model) == "0..1, from its manifest m.json"
    model.with_suffix(".json").write_text(json.dumps({"input": {"mean": [0, 0, 0], "std": 1}}))
    assert found(model) == "0..255, from its manifest m.json"


@pytest.mark.parametrize(
    "given",
    [
        {"range": "wide"},
        {"range": 255},
        {"mean": "x", "std": 1},
        {"mean": [1]},
        {"mean": [10**400], "std": [1]},
        {"mean": 0, "std": 0},
    ],
)
def test_an_invalid_manifest_is_named(model: Path, given: dict[str, object]) -> None:
    model.write_bytes(tiny.colour_namer(4))
    model.with_suffix(".json").write_text(json.dumps({"input": given}))
    with pytest.raises(ModelError, match=r"m\.json: input: .*") as caught:
        TfliteEmbedder(model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("other", ["[]", "{", '{"input": 3}', '{"modelTopology": {}}', "\x00"])
def test_another_file_of_that_name_is_no_manifest(model: Path, other: str) -> None:
    model.write_bytes(tiny.colour_namer(4))
    model.with_suffix(".json").write_text(other)
    assert found(model) == "-1..1, from a trial on pictures"


def test_lobes_signature_declares_zero_to_one_for_its_own_float_model(tmp_path: Path) -> None:
    signature = {"classes": {"Label": ["a", "b", "c"]}, "filename": "saved_model.tflite"}
    (tmp_path / "signature.json").write_text(json.dumps(signature))
    for name in ("saved_model", "other"):
        (tmp_path / f"{name}.tflite").write_bytes(tiny.colour_namer(4))
    (tmp_path / "saved_model_8bit.tflite").write_bytes(tiny.quantised_pool(tiny.TYPE.UINT8, 1 / 128, 128))
    assert found(tmp_path / "saved_model.tflite") == "0..1, from the signature of its Lobe export"
    assert found(tmp_path / "other.tflite") == "-1..1, from a trial on pictures"
    assert found(tmp_path / "saved_model_8bit.tflite") == "from the scale of its input"


def test_a_manifest_changes_a_quantised_models_pixels_and_space(model: Path) -> None:
    model.write_bytes(tiny.quantised_pool(tiny.TYPE.INT8, 2 / 255, 0))
    plain = TfliteEmbedder(model)
    model.with_suffix(".json").write_text(json.dumps({"input": {"range": "0..1"}}))
    ranged = TfliteEmbedder(model)
    assert ranged.space == plain.space.replace("bilinear", "bilinear-0..1")
    assert not np.allclose(ranged.embed(COLOURS[0]), plain.embed(COLOURS[0]), atol=0.05)


def test_a_manifest_of_another_content_is_not_the_models(model: Path) -> None:
    model.write_bytes(tiny.colour_namer(4))
    document = {"sha256": "0" * 64, "input": {"range": "0..1"}}
    model.with_suffix(".json").write_text(json.dumps(document))
    assert found(model) == "-1..1, from a trial on pictures"
    document["sha256"] = hashlib.sha256(model.read_bytes()).hexdigest()
    model.with_suffix(".json").write_text(json.dumps(document))
    assert found(model) == "0..1, from its manifest m.json"


def test_a_manifest_that_ships_declares_the_range_of_a_pulled_model(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    monkeypatch.setattr(input_range_sources, "package_data", lambda name: shipped)
    model.write_bytes(tiny.colour_namer(4))
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    (shipped / "m.json").write_text(json.dumps({"sha256": digest, "input": {"range": "0..255"}}))
    assert str(TfliteEmbedder(model, probe_first=False).input_range) == "0..255, from its manifest m.json"
