"""The shelf: folders in which models lie, found by name, and the one that new models go to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge_daemon.config.paths import package_data
from edge_daemon.domain.errors import ModelError

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
Count = Annotated[int, Meta(ge=1)]
Address = Annotated[str, Meta(pattern="^https?://")]


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The picture a model takes. `range`, or `mean` and `std` of pixels, say what the numbers are."""

    width: Count
    height: Count
    channels: Literal[1, 3]
    dtype: Literal["uint8", "int8", "float32"]
    range: str | None = None
    mean: float | list[float] | None = None
    std: float | list[float] | None = None


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file to fetch: its name on disk, size and hash, and where it lies."""

    file: FileName
    url: Address | None = None
    sha256: Sha256
    bytes: Count


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model's facts. Without `url` the file ships with the program.

    `labels` is "embedded" when the class names lie inside the file, None when it has no classes.
    `few_shot` holds accuracy in per cent by measuring set, head and examples a class;
    `relative_cost` the time of one inference, mobilenet_v1_0.25_128_quant being 1.
    """

    name: FileName
    file: FileName
    url: Address | None = None
    sha256: Sha256
    bytes: Count
    licence: str
    input: Input
    tap: Literal["embedding", "logits", "probabilities"] = "embedding"
    embedding_size: Count
    labels: RemoteFile | Literal["embedded"] | None = None
    relative_cost: Annotated[float, Meta(gt=0)] | None = None
    few_shot: dict[str, dict[str, dict[str, float]]] = {}
    recommended_for: str | None = None

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """Everything to fetch, the model first."""
        model = RemoteFile(file=self.file, url=self.url, sha256=self.sha256, bytes=self.bytes)
        return (model, self.labels) if isinstance(self.labels, RemoteFile) else (model,)

    def accuracy(self, head: str = "knn", shots: str = "10") -> float | None:
        """Return the mean over the measuring sets in per cent, None where it was not measured."""
        values = [heads.get(head, {}).get(shots) for heads in self.few_shot.values()]
        known = [value for value in values if value is not None]
        return round(sum(known) / len(known), 1) if known else None


def read_manifest(path: Path) -> Manifest:
    """Read one manifest. Raises ModelError naming the file, the field and what is wrong."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as exc:
        raise ModelError(f"{path}: not a model manifest: {exc}") from exc


def shipped_manifests() -> tuple[Manifest, ...]:
    """Return every manifest of the shipped folder, by name."""
    return tuple(read_manifest(path) for path in sorted(package_data("models").glob("*.json")))


SUFFIX = ".tflite"
SERVICE_STATE = Path("/var/lib/edge_daemon")
"""The installed service's state; root pulls models there, so that the service finds them."""


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that new models go to; it need not exist yet."""
    if given := environment.get("EDGE_DAEMON_MODELS"):
        return Path(given)
    if state := environment.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0]) / "models"
    if os.geteuid() == 0 and SERVICE_STATE.is_dir():
        return SERVICE_STATE / "models"
    return _of_user(environment)


def folders(environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return where models are looked for, in this order; the last are those that ship."""
    places = (home(environment), _of_user(environment), SERVICE_STATE / "models", package_data("models"))
    return tuple(dict.fromkeys(places))


def models() -> dict[str, Path]:
    """Return every model on disk by name; of equal names the first folder's."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in _listed(folder):
            found.setdefault(path.stem, path)
    return found


def find(name_or_path: str) -> Path:
    """Return the file of a model. Raises ModelError that says how to get one."""
    as_path = Path(name_or_path).expanduser()
    if os.path.isfile(as_path):
        return as_path
    if as_path.name != name_or_path:
        guess = _nearest(as_path.name, [path.name for path in _listed(as_path.parent)])
        raise ModelError(
            f"no model file {as_path}{guess}; give the path of a {SUFFIX} file or a name from the shelf"
        )
    name = name_or_path.removesuffix(SUFFIX)
    for folder in folders():
        if os.path.isfile(folder / f"{name}{SUFFIX}"):
            return folder / f"{name}{SUFFIX}"
    raise ModelError(_absence(name))


def manifest_of(name: str) -> Manifest:
    """Return a known model's manifest. Raises ModelError with the nearest right name."""
    known = {manifest.name: manifest for manifest in shipped_manifests()}
    if name in known:
        return known[name]
    raise ModelError(f"no model '{name}' is known{_nearest(name, known)}; see `edge-daemon models list`")


def _absence(name: str) -> str:
    known = {manifest.name: manifest for manifest in shipped_manifests()}
    if name in known and known[name].url:
        return (
            f"model '{name}' is not on disk; get it with `edge-daemon models pull {name}`, "
            f"or point $EDGE_DAEMON_MODELS at a folder that holds {known[name].file}"
        )
    return (
        f"no model '{name}'{_nearest(name, [*models(), *known])}; "
        "get one with `edge-daemon models pull NAME`, "
        f"point $EDGE_DAEMON_MODELS at a folder of {SUFFIX} files, or give a path with --set model.name=FILE"
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is meant, case and separators aside; nothing when none is near."""
    import difflib  # only a wrong name needs it

    plain = {_plain(each): each for each in known}
    begun = sorted(each for each in plain if each.startswith(_plain(name)))
    near = begun or difflib.get_close_matches(_plain(name), plain, n=1)
    return f" (did you mean '{plain[near[0]]}'?)" if near and _plain(name) else ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _of_user(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_DATA_HOME") or Path(environment.get("HOME") or "/") / ".local/share"
    return Path(base).absolute() / "edge_daemon" / "models"


def _listed(folder: Path) -> Iterator[Path]:
    """Yield a folder's models by name; a folder that is missing or closed to this user has none."""
    try:
        yield from sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and path.is_file())
    except OSError:
        return
