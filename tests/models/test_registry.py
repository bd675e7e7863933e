from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from edge_daemon.config import paths
from edge_daemon.config.paths import package_data
from edge_daemon.domain.errors import ModelError
from edge_daemon.models import registry
from edge_daemon.models.class_names import embedded_class_names
from edge_daemon.models.registry import DEFAULT_MODEL, Manifest, read_manifest, shipped_manifests
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.shared_files import shared_path


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the user an empty home and no service on the machine."""
    monkeypatch.delenv("EDGE_DAEMON_MODELS", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(paths, "SERVICE_STATE", tmp_path / "service")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    return tmp_path


def put(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.tflite"
    path.write_bytes(b"model")
    return path


def test_the_environment_sets_the_download_folder(user: Path) -> None:
    assert registry.download_folder({"EDGE_DAEMON_MODELS": "/m", "STATE_DIRECTORY": "/s"}) == Path("/m")
    assert registry.download_folder({"STATE_DIRECTORY": "/var/lib/edge_daemon:/other"}) == Path(
        "/var/lib/edge_daemon/models"
    )
    assert registry.download_folder({"XDG_DATA_HOME": "/x"}) == Path("/x/edge_daemon/models")
    assert registry.download_folder({"HOME": "/home/pi"}) == Path("/home/pi/.local/share/edge_daemon/models")


def test_root_pulls_for_the_service_once_it_is_installed(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert registry.download_folder({"XDG_DATA_HOME": "/x"}) == Path("/x/edge_daemon/models")
    (user / "service").mkdir()
    assert registry.download_folder({"XDG_DATA_HOME": "/x"}) == user / "service" / "models"


def test_a_name_is_found_in_order_of_the_folders(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_service = put(user / "service" / "models", "m")
    assert registry.find_model("m") == of_service
    of_user = put(user / "data" / "edge_daemon" / "models", "m")
    assert registry.find_model("m") == of_user
    given = put(user / "given", "m")
    monkeypatch.setenv("EDGE_DAEMON_MODELS", str(user / "given"))
    assert registry.find_model("m") == given
    assert registry.find_model("m.tflite") == given
    assert registry.installed_models()["m"] == given


def test_a_path_is_used_unchanged(user: Path) -> None:
    path = put(user / "anywhere", "mine")
    assert registry.find_model(str(path)) == path
    with pytest.raises(ModelError, match=r"no model file .*absent\.tflite"):
        registry.find_model(str(user / "absent.tflite"))


@pytest.mark.parametrize("name", ["~nosuchuser/m.tflite", "~nosuchuser", "a/\0b.tflite", "\0"])
def test_a_name_that_no_file_can_have_is_one_line(name: str) -> None:
    with pytest.raises(ModelError, match=r"^no model"):
        registry.find_model(name)


def test_a_path_that_is_no_file_is_named(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(user, "other")
    (user / "folder.tflite").mkdir()
    os.mkfifo(user / "pipe.tflite")
    with pytest.raises(ModelError, match=r"model file .*folder\.tflite is a folder; give the path of"):
        registry.find_model(str(user / "folder.tflite"))
    with pytest.raises(ModelError, match=r"model file .*pipe\.tflite is no regular file; give the path of"):
        registry.find_model(str(user / "pipe.tflite"))
    monkeypatch.chdir(user)
    with pytest.raises(ModelError, match=r"model file folder\.tflite is a folder"):
        registry.find_model("folder.tflite")


def test_a_known_but_missing_model_is_an_error_with_the_pull_command() -> None:
    with pytest.raises(ModelError, match=r"`edge-daemon models pull mobilenet_v2_1\.0_224_quant`") as caught:
        registry.find_model("mobilenet_v2_1.0_224_quant")
    assert "$EDGE_DAEMON_MODELS" in str(caught.value)


def test_a_misspelt_name_gets_the_nearest_right_one(user: Path) -> None:
    put(user / "service" / "models", "fruit_sorter")
    for wrong, right in (
        ("fruit_sortr", "fruit_sorter"),
        ("mobilenet_v2_224_quant", "mobilenet_v2_1.0_224_quant"),
    ):
        with pytest.raises(ModelError, match=f"did you mean '{right}'"):
            registry.find_model(wrong)
    with pytest.raises(ModelError, match=r"model\.name=FILE"):
        registry.find_model("zzz")


def test_a_folder_without_read_permission_has_no_models(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user / "file").write_text("not a folder")
    monkeypatch.setenv("EDGE_DAEMON_MODELS", str(user / "file"))
    registry.installed_models()
    with pytest.raises(ModelError):
        registry.find_model("m")


def test_the_manifest_of_an_unknown_model_names_the_nearest() -> None:
    assert registry.find_manifest("mobilenet_v1_0.25_128_quant").bytes == 525598
    with pytest.raises(ModelError, match=r"did you mean 'mobilenet_v1_0\.25_128_quant'"):
        registry.find_manifest("mobilenet_v1_0.25_128")


@pytest.mark.parametrize(
    "name",
    [
        DEFAULT_MODEL.upper(),
        DEFAULT_MODEL.replace("_", "-"),
        DEFAULT_MODEL.replace("dd", "d"),
        f"{DEFAULT_MODEL}.tfl",
    ],
)
def test_a_misspelt_model_is_named_with_the_one_meant(name: str) -> None:
    with pytest.raises(ModelError, match=f"did you mean '{DEFAULT_MODEL}'"):
        registry.find_model(name)


def test_a_misspelt_path_is_named_with_the_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "shapes_v2.tflite").touch()
    with pytest.raises(ModelError, match=r"did you mean 'shapes_v2\.tflite'"):
        registry.find_model(str(tmp_path / "shape_v2.tflite"))


OFFICIAL = [manifest for manifest in shipped_manifests() if manifest.url]


def test_the_five_official_models_are_known() -> None:
    assert len(OFFICIAL) == 5


@pytest.mark.parametrize("manifest", OFFICIAL, ids=lambda m: m.name)
def test_an_official_manifest_matches_its_model(manifest: Manifest) -> None:
    path = shared_path(f"models/{manifest.file}")
    content = path.read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (manifest.bytes, manifest.sha256)
    embedder = TfliteEmbedder(path, features=manifest.features, probe_first=False)
    assert embedder.size == manifest.embedding_size
    assert embedder.input_shape == (manifest.input.height, manifest.input.width, manifest.input.channels)
    assert embedder.input.dtype == manifest.input.dtype
    assert (embedded_class_names(path) is not None) == (manifest.labels == "embedded")
    assert manifest.relative_cost is not None
    assert 40 < (manifest.accuracy("knn") or 0) < (manifest.accuracy("linear") or 0) < 90


def test_a_model_without_an_address_ships() -> None:
    for manifest in shipped_manifests():
        if not manifest.can_be_pulled:
            content = (package_data("models") / manifest.file).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (manifest.bytes, manifest.sha256)


def test_each_shipped_manifest_has_its_origin_and_a_file_that_it_names() -> None:
    for manifest in shipped_manifests():
        origin = manifest.provenance
        assert origin is not None, manifest.name
        assert origin.limits
        if origin.source is not None and "://" not in origin.source:
            assert (package_data("models").parent / origin.source).is_file()


PROVENANCE = {"author": "me", "released": "2026-11", "data": "photos", "purpose": "fun", "limits": ["few"]}


def test_a_manifest_without_origin_is_valid(tmp_path: Path) -> None:
    right = json.loads((package_data("models") / "mobilenet_v1_0.25_128_quant.json").read_text())
    del right["provenance"]
    (tmp_path / "m.json").write_text(json.dumps(right))
    assert read_manifest(tmp_path / "m.json").provenance is None
    (tmp_path / "m.json").write_text(json.dumps(right | {"provenance": PROVENANCE}))
    origin = read_manifest(tmp_path / "m.json").provenance
    assert origin is not None
    assert (origin.released, origin.limits) == ("2026-11", ["few"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"provenance": PROVENANCE | {"released": "last year"}}, r"\$\.provenance\.released"),
        ({"provenance": PROVENANCE | {"limits": []}}, r"\$\.provenance\.limits"),
        ({"provenance": PROVENANCE | {"author": ""}}, r"\$\.provenance\.author"),
        ({"provenance": PROVENANCE | {"data": "two\nlines"}}, r"\$\.provenance\.data"),
        ({"provenance": {"author": "me"}}, "missing required field `released`"),
        ({"provenance": PROVENANCE | {"colour": "red"}}, "unknown field `colour`"),
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
