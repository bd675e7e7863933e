"""Embeddings of a part: the feature map averaged under a mask, with real models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.imaging.image_io import read_image, resize_image
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tflite.graph import read_graph
from edge_daemon.tflite.masked_pool import PooledMap, find_pooled_map
from tests.harness import tiny_models as tiny
from tests.harness.shared_files import shared_path

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

OFFICIAL = (
    "mobilenet_v1_0.5_160_quant",
    "mobilenet_v1_1.0_224_quant_embedding_extractor",
    "mobilenet_v2_1.0_224_quant",
    "tf2_mobilenet_v2_1.0_224_ptq",
)
ALL = np.full((40, 40), 255, np.uint8)
LEFT = np.where(np.arange(40) < 20, ALL, 0).astype(np.uint8)
SHIPPED_HEAD = slice(0, 320)
"""The numbers of the shipped model that its feature map gives; the others are edges."""


def model(name: str) -> TfliteEmbedder:
    path = find_model(name) if name.startswith("edge_") else shared_path(f"models/{name}.tflite")
    return TfliteEmbedder(path)


def float_model(path: Path, width: int) -> TfliteEmbedder:
    """Write a model whose feature map is the picture, of 16 rows, and open it."""
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, width, 3))
    cells = tiny.convolution(recipe, picture, np.eye(3, dtype=np.float32), relu=True)
    pool = tiny.mean_over_picture(recipe, cells, recipe.tensor((1, 1, 1, 3)))
    logits = tiny.dense(recipe, pool, np.eye(3, dtype=np.float32), recipe.tensor((1, 3)))
    path.write_bytes(recipe.content([picture], [tiny.softmax(recipe, logits, recipe.tensor((1, 3)))]))
    return TfliteEmbedder(path)


def noise() -> Image:
    """Return a picture of coloured blocks."""
    blocks = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    return blocks.repeat(20, 0).repeat(20, 1)


def beside(left: str, right: str) -> Image:
    """Return two photos side by side in a square."""
    photos = [read_image(shared_path(f"images/{name}.jpg")) for name in (left, right)]
    return np.concatenate([resize_image(photo, (112, 224)) for photo in photos], axis=1)


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_part_that_is_the_whole_picture_has_its_embedding(name: str) -> None:
    embedder = model(name)
    assert embedder.embeds_parts
    # The model rounds its average to 8 bits.
    assert float(embedder.embed_part(noise(), ALL) @ embedder.embed(noise())) > 0.995


def test_the_shipped_models_dense_layer_follows_the_average() -> None:
    embedder = model("edge_embedder_v2")
    part, whole = embedder.embed_part(noise(), ALL), embedder.embed(noise())[SHIPPED_HEAD]
    assert part.shape == (embedder.size,)
    assert np.linalg.norm(part) == pytest.approx(1, abs=1e-5)
    assert float(part[SHIPPED_HEAD] @ whole) / np.linalg.norm(whole) > 0.99, "the model rounds its average"
    assert not part[SHIPPED_HEAD.stop :].any()


@pytest.mark.parametrize("name", ["edge_embedder_v2", "tf2_mobilenet_v2_1.0_224_ptq"])
def test_what_is_outside_of_a_part_counts_little(name: str) -> None:
    embedder = model(name)
    one, other = beside("cat", "bird"), beside("cat", "sunflower")
    left = float(embedder.embed_part(one, LEFT) @ embedder.embed_part(other, LEFT))
    right = float(embedder.embed_part(one, 255 - LEFT) @ embedder.embed_part(other, 255 - LEFT))
    whole = float(embedder.embed(one) @ embedder.embed(other))
    assert left > max(whole, right + 0.3)


def test_a_part_without_a_cell_is_the_whole_picture() -> None:
    embedder = model("mobilenet_v1_0.5_160_quant")
    nothing = embedder.embed_part(noise(), np.zeros((40, 40), np.uint8))
    assert float(nothing @ embedder.embed(noise())) > 0.999


def test_whole_pictures_are_embedded_as_without_the_feature_map(monkeypatch: pytest.MonkeyPatch) -> None:
    with_map = [model(name).embed(noise()) for name in (*OFFICIAL, "edge_embedder_v2")]
    monkeypatch.setattr("edge_daemon.tflite.embedder.find_pooled_map", lambda graph, tensor: None)
    for name, vector in zip((*OFFICIAL, "edge_embedder_v2"), with_map, strict=True):
        without = model(name)
        assert not without.embeds_parts
        np.testing.assert_array_equal(vector, without.embed(noise()))


@pytest.mark.parametrize("features", ["logits", "probabilities", "pixels"])
def test_other_features_have_no_parts(features: str) -> None:
    path = shared_path("models/mobilenet_v1_0.5_160_quant.tflite")
    embedder = TfliteEmbedder(path, features=features)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="no embedding of a part"):
        embedder.embed_part(noise(), ALL)


@pytest.mark.parametrize("name", ["edge_embedder_v1", "mobilenet_v1_0.25_128_quant"])
def test_further_layers_behind_the_pool_and_a_map_of_few_cells_have_no_parts(name: str) -> None:
    assert not model(name).embeds_parts


def test_a_float_model_without_quantisation(tmp_path: Path) -> None:
    embedder = float_model(tmp_path / "float.tflite", width=16)
    colours = np.zeros((16, 16, 3), np.uint8)
    colours[:, :8, 0], colours[:, 8:, 1] = 255, 255
    half = np.zeros((16, 16), np.uint8)
    half[:, :8] = 255
    np.testing.assert_allclose(embedder.embed_part(colours, half), [1, 0, 0], atol=0.01)
    np.testing.assert_allclose(embedder.embed_part(colours, 255 - half), [0, 1, 0], atol=0.01)


def test_the_average_of_the_picture_itself_has_no_parts(tmp_path: Path) -> None:
    path = tmp_path / "float.tflite"
    path.write_bytes(tiny.float_classifier())
    assert not TfliteEmbedder(path).embeds_parts


def test_a_model_that_sees_a_part_of_a_square_picture_has_no_parts(tmp_path: Path) -> None:
    embedder = float_model(tmp_path / "wide.tflite", width=24)
    assert embedder.size == 3
    assert not embedder.embeds_parts


def test_the_map_is_found_behind_a_dense_layer_and_a_concatenation() -> None:
    graph = read_graph(find_model("edge_embedder_v2").read_bytes())
    found = find_pooled_map(graph, graph.outputs[0])
    assert isinstance(found, PooledMap)
    assert graph.tensors[found.feature_map].shape == (1, 5, 5, 704)
    assert graph.tensors[found.weights].shape == (320, 704)
    assert found.first == 0
