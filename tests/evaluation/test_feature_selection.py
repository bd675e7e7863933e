"""`model.features: auto` selects the better features and recomputes every example or none."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_daemon.app import model_factory
from edge_daemon.app.build import build
from edge_daemon.app.model_factory import build_resolved_embedder, choose_features, resolve_features
from edge_daemon.config.schema import Config, load_config
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.evaluation import feature_selection
from edge_daemon.example_store.image_folders import find_pictures, import_pictures
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tflite.patch_embedder import PatchEmbedder
from tests.harness.digit_pictures import draw_folders
from tests.harness.shared_files import shared_path
from tests.harness.unit_vectors import unit

MODEL = "models/mobilenet_v1_0.25_128_quant.tflite"
PATCH = PatchEmbedder.space


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folders(tmp_path_factory.mktemp("digits"), 5)


def config(path: Path, *more: str) -> Config:
    settings = [f"store.path={json.dumps(str(path))}", f"model.name={json.dumps(str(shared_path(MODEL)))}"]
    return load_config(None, [*settings, "model.features=auto", "camera.type=synthetic", *more])


@pytest.fixture
def store(tmp_path: Path, digits: Path) -> ExampleStore:
    store = ExampleStore(tmp_path / "examples.sqlite")
    report = import_pictures(store, TfliteEmbedder(shared_path(MODEL)), find_pictures(digits))
    assert report.added == 50
    return store


def contents(store: ExampleStore) -> list[tuple[int, str, bytes]]:
    return [(each.id, each.label, each.thumbnail) for each in store]


def test_small_digits_have_patch_features_from_the_next_start(
    store: ExampleStore, caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(store)
    with caplog.at_level(logging.INFO):
        assert resolve_features(config(store.path), tune=True).model.features == "patch"
    assert "model.features is patch now; 50 examples were recomputed" in caplog.text
    assert contents(store) == before
    assert store.spaces() == {PATCH: 50}
    one = next(iter(store))
    np.testing.assert_array_equal(one.embedding, PatchEmbedder().embed(read_image(one.thumbnail)))


def test_the_daemon_starts_with_the_better_features(
    store: ExampleStore, digits: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shown = ["camera.type=replay", f"camera.path={json.dumps(str(digits / '7'))}"]
    with caplog.at_level(logging.INFO):
        build(config(store.path, *shown, "smoothing.window=1"), once=True).run()
    assert "7 (" in caplog.text
    assert store.spaces() == {PATCH: 50}


def test_without_tuning_the_features_of_the_examples_are_kept(store: ExampleStore) -> None:
    assert resolve_features(config(store.path)).model.features == "embedding"
    resolve_features(config(store.path), tune=True)
    assert resolve_features(config(store.path)).model.features == "patch"


def test_an_empty_store_has_the_features_of_the_model(tmp_path: Path) -> None:
    assert resolve_features(config(tmp_path / "none.sqlite"), tune=True).model.features == "embedding"


def test_configured_features_are_not_changed(store: ExampleStore) -> None:
    assert (
        resolve_features(config(store.path, "model.features=embedding"), tune=True).model.features
        == "embedding"
    )
    assert PATCH not in store.spaces()


def test_large_pictures_never_have_patch_features(
    store: ExampleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_selection, "SMALL_PX", 9)
    assert resolve_features(config(store.path), tune=True).model.features == "embedding"
    assert PATCH not in store.spaces()


@pytest.mark.parametrize("picture", ["none", "broken", "flat"])
def test_one_example_that_can_not_be_embedded_prevents_the_change(
    picture: str, store: ExampleStore, tmp_path: Path
) -> None:
    grey = io.BytesIO()
    Image.new("RGB", (8, 10), (90, 90, 90)).save(grey, "JPEG")
    thumbnail = {"none": b"", "broken": b"\xff\xd8\xff junk", "flat": grey.getvalue()}[picture]
    (space,) = store.spaces()
    store.add(unit(0, 256), "8", space=space, thumbnail=thumbnail)
    before = contents(store)
    assert resolve_features(config(store.path), tune=True).model.features == "embedding"
    assert contents(store) == before
    assert store.spaces() == {space: 51}


def test_a_comparison_is_not_repeated_without_a_change(
    tmp_path: Path, store: ExampleStore, caplog: pytest.LogCaptureFixture
) -> None:
    resolve_features(config(store.path), tune=True)
    with caplog.at_level(logging.INFO):
        assert resolve_features(config(store.path), tune=True).model.features == "patch"
        assert "cross-validation on" in caplog.text
        caplog.clear()
        assert resolve_features(config(store.path), tune=True).model.features == "patch"
        assert caplog.text == ""
        store.remove([1])
        resolve_features(config(store.path), tune=True)
        assert "cross-validation on" in caplog.text


@pytest.mark.parametrize("tuned", [False, True])
def test_the_embedder_of_the_chosen_features_is_loaded_for_the_choice_alone(
    store: ExampleStore, monkeypatch: pytest.MonkeyPatch, tuned: bool
) -> None:
    loaded = []
    build_embedder = model_factory.build_embedder

    def recording(config: Config) -> Embedder:
        loaded.append(build_embedder(config))
        return loaded[-1]

    monkeypatch.setattr(model_factory, "build_embedder", recording)
    resolved, chosen = choose_features(config(store.path), store, tune=tuned)
    assert chosen is loaded[1 if tuned else 0]
    assert resolved.model.features == ("patch" if tuned else "embedding")
    assert len(loaded) == 2
    assert build_resolved_embedder(config(store.path)).space == chosen.space
    assert len(loaded) == 4
    assert choose_features(resolved) == (resolved, None)
