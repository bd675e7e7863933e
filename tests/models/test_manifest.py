from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from edge_daemon.config.paths import package_data
from edge_daemon.domain.errors import ModelError
from edge_daemon.models.class_names import embedded_labels
from edge_daemon.models.registry import Manifest, read_manifest, shipped_manifests
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.shared_files import shared_path

OFFICIAL = [manifest for manifest in shipped_manifests() if manifest.url]


def test_the_five_official_models_are_known() -> None:
    assert len(OFFICIAL) == 5


@pytest.mark.parametrize("manifest", OFFICIAL, ids=lambda m: m.name)
def test_an_official_manifest_tells_the_truth(manifest: Manifest) -> None:
    path = shared_path(f"models/{manifest.file}")
    content = path.read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (manifest.bytes, manifest.sha256)
    embedder = TfliteEmbedder(path, features=manifest.features, probe_first=False)
    assert embedder.size == manifest.embedding_size
    assert embedder.input_shape == (manifest.input.height, manifest.input.width, manifest.input.channels)
    assert embedder.input.dtype == manifest.input.dtype
    assert (embedded_labels(path) is not None) == (manifest.labels == "embedded")
    assert manifest.relative_cost is not None
    assert 40 < (manifest.accuracy("knn") or 0) < (manifest.accuracy("linear") or 0) < 90


def test_a_model_without_an_address_ships() -> None:
    for manifest in shipped_manifests():
        if manifest.url is None:
            content = (package_data("models") / manifest.file).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (manifest.bytes, manifest.sha256)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "short"}, r"\$\.sha256"),
        ({"file": "../escape.tflite"}, r"\$\.file"),
        ({"url": "file:///etc/passwd"}, r"\$\.url"),
        ({"bytes": 0}, r"\$\.bytes"),
        ({"colour": "red"}, "unknown field `colour`"),
    ],
)
def test_a_wrong_manifest_names_file_and_field(tmp_path: Path, change: dict[str, object], words: str) -> None:
    right = json.loads((package_data("models") / "mobilenet_v1_0.25_128_quant.json").read_text())
    path = tmp_path / "m.json"
    path.write_text(json.dumps(right | change))
    with pytest.raises(ModelError, match=rf"m\.json: not a model manifest: .*{words}"):
        read_manifest(path)


def test_a_model_without_figures_has_no_accuracy(tmp_path: Path) -> None:
    right = json.loads((package_data("models") / "mobilenet_v1_0.25_128_quant.json").read_text())
    path = tmp_path / "m.json"
    path.write_text(
        json.dumps({key: right[key] for key in right if key not in ("few_shot", "relative_cost")})
    )
    manifest = read_manifest(path)
    assert manifest.accuracy() is None
    assert manifest.relative_cost is None
