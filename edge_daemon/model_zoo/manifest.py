"""What is known of a model before it is on disk: one JSON file a model, in the shipped `models` folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge_daemon.errors import ModelError
from edge_daemon.shipped import shipped_dir

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
    return tuple(read_manifest(path) for path in sorted(shipped_dir("models").glob("*.json")))
